-- Saved games of guests. The packs themselves are assets, known by their hash.

CREATE TABLE saves (
    guest_id BLOB NOT NULL,
    title TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0),
    based_on INTEGER,
    hash BLOB NOT NULL,
    size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0),
    title_version TEXT NOT NULL,
    session_id BLOB NOT NULL REFERENCES sessions (id),
    generation INTEGER NOT NULL,
    -- When that session was created: a late save of an older session is not the newest.
    played_at_ms INTEGER NOT NULL,
    created_at_ms INTEGER NOT NULL,
    PRIMARY KEY (guest_id, title, version)
) STRICT;
CREATE INDEX saves_by_hash ON saves (hash);

-- The last version given out: deleting saves never makes a version come twice.
CREATE TABLE save_counters (
    guest_id BLOB NOT NULL,
    title TEXT NOT NULL,
    last_version INTEGER NOT NULL,
    PRIMARY KEY (guest_id, title)
) STRICT;

-- Assets that no row needs: on their way in, or to be removed.
CREATE TABLE unreferenced_assets (
    hash BLOB PRIMARY KEY,
    since_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX unreferenced_assets_by_age ON unreferenced_assets (since_ms);
