-- Where hosts want their earnings, and payouts. How far a payout came is the general ledger's to say; a row repeats it.

CREATE TABLE destinations (
    account_id BYTEA NOT NULL REFERENCES accounts (id),
    currency TEXT NOT NULL,
    rail TEXT NOT NULL CHECK (rail IN ('bank', 'evm')),
    name TEXT,
    iban TEXT,
    bic TEXT,
    address TEXT,
    since_ms BIGINT NOT NULL,
    PRIMARY KEY (account_id, currency)
);

CREATE TABLE payouts (
    id BYTEA PRIMARY KEY,
    run BIGINT NOT NULL CHECK (run > 0),
    account_id BYTEA NOT NULL REFERENCES accounts (id),
    epoch BIGINT NOT NULL,
    root BYTEA NOT NULL,
    attempt BIGINT NOT NULL,
    node_id BYTEA NOT NULL REFERENCES nodes (id),
    currency TEXT NOT NULL,
    amount_micros BIGINT NOT NULL CHECK (amount_micros > 0),
    -- Everything that this rail moved for the node with this payout.
    rail_total_micros BIGINT NOT NULL,
    rail TEXT NOT NULL CHECK (rail IN ('bank', 'evm')),
    name TEXT,
    iban TEXT,
    bic TEXT,
    address TEXT,
    state TEXT NOT NULL CHECK (state IN ('created', 'submitted', 'settled', 'failed')),
    created_at_ms BIGINT NOT NULL,
    changed_at_ms BIGINT NOT NULL,
    UNIQUE (node_id, currency, epoch, attempt)
);
CREATE INDEX payouts_of_account ON payouts (account_id, run, id);
CREATE INDEX payouts_of_run ON payouts (run, id);
CREATE INDEX payouts_open ON payouts (run, id) WHERE state IN ('created', 'submitted');
