-- What hosts stake, by the rules of which version, and what is credited to whoever paid.

-- Tables of rules by version. Never changed: another version is written.
CREATE TABLE rule_tables (
    name TEXT NOT NULL CHECK (name IN ('stake', 'credit')),
    version INTEGER NOT NULL CHECK (version > 0),
    -- JSON.
    body TEXT NOT NULL,
    since_ms INTEGER NOT NULL,
    PRIMARY KEY (name, version)
) STRICT;

-- Each machine's stake, entry by entry.
CREATE TABLE stake_entries (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    node_id BLOB NOT NULL REFERENCES nodes (id),
    number INTEGER NOT NULL CHECK (number > 0),
    deed TEXT NOT NULL,
    case_id BLOB REFERENCES trust_cases (id),
    amount_micros INTEGER NOT NULL CHECK (amount_micros >= 0),
    currency TEXT NOT NULL,
    -- JSON: what happened.
    body TEXT NOT NULL,
    -- NULL: time did.
    actor TEXT,
    at_ms INTEGER NOT NULL,
    UNIQUE (node_id, number)
) STRICT;
CREATE UNIQUE INDEX stake_asides ON stake_entries (case_id) WHERE deed = 'set_aside';
CREATE TRIGGER stake_entries_never_change BEFORE UPDATE ON stake_entries
BEGIN SELECT RAISE(ABORT, 'stake entries are append-only'); END;
CREATE TRIGGER stake_entries_never_vanish BEFORE DELETE ON stake_entries
BEGIN SELECT RAISE(ABORT, 'stake entries are append-only'); END;

-- What is credited: for a month below what was promised, or out of a stake that was taken.
CREATE TABLE credits (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN ('service', 'slash')),
    -- A month, or a case.
    about TEXT NOT NULL,
    debit TEXT NOT NULL,
    credit TEXT NOT NULL CHECK (credit <> debit),
    amount_micros INTEGER NOT NULL CHECK (amount_micros > 0),
    currency TEXT NOT NULL,
    key TEXT NOT NULL UNIQUE,
    at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX credits_of ON credits (credit, at_ms);
CREATE TRIGGER credits_never_change BEFORE UPDATE ON credits
BEGIN SELECT RAISE(ABORT, 'credits are append-only'); END;
CREATE TRIGGER credits_never_vanish BEFORE DELETE ON credits
BEGIN SELECT RAISE(ABORT, 'credits are append-only'); END;
