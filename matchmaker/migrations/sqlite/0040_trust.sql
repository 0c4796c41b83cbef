-- What looks like cheating, disputes about sessions, what was paid back, and what of earnings was not settled.

-- What witnesses said of nodes and sessions: the newest of each kind about a subject.
CREATE TABLE testimonies (
    kind TEXT NOT NULL CHECK (kind IN ('link', 'page', 'refused')),
    -- A session, or a link by its number.
    subject BLOB NOT NULL,
    node_id BLOB NOT NULL REFERENCES nodes (id),
    at_ms INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (node_id, kind, subject)
) STRICT;
CREATE INDEX testimonies_by_time ON testimonies (at_ms);

CREATE TABLE trust_cases (
    id BLOB PRIMARY KEY,
    node_id BLOB NOT NULL REFERENCES nodes (id),
    kind TEXT NOT NULL,
    grade TEXT NOT NULL CHECK (grade IN ('review', 'slash')),
    -- JSON: witnesses and exhibits.
    body TEXT NOT NULL,
    opened_at_ms INTEGER NOT NULL,
    changed_at_ms INTEGER NOT NULL,
    -- All NULL while it is open.
    verdict TEXT CHECK (verdict IN ('upheld', 'dismissed')),
    reason TEXT,
    actor TEXT,
    decided_at_ms INTEGER
) STRICT;
CREATE INDEX trust_cases_open ON trust_cases (node_id) WHERE decided_at_ms IS NULL;
CREATE INDEX trust_cases_by_age ON trust_cases (opened_at_ms, id);

CREATE TABLE disputes (
    id BLOB PRIMARY KEY,
    session_id BLOB NOT NULL REFERENCES sessions (id),
    party TEXT NOT NULL CHECK (party IN ('player', 'studio', 'host', 'operator')),
    reason TEXT NOT NULL,
    evidence TEXT NOT NULL,
    case_id BLOB REFERENCES trust_cases (id),
    opened_at_ms INTEGER NOT NULL,
    -- All NULL while it is open.
    refund_permille INTEGER CHECK (refund_permille BETWEEN 0 AND 1000),
    note TEXT,
    actor TEXT,
    decided_at_ms INTEGER,
    UNIQUE (session_id, party)
) STRICT;
CREATE INDEX disputes_open ON disputes (session_id) WHERE decided_at_ms IS NULL;
CREATE INDEX disputes_by_age ON disputes (opened_at_ms, id);

-- What was paid back. The journal of leases stays as it is: this is beside it.
CREATE TABLE corrections (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    dispute_id BLOB NOT NULL REFERENCES disputes (id),
    lease_id BLOB NOT NULL REFERENCES leases (id),
    debit TEXT NOT NULL,
    credit TEXT NOT NULL CHECK (credit <> debit),
    amount_micros INTEGER NOT NULL CHECK (amount_micros > 0),
    currency TEXT NOT NULL,
    key TEXT NOT NULL UNIQUE,
    at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX corrections_of_lease ON corrections (lease_id);
CREATE TRIGGER corrections_never_change BEFORE UPDATE ON corrections
BEGIN SELECT RAISE(ABORT, 'corrections are append-only'); END;
CREATE TRIGGER corrections_never_vanish BEFORE DELETE ON corrections
BEGIN SELECT RAISE(ABORT, 'corrections are append-only'); END;

-- What was posted until the end of an epoch and not settled with it: with the transfers it leads to the root again.
CREATE TABLE settlement_withheld (
    epoch INTEGER NOT NULL REFERENCES settlements (epoch),
    host BLOB NOT NULL,
    currency TEXT NOT NULL,
    amount_micros INTEGER NOT NULL,
    PRIMARY KEY (epoch, host, currency)
) STRICT;

-- What was played lately is looked at again and again.
CREATE INDEX leases_by_start ON leases (started_at_ms);
-- And what ended in a month, by whoever wants to know how reliable machines are.
CREATE INDEX leases_by_end ON leases (ended_at_ms);
