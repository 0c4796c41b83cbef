-- What of a credit was for which lease: whatever is paid back later is reckoned from what is left.

CREATE TABLE credit_shares (
    lease_id BLOB NOT NULL REFERENCES leases (id),
    -- The credit.
    key TEXT NOT NULL REFERENCES credits (key),
    amount_micros INTEGER NOT NULL CHECK (amount_micros > 0),
    PRIMARY KEY (lease_id, key)
) STRICT;
CREATE TRIGGER credit_shares_never_change BEFORE UPDATE ON credit_shares
BEGIN SELECT RAISE(ABORT, 'shares of credits are append-only'); END;
CREATE TRIGGER credit_shares_never_vanish BEFORE DELETE ON credit_shares
BEGIN SELECT RAISE(ABORT, 'shares of credits are append-only'); END;
