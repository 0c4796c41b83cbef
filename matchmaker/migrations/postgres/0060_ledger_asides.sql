-- Entries of the record that the general ledger refused: set aside, and tried again until it takes them.

CREATE TABLE ledger_asides (
    -- Of which journal of the record, and its place there.
    feed TEXT NOT NULL CHECK (feed IN ('leases', 'charges', 'stakes', 'corrections', 'credits')),
    seq BIGINT NOT NULL,
    key TEXT NOT NULL,
    debit TEXT NOT NULL,
    credit TEXT NOT NULL,
    amount_micros BIGINT NOT NULL CHECK (amount_micros >= 0),
    currency TEXT NOT NULL,
    reason TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    -- When the ledger took it after all.
    taken_at_ms BIGINT,
    PRIMARY KEY (feed, seq)
);
CREATE INDEX ledger_asides_open ON ledger_asides (at_ms) WHERE taken_at_ms IS NULL;
