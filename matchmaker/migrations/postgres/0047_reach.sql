-- When machines could be reached, and months whose credits were posted.

-- Times in which a subject was reached, the last of them still growing. 16 zero bytes: the matchmaker itself.
CREATE TABLE reach (
    subject BYTEA NOT NULL,
    from_ms BIGINT NOT NULL,
    until_ms BIGINT NOT NULL CHECK (until_ms >= from_ms),
    PRIMARY KEY (subject, from_ms)
);
CREATE INDEX reach_by_end ON reach (until_ms);

CREATE TABLE service_months (
    -- Such as 2026-11.
    month TEXT PRIMARY KEY,
    -- JSON: levels, what was paid and what was credited, without names.
    body TEXT NOT NULL,
    at_ms BIGINT NOT NULL
);
