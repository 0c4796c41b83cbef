-- Nodes, sessions, leases, receipts and the journal of transfers.
-- Ids, keys and hashes are BLOBs; times are Unix ms by the matchmaker's clock; money is in micro-units.

CREATE TABLE secrets (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT;

CREATE TABLE nodes (
    id BLOB PRIMARY KEY,
    public_key BLOB NOT NULL UNIQUE,
    name TEXT NOT NULL,
    region TEXT NOT NULL,
    slots INTEGER NOT NULL CHECK (slots >= 0),
    adapter TEXT NOT NULL,
    enrolled_at_ms INTEGER NOT NULL,
    seen_at_ms INTEGER NOT NULL
) STRICT;

-- One-time codes, kept hashed.
CREATE TABLE enrolments (
    code_hash BLOB PRIMARY KEY,
    expires_at_ms INTEGER NOT NULL,
    used_by BLOB REFERENCES nodes (id)
) STRICT;

-- One-time links and the cookies they were changed for, kept hashed.
CREATE TABLE operator_links (
    token_hash BLOB PRIMARY KEY,
    expires_at_ms INTEGER NOT NULL,
    used_at_ms INTEGER
) STRICT;
CREATE TABLE operators (
    cookie_hash BLOB PRIMARY KEY,
    expires_at_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE sessions (
    id BLOB PRIMARY KEY,
    guest_id BLOB NOT NULL,
    title TEXT NOT NULL,
    player_key BLOB NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('starting', 'live', 'ended')),
    generation INTEGER NOT NULL,
    created_at_ms INTEGER NOT NULL,
    ended_at_ms INTEGER,
    end_reason TEXT,
    CHECK ((state = 'ended') = (ended_at_ms IS NOT NULL AND end_reason IS NOT NULL))
) STRICT;
CREATE INDEX sessions_of_guest ON sessions (guest_id, created_at_ms DESC, id);
CREATE INDEX sessions_active ON sessions (state) WHERE state <> 'ended';

-- The right of one session, in one generation, to one slot of one node.
CREATE TABLE leases (
    id BLOB PRIMARY KEY,
    session_id BLOB NOT NULL REFERENCES sessions (id),
    generation INTEGER NOT NULL,
    node_id BLOB NOT NULL REFERENCES nodes (id),
    title_hash BLOB NOT NULL,
    price_micros_per_hour INTEGER NOT NULL CHECK (price_micros_per_hour >= 0),
    fee_permille INTEGER NOT NULL CHECK (fee_permille BETWEEN 0 AND 1000),
    currency TEXT NOT NULL,
    started_at_ms INTEGER NOT NULL,
    ended_at_ms INTEGER,
    closed_at_ms INTEGER,
    UNIQUE (session_id, generation)
) STRICT;
CREATE INDEX leases_held ON leases (node_id) WHERE ended_at_ms IS NULL;
CREATE INDEX leases_to_close ON leases (ended_at_ms) WHERE closed_at_ms IS NULL;

CREATE TABLE receipts (
    session_id BLOB NOT NULL,
    generation INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    canonical BLOB NOT NULL,
    node_signature BLOB NOT NULL,
    player_signature BLOB,
    countersigned INTEGER NOT NULL,
    duration_us INTEGER NOT NULL,
    billed_us INTEGER NOT NULL,
    received_at_ms INTEGER NOT NULL,
    PRIMARY KEY (session_id, generation, sequence),
    FOREIGN KEY (session_id, generation) REFERENCES leases (session_id, generation)
) STRICT;

CREATE TABLE transfers (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    lease_id BLOB NOT NULL REFERENCES leases (id),
    kind TEXT NOT NULL CHECK (kind IN ('pending', 'post', 'void')),
    debit TEXT NOT NULL,
    credit TEXT NOT NULL CHECK (credit <> debit),
    amount_micros INTEGER NOT NULL CHECK (amount_micros >= 0),
    currency TEXT NOT NULL,
    key TEXT NOT NULL UNIQUE,
    at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX transfers_of_lease ON transfers (lease_id, kind);

CREATE TRIGGER transfers_never_change BEFORE UPDATE ON transfers
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER transfers_never_vanish BEFORE DELETE ON transfers
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;

CREATE TABLE idempotency (
    key_hash BLOB PRIMARY KEY,
    request_hash BLOB NOT NULL,
    session_id BLOB NOT NULL REFERENCES sessions (id),
    created_at_ms INTEGER NOT NULL
) STRICT;
