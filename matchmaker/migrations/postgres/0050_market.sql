-- Auctions, and machines that stand by for an account.

-- What was wanted, until when it was bid for, and what came out. The seed is told when the auction is over.
CREATE TABLE auctions (
    id BYTEA PRIMARY KEY,
    work TEXT NOT NULL,
    region TEXT NOT NULL,
    gpu_tier BIGINT NOT NULL,
    machines BIGINT NOT NULL CHECK (machines > 0),
    from_ms BIGINT NOT NULL,
    until_ms BIGINT NOT NULL CHECK (until_ms > from_ms),
    ceiling_micros BIGINT NOT NULL CHECK (ceiling_micros >= 0),
    currency TEXT NOT NULL,
    seal_until_ms BIGINT NOT NULL,
    open_until_ms BIGINT NOT NULL,
    seed BYTEA NOT NULL,
    closed_at_ms BIGINT,
    -- NULL: open, or too few have bid.
    price_micros BIGINT CHECK (price_micros BETWEEN 0 AND ceiling_micros)
);

-- One of each machine. What it asks is not known before it is opened.
CREATE TABLE bids (
    auction_id BYTEA NOT NULL REFERENCES auctions (id),
    node_id BYTEA NOT NULL REFERENCES nodes (id),
    seal BYTEA NOT NULL,
    signature BYTEA NOT NULL,
    sealed_at_ms BIGINT NOT NULL,
    opened BYTEA,
    nonce BYTEA,
    opened_at_ms BIGINT,
    -- Auctions that the machine had won for the same time when this one was closed, 16 bytes each.
    taken_by BYTEA NOT NULL DEFAULT ''::bytea,
    PRIMARY KEY (auction_id, node_id)
);

CREATE TABLE reservations (
    id BYTEA PRIMARY KEY,
    auction_id BYTEA NOT NULL UNIQUE REFERENCES auctions (id),
    account_id BYTEA NOT NULL REFERENCES accounts (id),
    -- NULL: a member asked.
    key_id BYTEA REFERENCES api_keys (id),
    title TEXT NOT NULL,
    rate_card BIGINT NOT NULL,
    fee_permille BIGINT NOT NULL CHECK (fee_permille BETWEEN 0 AND 1000),
    state TEXT NOT NULL CHECK (state IN ('bidding', 'booked', 'failed', 'cancelled', 'over')),
    -- Set aside in the budgets of account and key for what has not begun to stand by yet.
    held_micros BIGINT NOT NULL CHECK (held_micros >= 0),
    created_at_ms BIGINT NOT NULL,
    -- When it ends before its time.
    stops_at_ms BIGINT
);
CREATE INDEX reservations_of_account ON reservations (account_id, created_at_ms);
CREATE INDEX reservations_alive ON reservations (state) WHERE state IN ('bidding', 'booked');

-- The machines that won, and those that take their places. One that is held has a slot of its node.
CREATE TABLE reserved_machines (
    reservation_id BYTEA NOT NULL REFERENCES reservations (id),
    node_id BYTEA NOT NULL REFERENCES nodes (id),
    place BIGINT NOT NULL,
    is_next BIGINT NOT NULL CHECK (is_next IN (0, 1)),
    state TEXT NOT NULL CHECK (state IN ('waiting', 'held', 'gone', 'done')),
    PRIMARY KEY (reservation_id, node_id)
);
CREATE INDEX reserved_machines_of_node ON reserved_machines (node_id) WHERE state IN ('waiting', 'held');

-- Under which reservation a lease runs.
ALTER TABLE leases ADD COLUMN reservation_id BYTEA REFERENCES reservations (id);
CREATE INDEX leases_reserved ON leases (reservation_id, node_id) WHERE reservation_id IS NOT NULL;
