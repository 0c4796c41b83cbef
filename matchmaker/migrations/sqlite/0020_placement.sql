-- What placement must not forget.

-- Sites by a number that every replica and every release reads alike.
CREATE TABLE latency_sites (
    number INTEGER PRIMARY KEY,
    site TEXT NOT NULL UNIQUE
) STRICT;

-- Of each client prefix, the lowest round trips of the last epochs by site. Replicas unite what they know.
CREATE TABLE latency_pasts (
    client BLOB PRIMARY KEY,
    past BLOB NOT NULL,
    newest INTEGER NOT NULL,
    changed_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX latency_pasts_by_change ON latency_pasts (changed_ms, client);
CREATE INDEX latency_pasts_by_age ON latency_pasts (newest, changed_ms);

-- Operators' orders about nodes. Lifted ones stay: they are the evidence of what was done.
CREATE TABLE node_orders (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    node_id BLOB NOT NULL REFERENCES nodes (id),
    kind TEXT NOT NULL CHECK (kind IN ('ban', 'drain')),
    reason TEXT NOT NULL,
    evidence TEXT NOT NULL,
    since_ms INTEGER NOT NULL,
    lifted_ms INTEGER
) STRICT;
CREATE UNIQUE INDEX node_orders_standing ON node_orders (node_id, kind) WHERE lifted_ms IS NULL;

-- Where titles may run, and what of a region is kept from spot.
CREATE TABLE placement_rules (
    kind TEXT NOT NULL CHECK (kind IN ('residency', 'reserve')),
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (kind, subject)
) STRICT;

-- Slots of a region, booked ahead, and the sessions that play on them.
CREATE TABLE bookings (
    id BLOB PRIMARY KEY,
    region TEXT NOT NULL,
    from_ms INTEGER NOT NULL,
    until_ms INTEGER NOT NULL CHECK (until_ms > from_ms),
    slots INTEGER NOT NULL CHECK (slots > 0),
    note TEXT NOT NULL,
    cancelled_ms INTEGER
) STRICT;
CREATE INDEX bookings_by_end ON bookings (until_ms) WHERE cancelled_ms IS NULL;
CREATE TABLE booking_sessions (
    booking_id BLOB NOT NULL REFERENCES bookings (id),
    session_id BLOB NOT NULL UNIQUE REFERENCES sessions (id),
    PRIMARY KEY (booking_id, session_id)
) STRICT;
