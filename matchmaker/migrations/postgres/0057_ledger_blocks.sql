-- The general ledger of all replicas, block by block. Each replica keeps a copy on its disk; this is the record.

CREATE TABLE ledger_blocks (
    height BIGINT PRIMARY KEY CHECK (height >= 0),
    hash BYTEA NOT NULL,
    bytes BYTEA NOT NULL
);
-- Blocks are hashes and numbers: compressing them costs time and saves little.
ALTER TABLE ledger_blocks ALTER COLUMN bytes SET STORAGE EXTERNAL;
CREATE TRIGGER ledger_blocks_never_change BEFORE UPDATE OR DELETE ON ledger_blocks
    FOR EACH ROW EXECUTE FUNCTION journal_is_append_only();
CREATE TRIGGER ledger_blocks_never_vanish BEFORE TRUNCATE ON ledger_blocks
    FOR EACH STATEMENT EXECUTE FUNCTION journal_is_append_only();
