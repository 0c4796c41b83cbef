-- What one node earned is read by its leases.
CREATE INDEX leases_of_node ON leases (node_id);

-- Follows from the other payouts, and from those that fail later.
ALTER TABLE payouts DROP COLUMN rail_total_micros;
