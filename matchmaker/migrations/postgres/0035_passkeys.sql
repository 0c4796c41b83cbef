-- Passkeys of members.

CREATE TABLE passkeys (
    id BYTEA PRIMARY KEY,
    credential_id BYTEA NOT NULL UNIQUE,
    member_id BYTEA NOT NULL REFERENCES members (id),
    name TEXT NOT NULL,
    -- JSON: public key, counter and what the authenticator said of itself.
    body TEXT NOT NULL,
    added_at_ms BIGINT NOT NULL,
    last_used_ms BIGINT,
    -- When its counter went back.
    flagged_at_ms BIGINT
);
CREATE INDEX passkeys_of_member ON passkeys (member_id);
