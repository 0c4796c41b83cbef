-- What of a credit was for which lease: whatever is paid back later is reckoned from what is left.

CREATE TABLE credit_shares (
    lease_id BYTEA NOT NULL REFERENCES leases (id),
    -- The credit.
    key TEXT NOT NULL REFERENCES credits (key),
    amount_micros BIGINT NOT NULL CHECK (amount_micros > 0),
    PRIMARY KEY (lease_id, key)
);
CREATE FUNCTION credit_shares_are_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'shares of credits are append-only'; END $$;
CREATE TRIGGER credit_shares_never_change BEFORE UPDATE OR DELETE ON credit_shares
    FOR EACH ROW EXECUTE FUNCTION credit_shares_are_append_only();
CREATE TRIGGER credit_shares_never_vanish BEFORE TRUNCATE ON credit_shares
    FOR EACH STATEMENT EXECUTE FUNCTION credit_shares_are_append_only();
