-- The general ledger of all replicas, block by block. Each replica keeps a copy on its disk; this is the record.

CREATE TABLE ledger_blocks (
    height INTEGER PRIMARY KEY CHECK (height >= 0),
    hash BLOB NOT NULL,
    bytes BLOB NOT NULL
) STRICT;
CREATE TRIGGER ledger_blocks_never_change BEFORE UPDATE ON ledger_blocks
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER ledger_blocks_never_vanish BEFORE DELETE ON ledger_blocks
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
