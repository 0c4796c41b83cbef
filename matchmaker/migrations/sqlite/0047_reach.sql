-- When machines could be reached, and months whose credits were posted.

-- Times in which a subject was reached, the last of them still growing. 16 zero bytes: the matchmaker itself.
CREATE TABLE reach (
    subject BLOB NOT NULL,
    from_ms INTEGER NOT NULL,
    until_ms INTEGER NOT NULL CHECK (until_ms >= from_ms),
    PRIMARY KEY (subject, from_ms)
) STRICT;
CREATE INDEX reach_by_end ON reach (until_ms);

CREATE TABLE service_months (
    -- Such as 2026-11.
    month TEXT PRIMARY KEY,
    -- JSON: levels, what was paid and what was credited, without names.
    body TEXT NOT NULL,
    at_ms INTEGER NOT NULL
) STRICT;
