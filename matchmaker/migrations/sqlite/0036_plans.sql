-- Plans, subscriptions, what they were charged, and what leases hold of them.

-- A version is never changed: another is written.
CREATE TABLE plans (
    name TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0),
    since_ms INTEGER NOT NULL,
    included_us INTEGER NOT NULL CHECK (included_us >= 0),
    price_micros INTEGER NOT NULL CHECK (price_micros >= 0),
    currency TEXT NOT NULL,
    is_offered INTEGER NOT NULL CHECK (is_offered IN (0, 1)),
    PRIMARY KEY (name, version)
) STRICT;

-- One of each account, in its current month.
CREATE TABLE subscriptions (
    account_id BLOB PRIMARY KEY REFERENCES accounts (id),
    plan TEXT NOT NULL,
    version INTEGER NOT NULL,
    -- What a month of the plan includes and costs.
    plan_us INTEGER NOT NULL,
    plan_micros INTEGER NOT NULL,
    currency TEXT NOT NULL,
    anchor_ms INTEGER NOT NULL,
    number INTEGER NOT NULL,
    from_ms INTEGER NOT NULL,
    to_ms INTEGER NOT NULL,
    -- What this month includes and costs: plans may have changed in it.
    included_us INTEGER NOT NULL CHECK (included_us >= 0),
    fee_micros INTEGER NOT NULL CHECK (fee_micros >= 0),
    used_us INTEGER NOT NULL CHECK (used_us >= 0),
    covered_micros INTEGER NOT NULL CHECK (covered_micros >= 0),
    is_cancelled INTEGER NOT NULL CHECK (is_cancelled IN (0, 1)),
    ended_at_ms INTEGER,
    FOREIGN KEY (plan, version) REFERENCES plans (name, version)
) STRICT;
CREATE INDEX subscriptions_by_end ON subscriptions (to_ms) WHERE ended_at_ms IS NULL;

-- What is posted beside the transfers of leases. Append-only.
CREATE TABLE charges (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id BLOB NOT NULL REFERENCES accounts (id),
    at_ms INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('fee', 'change', 'covered', 'unused')),
    debit TEXT NOT NULL,
    credit TEXT NOT NULL,
    amount_micros INTEGER NOT NULL CHECK (amount_micros > 0),
    currency TEXT NOT NULL,
    key TEXT NOT NULL UNIQUE
) STRICT;
CREATE INDEX charges_of_account ON charges (account_id, at_ms);
CREATE TRIGGER plans_never_change BEFORE UPDATE ON plans
BEGIN SELECT RAISE(ABORT, 'plans are append-only'); END;
CREATE TRIGGER plans_never_vanish BEFORE DELETE ON plans
BEGIN SELECT RAISE(ABORT, 'plans are append-only'); END;
CREATE TRIGGER charges_never_change BEFORE UPDATE ON charges
BEGIN SELECT RAISE(ABORT, 'charges are append-only'); END;
CREATE TRIGGER charges_never_vanish BEFORE DELETE ON charges
BEGIN SELECT RAISE(ABORT, 'charges are append-only'); END;

-- What a lease holds of its payer's subscription, of which month, and what was posted back for it.
ALTER TABLE leases ADD COLUMN cover_us INTEGER NOT NULL DEFAULT 0;
ALTER TABLE leases ADD COLUMN cover_current_us INTEGER NOT NULL DEFAULT 0;
ALTER TABLE leases ADD COLUMN cover_from_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE leases ADD COLUMN cover_micros INTEGER NOT NULL DEFAULT 0;
