-- What hosts stake, by the rules of which version, and what is credited to whoever paid.

-- Tables of rules by version. Never changed: another version is written.
CREATE TABLE rule_tables (
    name TEXT NOT NULL CHECK (name IN ('stake', 'credit')),
    version BIGINT NOT NULL CHECK (version > 0),
    -- JSON.
    body TEXT NOT NULL,
    since_ms BIGINT NOT NULL,
    PRIMARY KEY (name, version)
);

-- Each machine's stake, entry by entry.
CREATE TABLE stake_entries (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    node_id BYTEA NOT NULL REFERENCES nodes (id),
    number BIGINT NOT NULL CHECK (number > 0),
    deed TEXT NOT NULL,
    case_id BYTEA REFERENCES trust_cases (id),
    amount_micros BIGINT NOT NULL CHECK (amount_micros >= 0),
    currency TEXT NOT NULL,
    -- JSON: what happened.
    body TEXT NOT NULL,
    -- NULL: time did.
    actor TEXT,
    at_ms BIGINT NOT NULL,
    UNIQUE (node_id, number)
);
CREATE UNIQUE INDEX stake_asides ON stake_entries (case_id) WHERE deed = 'set_aside';
CREATE FUNCTION stakes_are_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'stake entries are append-only'; END $$;
CREATE TRIGGER stake_entries_never_change BEFORE UPDATE OR DELETE ON stake_entries
    FOR EACH ROW EXECUTE FUNCTION stakes_are_append_only();
CREATE TRIGGER stake_entries_never_vanish BEFORE TRUNCATE ON stake_entries
    FOR EACH STATEMENT EXECUTE FUNCTION stakes_are_append_only();

-- What is credited: for a month below what was promised, or out of a stake that was taken.
CREATE TABLE credits (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('service', 'slash')),
    -- A month, or a case.
    about TEXT NOT NULL,
    debit TEXT NOT NULL,
    credit TEXT NOT NULL CHECK (credit <> debit),
    amount_micros BIGINT NOT NULL CHECK (amount_micros > 0),
    currency TEXT NOT NULL,
    key TEXT NOT NULL UNIQUE,
    at_ms BIGINT NOT NULL
);
CREATE INDEX credits_of ON credits (credit, at_ms);
CREATE FUNCTION credits_are_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'credits are append-only'; END $$;
CREATE TRIGGER credits_never_change BEFORE UPDATE OR DELETE ON credits
    FOR EACH ROW EXECUTE FUNCTION credits_are_append_only();
CREATE TRIGGER credits_never_vanish BEFORE TRUNCATE ON credits
    FOR EACH STATEMENT EXECUTE FUNCTION credits_are_append_only();
