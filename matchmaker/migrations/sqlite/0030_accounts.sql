-- Who is who beyond guests: accounts, members, keys; what they did; answers that may be asked for again.
-- Secrets of links, cookies and keys are kept hashed.

CREATE TABLE accounts (
    id BLOB PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('studio', 'host', 'operator', 'player')),
    name TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    currency TEXT NOT NULL,
    -- NULL: without a limit.
    limit_micros INTEGER CHECK (limit_micros >= 0),
    committed_micros INTEGER NOT NULL DEFAULT 0 CHECK (committed_micros >= 0)
) STRICT;

CREATE TABLE members (
    id BLOB PRIMARY KEY,
    account_id BLOB NOT NULL REFERENCES accounts (id),
    name TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('viewer', 'member', 'owner')),
    joined_at_ms INTEGER NOT NULL,
    removed_at_ms INTEGER
) STRICT;
CREATE INDEX members_of_account ON members (account_id) WHERE removed_at_ms IS NULL;

-- One-time links: for a new member, or for one who is there.
CREATE TABLE sign_in_links (
    token_hash BLOB PRIMARY KEY,
    account_id BLOB NOT NULL REFERENCES accounts (id),
    role TEXT NOT NULL CHECK (role IN ('viewer', 'member', 'owner')),
    member_id BLOB REFERENCES members (id),
    expires_at_ms INTEGER NOT NULL,
    used_at_ms INTEGER
) STRICT;
CREATE TABLE member_cookies (
    cookie_hash BLOB PRIMARY KEY,
    member_id BLOB NOT NULL REFERENCES members (id),
    expires_at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX member_cookies_by_member ON member_cookies (member_id);

CREATE TABLE api_keys (
    id BLOB PRIMARY KEY,
    account_id BLOB NOT NULL REFERENCES accounts (id),
    secret_hash BLOB NOT NULL UNIQUE,
    name TEXT NOT NULL,
    prefix TEXT NOT NULL,
    -- Words with spaces between them.
    scopes TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    created_by BLOB REFERENCES members (id),
    expires_at_ms INTEGER,
    revoked_at_ms INTEGER,
    last_used_ms INTEGER,
    currency TEXT NOT NULL,
    limit_micros INTEGER CHECK (limit_micros >= 0),
    committed_micros INTEGER NOT NULL DEFAULT 0 CHECK (committed_micros >= 0)
) STRICT;
CREATE INDEX api_keys_of_account ON api_keys (account_id, created_at_ms);

-- Whose titles and nodes are.
CREATE TABLE owners (
    kind TEXT NOT NULL CHECK (kind IN ('title', 'node')),
    subject TEXT NOT NULL,
    account_id BLOB NOT NULL REFERENCES accounts (id),
    PRIMARY KEY (kind, subject)
) STRICT;
CREATE INDEX owners_by_account ON owners (account_id);

-- Who pays in the studio's place, and the key that asked.
ALTER TABLE leases ADD COLUMN account_id BLOB REFERENCES accounts (id);
ALTER TABLE leases ADD COLUMN key_id BLOB REFERENCES api_keys (id);
CREATE INDEX leases_of_account ON leases (account_id, id) WHERE account_id IS NOT NULL;

-- Who did what. Each line holds the hash of the one before.
CREATE TABLE audit_trail (
    number INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    actor TEXT NOT NULL,
    account_id BLOB,
    door TEXT NOT NULL,
    subject TEXT NOT NULL,
    status INTEGER NOT NULL,
    previous BLOB NOT NULL,
    hash BLOB NOT NULL
) STRICT;
CREATE INDEX audit_trail_of_account ON audit_trail (account_id, number) WHERE account_id IS NOT NULL;
CREATE TRIGGER audit_trail_never_changes BEFORE UPDATE ON audit_trail
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
CREATE TRIGGER audit_trail_never_vanishes BEFORE DELETE ON audit_trail
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;

-- Answers under idempotency keys. Without a status: under way. Without a body: it held a secret, which is shown once.
CREATE TABLE answers (
    key_hash BLOB PRIMARY KEY,
    request_hash BLOB NOT NULL,
    at_ms INTEGER NOT NULL,
    status INTEGER,
    content_type TEXT,
    body BLOB
) STRICT;
CREATE INDEX answers_by_age ON answers (at_ms);
