-- Who is who beyond guests: accounts, members, keys; what they did; answers that may be asked for again.
-- Secrets of links, cookies and keys are kept hashed.

CREATE TABLE accounts (
    id BYTEA PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('studio', 'host', 'operator', 'player')),
    name TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    currency TEXT NOT NULL,
    -- NULL: without a limit.
    limit_micros BIGINT CHECK (limit_micros >= 0),
    committed_micros BIGINT NOT NULL DEFAULT 0 CHECK (committed_micros >= 0)
);

CREATE TABLE members (
    id BYTEA PRIMARY KEY,
    account_id BYTEA NOT NULL REFERENCES accounts (id),
    name TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('viewer', 'member', 'owner')),
    joined_at_ms BIGINT NOT NULL,
    removed_at_ms BIGINT
);
CREATE INDEX members_of_account ON members (account_id) WHERE removed_at_ms IS NULL;

-- One-time links: for a new member, or for one who is there.
CREATE TABLE sign_in_links (
    token_hash BYTEA PRIMARY KEY,
    account_id BYTEA NOT NULL REFERENCES accounts (id),
    role TEXT NOT NULL CHECK (role IN ('viewer', 'member', 'owner')),
    member_id BYTEA REFERENCES members (id),
    expires_at_ms BIGINT NOT NULL,
    used_at_ms BIGINT
);
CREATE TABLE member_cookies (
    cookie_hash BYTEA PRIMARY KEY,
    member_id BYTEA NOT NULL REFERENCES members (id),
    expires_at_ms BIGINT NOT NULL
);
CREATE INDEX member_cookies_by_member ON member_cookies (member_id);

CREATE TABLE api_keys (
    id BYTEA PRIMARY KEY,
    account_id BYTEA NOT NULL REFERENCES accounts (id),
    secret_hash BYTEA NOT NULL UNIQUE,
    name TEXT NOT NULL,
    prefix TEXT NOT NULL,
    -- Words with spaces between them.
    scopes TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    created_by BYTEA REFERENCES members (id),
    expires_at_ms BIGINT,
    revoked_at_ms BIGINT,
    last_used_ms BIGINT,
    currency TEXT NOT NULL,
    limit_micros BIGINT CHECK (limit_micros >= 0),
    committed_micros BIGINT NOT NULL DEFAULT 0 CHECK (committed_micros >= 0)
);
CREATE INDEX api_keys_of_account ON api_keys (account_id, created_at_ms);

-- Whose titles and nodes are.
CREATE TABLE owners (
    kind TEXT NOT NULL CHECK (kind IN ('title', 'node')),
    subject TEXT NOT NULL,
    account_id BYTEA NOT NULL REFERENCES accounts (id),
    PRIMARY KEY (kind, subject)
);
CREATE INDEX owners_by_account ON owners (account_id);

-- Who pays in the studio's place, and the key that asked.
ALTER TABLE leases ADD COLUMN account_id BYTEA REFERENCES accounts (id);
ALTER TABLE leases ADD COLUMN key_id BYTEA REFERENCES api_keys (id);
CREATE INDEX leases_of_account ON leases (account_id, id) WHERE account_id IS NOT NULL;

-- Who did what. Each line holds the hash of the one before.
CREATE TABLE audit_trail (
    number BIGINT PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    actor TEXT NOT NULL,
    account_id BYTEA,
    door TEXT NOT NULL,
    subject TEXT NOT NULL,
    status BIGINT NOT NULL,
    previous BYTEA NOT NULL,
    hash BYTEA NOT NULL
);
CREATE INDEX audit_trail_of_account ON audit_trail (account_id, number) WHERE account_id IS NOT NULL;
CREATE FUNCTION audit_trail_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'the audit trail is append-only'; END $$;
CREATE TRIGGER audit_trail_never_changes BEFORE UPDATE OR DELETE ON audit_trail
    FOR EACH ROW EXECUTE FUNCTION audit_trail_is_append_only();
CREATE TRIGGER audit_trail_never_vanishes BEFORE TRUNCATE ON audit_trail
    FOR EACH STATEMENT EXECUTE FUNCTION audit_trail_is_append_only();

-- Answers under idempotency keys. Without a status: under way. Without a body: it held a secret, which is shown once.
CREATE TABLE answers (
    key_hash BYTEA PRIMARY KEY,
    request_hash BYTEA NOT NULL,
    at_ms BIGINT NOT NULL,
    status BIGINT,
    content_type TEXT,
    body BYTEA
);
CREATE INDEX answers_by_age ON answers (at_ms);
