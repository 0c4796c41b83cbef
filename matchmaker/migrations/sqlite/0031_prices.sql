-- Rate cards: prices by kind of work, region and GPU tier. A version is never changed; leases name theirs.

CREATE TABLE rate_cards (
    version INTEGER PRIMARY KEY CHECK (version > 0),
    since_ms INTEGER NOT NULL,
    source TEXT NOT NULL CHECK (source IN ('configuration', 'operator')),
    -- JSON: currency, fee, note, rates.
    body TEXT NOT NULL
) STRICT;
CREATE TRIGGER rate_cards_never_change BEFORE UPDATE ON rate_cards
BEGIN SELECT RAISE(ABORT, 'rate cards are append-only'); END;
CREATE TRIGGER rate_cards_never_vanish BEFORE DELETE ON rate_cards
BEGIN SELECT RAISE(ABORT, 'rate cards are append-only'); END;

-- What a lease's price follows from; NULL of leases that are older than rate cards.
ALTER TABLE leases ADD COLUMN rate_card INTEGER REFERENCES rate_cards (version);
ALTER TABLE leases ADD COLUMN work TEXT;
ALTER TABLE leases ADD COLUMN rate_region TEXT;
ALTER TABLE leases ADD COLUMN gpu_tier INTEGER;

-- Sums of a time are asked for again and again while a page shows them.
CREATE INDEX receipts_by_time ON receipts (received_at_ms);
CREATE INDEX transfers_posted_by_time ON transfers (at_ms) WHERE kind = 'post';
