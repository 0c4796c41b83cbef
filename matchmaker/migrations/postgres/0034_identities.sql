-- Who members are elsewhere, and sign-ins that are under way.

CREATE TABLE identities (
    id BYTEA PRIMARY KEY,
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    member_id BYTEA NOT NULL REFERENCES members (id),
    -- What the provider called this person.
    name TEXT NOT NULL,
    linked_at_ms BIGINT NOT NULL,
    last_used_ms BIGINT,
    UNIQUE (issuer, subject, member_id)
);
CREATE INDEX identities_of_member ON identities (member_id);

-- Under the hash of secrets that only the browser knows which began it; taken once.
CREATE TABLE pending_sign_ins (
    key_hash BYTEA PRIMARY KEY,
    body TEXT NOT NULL,
    expires_at_ms BIGINT NOT NULL
);
CREATE INDEX pending_sign_ins_by_end ON pending_sign_ins (expires_at_ms);
