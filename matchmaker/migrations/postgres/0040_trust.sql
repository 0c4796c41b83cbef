-- What looks like cheating, disputes about sessions, what was paid back, and what of earnings was not settled.

-- What witnesses said of nodes and sessions: the newest of each kind about a subject.
CREATE TABLE testimonies (
    kind TEXT NOT NULL CHECK (kind IN ('link', 'page', 'refused')),
    -- A session, or a link by its number.
    subject BYTEA NOT NULL,
    node_id BYTEA NOT NULL REFERENCES nodes (id),
    at_ms BIGINT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (node_id, kind, subject)
);
CREATE INDEX testimonies_by_time ON testimonies (at_ms);

CREATE TABLE trust_cases (
    id BYTEA PRIMARY KEY,
    node_id BYTEA NOT NULL REFERENCES nodes (id),
    kind TEXT NOT NULL,
    grade TEXT NOT NULL CHECK (grade IN ('review', 'slash')),
    -- JSON: witnesses and exhibits.
    body TEXT NOT NULL,
    opened_at_ms BIGINT NOT NULL,
    changed_at_ms BIGINT NOT NULL,
    -- All NULL while it is open.
    verdict TEXT CHECK (verdict IN ('upheld', 'dismissed')),
    reason TEXT,
    actor TEXT,
    decided_at_ms BIGINT
);
CREATE INDEX trust_cases_open ON trust_cases (node_id) WHERE decided_at_ms IS NULL;
CREATE INDEX trust_cases_by_age ON trust_cases (opened_at_ms, id);

CREATE TABLE disputes (
    id BYTEA PRIMARY KEY,
    session_id BYTEA NOT NULL REFERENCES sessions (id),
    party TEXT NOT NULL CHECK (party IN ('player', 'studio', 'host', 'operator')),
    reason TEXT NOT NULL,
    evidence TEXT NOT NULL,
    case_id BYTEA REFERENCES trust_cases (id),
    opened_at_ms BIGINT NOT NULL,
    -- All NULL while it is open.
    refund_permille BIGINT CHECK (refund_permille BETWEEN 0 AND 1000),
    note TEXT,
    actor TEXT,
    decided_at_ms BIGINT,
    UNIQUE (session_id, party)
);
CREATE INDEX disputes_open ON disputes (session_id) WHERE decided_at_ms IS NULL;
CREATE INDEX disputes_by_age ON disputes (opened_at_ms, id);

-- What was paid back. The journal of leases stays as it is: this is beside it.
CREATE TABLE corrections (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id BYTEA NOT NULL UNIQUE,
    dispute_id BYTEA NOT NULL REFERENCES disputes (id),
    lease_id BYTEA NOT NULL REFERENCES leases (id),
    debit TEXT NOT NULL,
    credit TEXT NOT NULL CHECK (credit <> debit),
    amount_micros BIGINT NOT NULL CHECK (amount_micros > 0),
    currency TEXT NOT NULL,
    key TEXT NOT NULL UNIQUE,
    at_ms BIGINT NOT NULL
);
CREATE INDEX corrections_of_lease ON corrections (lease_id);
CREATE FUNCTION corrections_are_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'corrections are append-only'; END $$;
CREATE TRIGGER corrections_never_change BEFORE UPDATE OR DELETE ON corrections
    FOR EACH ROW EXECUTE FUNCTION corrections_are_append_only();
CREATE TRIGGER corrections_never_vanish BEFORE TRUNCATE ON corrections
    FOR EACH STATEMENT EXECUTE FUNCTION corrections_are_append_only();

-- What was posted until the end of an epoch and not settled with it: with the transfers it leads to the root again.
CREATE TABLE settlement_withheld (
    epoch BIGINT NOT NULL REFERENCES settlements (epoch),
    host BYTEA NOT NULL,
    currency TEXT NOT NULL,
    amount_micros BIGINT NOT NULL,
    PRIMARY KEY (epoch, host, currency)
);

-- What was played lately is looked at again and again.
CREATE INDEX leases_by_start ON leases (started_at_ms);
-- And what ended in a month, by whoever wants to know how reliable machines are.
CREATE INDEX leases_by_end ON leases (ended_at_ms);
