-- What placement must not forget.

-- Sites by a number that every replica and every release reads alike.
CREATE TABLE latency_sites (
    number BIGINT PRIMARY KEY,
    site TEXT NOT NULL UNIQUE
);

-- Of each client prefix, the lowest round trips of the last epochs by site. Replicas unite what they know.
CREATE TABLE latency_pasts (
    client BYTEA PRIMARY KEY,
    past BYTEA NOT NULL,
    newest BIGINT NOT NULL,
    changed_ms BIGINT NOT NULL
);
CREATE INDEX latency_pasts_by_change ON latency_pasts (changed_ms, client);
CREATE INDEX latency_pasts_by_age ON latency_pasts (newest, changed_ms);

-- Operators' orders about nodes. Lifted ones stay: they are the evidence of what was done.
CREATE TABLE node_orders (
    seq BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    node_id BYTEA NOT NULL REFERENCES nodes (id),
    kind TEXT NOT NULL CHECK (kind IN ('ban', 'drain')),
    reason TEXT NOT NULL,
    evidence TEXT NOT NULL,
    since_ms BIGINT NOT NULL,
    lifted_ms BIGINT
);
CREATE UNIQUE INDEX node_orders_standing ON node_orders (node_id, kind) WHERE lifted_ms IS NULL;

-- Where titles may run, and what of a region is kept from spot.
CREATE TABLE placement_rules (
    kind TEXT NOT NULL CHECK (kind IN ('residency', 'reserve')),
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (kind, subject)
);

-- Slots of a region, booked ahead, and the sessions that play on them.
CREATE TABLE bookings (
    id BYTEA PRIMARY KEY,
    region TEXT NOT NULL,
    from_ms BIGINT NOT NULL,
    until_ms BIGINT NOT NULL CHECK (until_ms > from_ms),
    slots BIGINT NOT NULL CHECK (slots > 0),
    note TEXT NOT NULL,
    cancelled_ms BIGINT
);
CREATE INDEX bookings_by_end ON bookings (until_ms) WHERE cancelled_ms IS NULL;
CREATE TABLE booking_sessions (
    booking_id BYTEA NOT NULL REFERENCES bookings (id),
    session_id BYTEA NOT NULL UNIQUE REFERENCES sessions (id),
    PRIMARY KEY (booking_id, session_id)
);
