-- Passkeys of members.

CREATE TABLE passkeys (
    id BLOB PRIMARY KEY,
    credential_id BLOB NOT NULL UNIQUE,
    member_id BLOB NOT NULL REFERENCES members (id),
    name TEXT NOT NULL,
    -- JSON: public key, counter and what the authenticator said of itself.
    body TEXT NOT NULL,
    added_at_ms INTEGER NOT NULL,
    last_used_ms INTEGER,
    -- When its counter went back.
    flagged_at_ms INTEGER
) STRICT;
CREATE INDEX passkeys_of_member ON passkeys (member_id);
