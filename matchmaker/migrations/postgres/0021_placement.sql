-- Sessions that make way for players; told to end by then.
CREATE TABLE interruptible_sessions (
    session_id BYTEA PRIMARY KEY REFERENCES sessions (id),
    ends_ms BIGINT
);

-- Nodes are listed page by page.
CREATE INDEX nodes_by_name ON nodes (name, id);
