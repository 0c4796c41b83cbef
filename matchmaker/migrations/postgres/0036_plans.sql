-- Plans, subscriptions, what they were charged, and what leases hold of them.

-- A version is never changed: another is written.
CREATE TABLE plans (
    name TEXT NOT NULL,
    version BIGINT NOT NULL CHECK (version > 0),
    since_ms BIGINT NOT NULL,
    included_us BIGINT NOT NULL CHECK (included_us >= 0),
    price_micros BIGINT NOT NULL CHECK (price_micros >= 0),
    currency TEXT NOT NULL,
    is_offered BIGINT NOT NULL CHECK (is_offered IN (0, 1)),
    PRIMARY KEY (name, version)
);

-- One of each account, in its current month.
CREATE TABLE subscriptions (
    account_id BYTEA PRIMARY KEY REFERENCES accounts (id),
    plan TEXT NOT NULL,
    version BIGINT NOT NULL,
    -- What a month of the plan includes and costs.
    plan_us BIGINT NOT NULL,
    plan_micros BIGINT NOT NULL,
    currency TEXT NOT NULL,
    anchor_ms BIGINT NOT NULL,
    number BIGINT NOT NULL,
    from_ms BIGINT NOT NULL,
    to_ms BIGINT NOT NULL,
    -- What this month includes and costs: plans may have changed in it.
    included_us BIGINT NOT NULL CHECK (included_us >= 0),
    fee_micros BIGINT NOT NULL CHECK (fee_micros >= 0),
    used_us BIGINT NOT NULL CHECK (used_us >= 0),
    covered_micros BIGINT NOT NULL CHECK (covered_micros >= 0),
    is_cancelled BIGINT NOT NULL CHECK (is_cancelled IN (0, 1)),
    ended_at_ms BIGINT,
    FOREIGN KEY (plan, version) REFERENCES plans (name, version)
);
CREATE INDEX subscriptions_by_end ON subscriptions (to_ms) WHERE ended_at_ms IS NULL;

-- What is posted beside the transfers of leases. Append-only.
CREATE TABLE charges (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id BYTEA NOT NULL REFERENCES accounts (id),
    at_ms BIGINT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('fee', 'change', 'covered', 'unused')),
    debit TEXT NOT NULL,
    credit TEXT NOT NULL,
    amount_micros BIGINT NOT NULL CHECK (amount_micros > 0),
    currency TEXT NOT NULL,
    key TEXT NOT NULL UNIQUE
);
CREATE INDEX charges_of_account ON charges (account_id, at_ms);
CREATE FUNCTION charges_are_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'plans and charges are append-only'; END $$;
CREATE TRIGGER plans_never_change BEFORE UPDATE OR DELETE ON plans
    FOR EACH ROW EXECUTE FUNCTION charges_are_append_only();
CREATE TRIGGER plans_never_vanish BEFORE TRUNCATE ON plans
    FOR EACH STATEMENT EXECUTE FUNCTION charges_are_append_only();
CREATE TRIGGER charges_never_change BEFORE UPDATE OR DELETE ON charges
    FOR EACH ROW EXECUTE FUNCTION charges_are_append_only();
CREATE TRIGGER charges_never_vanish BEFORE TRUNCATE ON charges
    FOR EACH STATEMENT EXECUTE FUNCTION charges_are_append_only();

-- What a lease holds of its payer's subscription, of which month, and what was posted back for it.
ALTER TABLE leases ADD COLUMN cover_us BIGINT NOT NULL DEFAULT 0;
ALTER TABLE leases ADD COLUMN cover_current_us BIGINT NOT NULL DEFAULT 0;
ALTER TABLE leases ADD COLUMN cover_from_ms BIGINT NOT NULL DEFAULT 0;
ALTER TABLE leases ADD COLUMN cover_micros BIGINT NOT NULL DEFAULT 0;
