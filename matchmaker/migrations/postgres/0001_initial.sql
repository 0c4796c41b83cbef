-- Nodes, sessions, leases, receipts and the journal of transfers.
-- Ids, keys and hashes are BYTEAs; times are Unix ms by the matchmaker's clock; money is in micro-units.

CREATE TABLE secrets (
    name TEXT PRIMARY KEY,
    value BYTEA NOT NULL
);

CREATE TABLE nodes (
    id BYTEA PRIMARY KEY,
    public_key BYTEA NOT NULL UNIQUE,
    name TEXT NOT NULL,
    region TEXT NOT NULL,
    slots BIGINT NOT NULL CHECK (slots >= 0),
    adapter TEXT NOT NULL,
    enrolled_at_ms BIGINT NOT NULL,
    seen_at_ms BIGINT NOT NULL
);

-- One-time codes, kept hashed.
CREATE TABLE enrolments (
    code_hash BYTEA PRIMARY KEY,
    expires_at_ms BIGINT NOT NULL,
    used_by BYTEA REFERENCES nodes (id)
);

-- One-time links and the cookies they were changed for, kept hashed.
CREATE TABLE operator_links (
    token_hash BYTEA PRIMARY KEY,
    expires_at_ms BIGINT NOT NULL,
    used_at_ms BIGINT
);
CREATE TABLE operators (
    cookie_hash BYTEA PRIMARY KEY,
    expires_at_ms BIGINT NOT NULL
);

CREATE TABLE sessions (
    id BYTEA PRIMARY KEY,
    guest_id BYTEA NOT NULL,
    title TEXT NOT NULL,
    player_key BYTEA NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('starting', 'live', 'ended')),
    generation BIGINT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    ended_at_ms BIGINT,
    end_reason TEXT,
    CHECK ((state = 'ended') = (ended_at_ms IS NOT NULL AND end_reason IS NOT NULL))
);
CREATE INDEX sessions_of_guest ON sessions (guest_id, created_at_ms DESC, id);
CREATE INDEX sessions_active ON sessions (state) WHERE state <> 'ended';

-- The right of one session, in one generation, to one slot of one node.
CREATE TABLE leases (
    id BYTEA PRIMARY KEY,
    session_id BYTEA NOT NULL REFERENCES sessions (id),
    generation BIGINT NOT NULL,
    node_id BYTEA NOT NULL REFERENCES nodes (id),
    title_hash BYTEA NOT NULL,
    price_micros_per_hour BIGINT NOT NULL CHECK (price_micros_per_hour >= 0),
    fee_permille BIGINT NOT NULL CHECK (fee_permille BETWEEN 0 AND 1000),
    currency TEXT NOT NULL,
    started_at_ms BIGINT NOT NULL,
    ended_at_ms BIGINT,
    closed_at_ms BIGINT,
    UNIQUE (session_id, generation)
);
CREATE INDEX leases_held ON leases (node_id) WHERE ended_at_ms IS NULL;
CREATE INDEX leases_to_close ON leases (ended_at_ms) WHERE closed_at_ms IS NULL;

CREATE TABLE receipts (
    session_id BYTEA NOT NULL,
    generation BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    canonical BYTEA NOT NULL,
    node_signature BYTEA NOT NULL,
    player_signature BYTEA,
    countersigned BIGINT NOT NULL,
    duration_us BIGINT NOT NULL,
    billed_us BIGINT NOT NULL,
    received_at_ms BIGINT NOT NULL,
    PRIMARY KEY (session_id, generation, sequence),
    FOREIGN KEY (session_id, generation) REFERENCES leases (session_id, generation)
);

CREATE TABLE transfers (
    seq BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    id BYTEA NOT NULL UNIQUE,
    lease_id BYTEA NOT NULL REFERENCES leases (id),
    kind TEXT NOT NULL CHECK (kind IN ('pending', 'post', 'void')),
    debit TEXT NOT NULL,
    credit TEXT NOT NULL CHECK (credit <> debit),
    amount_micros BIGINT NOT NULL CHECK (amount_micros >= 0),
    currency TEXT NOT NULL,
    key TEXT NOT NULL UNIQUE,
    at_ms BIGINT NOT NULL
);
CREATE INDEX transfers_of_lease ON transfers (lease_id, kind);

CREATE FUNCTION journal_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'the journal is append-only'; END $$;
CREATE TRIGGER transfers_never_change BEFORE UPDATE OR DELETE ON transfers
    FOR EACH ROW EXECUTE FUNCTION journal_is_append_only();
CREATE TRIGGER transfers_never_vanish BEFORE TRUNCATE ON transfers
    FOR EACH STATEMENT EXECUTE FUNCTION journal_is_append_only();

CREATE TABLE idempotency (
    key_hash BYTEA PRIMARY KEY,
    request_hash BYTEA NOT NULL,
    session_id BYTEA NOT NULL REFERENCES sessions (id),
    created_at_ms BIGINT NOT NULL
);

-- Saved games of guests. The packs themselves are assets, known by their hash.

CREATE TABLE saves (
    guest_id BYTEA NOT NULL,
    title TEXT NOT NULL,
    version BIGINT NOT NULL CHECK (version > 0),
    based_on BIGINT,
    hash BYTEA NOT NULL,
    size_bytes BIGINT NOT NULL CHECK (size_bytes >= 0),
    title_version TEXT NOT NULL,
    session_id BYTEA NOT NULL REFERENCES sessions (id),
    generation BIGINT NOT NULL,
    -- When that session was created: a late save of an older session is not the newest.
    played_at_ms BIGINT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (guest_id, title, version)
);
CREATE INDEX saves_by_hash ON saves (hash);

-- The last version given out: deleting saves never makes a version come twice.
CREATE TABLE save_counters (
    guest_id BYTEA NOT NULL,
    title TEXT NOT NULL,
    last_version BIGINT NOT NULL,
    PRIMARY KEY (guest_id, title)
);

-- Assets that no row needs: on their way in, or to be removed.
CREATE TABLE unreferenced_assets (
    hash BYTEA PRIMARY KEY,
    since_ms BIGINT NOT NULL
);
CREATE INDEX unreferenced_assets_by_age ON unreferenced_assets (since_ms);
