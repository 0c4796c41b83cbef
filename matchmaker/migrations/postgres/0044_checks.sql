-- Checkers, their reports, the days of the draw and who carries which audit out.

CREATE TABLE checkers (
    key BYTEA PRIMARY KEY,
    name TEXT NOT NULL,
    enrolled_at_ms BIGINT NOT NULL,
    revoked_at_ms BIGINT
);

CREATE TABLE checks (
    checker_key BYTEA NOT NULL REFERENCES checkers (key),
    session_id BYTEA NOT NULL REFERENCES sessions (id),
    node_id BYTEA NOT NULL REFERENCES nodes (id),
    filed_at_ms BIGINT NOT NULL,
    -- Canonical bytes, as they were signed.
    report BYTEA NOT NULL,
    signature BYTEA NOT NULL,
    PRIMARY KEY (checker_key, session_id)
);
CREATE INDEX checks_of_node ON checks (node_id, filed_at_ms);
CREATE INDEX checks_by_time ON checks (filed_at_ms);

CREATE TABLE check_days (
    day BIGINT PRIMARY KEY,
    seed BYTEA NOT NULL,
    new_days BIGINT NOT NULL,
    new_per_day BIGINT NOT NULL,
    per_day BIGINT NOT NULL
);

CREATE TABLE audits (
    day BIGINT NOT NULL,
    hour BIGINT NOT NULL,
    node_id BYTEA NOT NULL REFERENCES nodes (id),
    checker_key BYTEA NOT NULL REFERENCES checkers (key),
    taken_at_ms BIGINT NOT NULL,
    -- Where it was carried out; empty while it is under way.
    session_id BYTEA,
    PRIMARY KEY (day, hour, node_id)
);
