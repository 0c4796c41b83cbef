-- Replicas that share this database, who owns which region, and who holds which node's link.
-- Nothing here is compared with a clock: a replica that lives counts up, and the others watch it count.

CREATE TABLE replicas (
    id INTEGER PRIMARY KEY,
    beat INTEGER NOT NULL
) STRICT;

-- Whoever leases in a region shows its fencing number; each new owner has a higher one.
CREATE TABLE regions (
    region TEXT PRIMARY KEY,
    owner INTEGER NOT NULL,
    fence INTEGER NOT NULL
) STRICT;

-- The number of a node's newest link, and the replica that holds it; no replica: the node is lost.
ALTER TABLE nodes ADD COLUMN link INTEGER NOT NULL DEFAULT 0;
ALTER TABLE nodes ADD COLUMN link_replica INTEGER;
-- Slots that leases hold, and how often that changed.
ALTER TABLE nodes ADD COLUMN held INTEGER NOT NULL DEFAULT 0 CHECK (held >= 0);
ALTER TABLE nodes ADD COLUMN held_changes INTEGER NOT NULL DEFAULT 0;
UPDATE nodes SET held = (SELECT count(*) FROM leases WHERE node_id = nodes.id AND ended_at_ms IS NULL);
-- Sessions from before this release: their nodes are awaited as after any restart.
UPDATE nodes SET link_replica = 0 WHERE held > 0;
CREATE INDEX nodes_held ON nodes (link_replica) WHERE held > 0;
