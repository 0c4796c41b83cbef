-- Checkers, their reports, the days of the draw and who carries which audit out.

CREATE TABLE checkers (
    key BLOB PRIMARY KEY,
    name TEXT NOT NULL,
    enrolled_at_ms INTEGER NOT NULL,
    revoked_at_ms INTEGER
) STRICT;

CREATE TABLE checks (
    checker_key BLOB NOT NULL REFERENCES checkers (key),
    session_id BLOB NOT NULL REFERENCES sessions (id),
    node_id BLOB NOT NULL REFERENCES nodes (id),
    filed_at_ms INTEGER NOT NULL,
    -- Canonical bytes, as they were signed.
    report BLOB NOT NULL,
    signature BLOB NOT NULL,
    PRIMARY KEY (checker_key, session_id)
) STRICT;
CREATE INDEX checks_of_node ON checks (node_id, filed_at_ms);
CREATE INDEX checks_by_time ON checks (filed_at_ms);

CREATE TABLE check_days (
    day INTEGER PRIMARY KEY,
    seed BLOB NOT NULL,
    new_days INTEGER NOT NULL,
    new_per_day INTEGER NOT NULL,
    per_day INTEGER NOT NULL
) STRICT;

CREATE TABLE audits (
    day INTEGER NOT NULL,
    hour INTEGER NOT NULL,
    node_id BLOB NOT NULL REFERENCES nodes (id),
    checker_key BLOB NOT NULL REFERENCES checkers (key),
    taken_at_ms INTEGER NOT NULL,
    -- Where it was carried out; empty while it is under way.
    session_id BLOB,
    PRIMARY KEY (day, hour, node_id)
) STRICT;
