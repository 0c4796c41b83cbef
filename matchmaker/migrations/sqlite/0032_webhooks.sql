-- Webhooks, the events that they are told, and how far each got. Secrets are not kept: they follow from the server's own
-- secret, the webhook's id and the number of the secret.

CREATE TABLE webhooks (
    id BLOB PRIMARY KEY,
    account_id BLOB NOT NULL REFERENCES accounts (id),
    url TEXT NOT NULL,
    -- Words with spaces between them.
    events TEXT NOT NULL,
    -- NULL while events are sent.
    disabled TEXT CHECK (disabled IN ('asked', 'gone', 'failing')),
    secret_number INTEGER NOT NULL,
    -- Until when deliveries are signed with the secret before as well.
    old_secret_until_ms INTEGER,
    created_at_ms INTEGER NOT NULL,
    created_by BLOB REFERENCES members (id),
    removed_at_ms INTEGER,
    delivered_at_ms INTEGER,
    -- Its host asked for less: nothing is sent before.
    paused_until_ms INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX webhooks_of_account ON webhooks (account_id, created_at_ms) WHERE removed_at_ms IS NULL;

-- What happened, in the words that are sent. Written with what it tells of, and only where somebody wants to know.
CREATE TABLE events (
    id BLOB PRIMARY KEY,
    account_id BLOB NOT NULL REFERENCES accounts (id),
    kind TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_age ON events (at_ms);

CREATE TABLE deliveries (
    webhook_id BLOB NOT NULL,
    event_id BLOB NOT NULL,
    at_ms INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'dead')),
    due_ms INTEGER NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    -- Who tries it now, and until when nobody else does.
    claim BLOB,
    claimed_until_ms INTEGER NOT NULL DEFAULT 0,
    tried_at_ms INTEGER,
    status INTEGER,
    trouble TEXT,
    PRIMARY KEY (webhook_id, event_id)
) STRICT;
CREATE INDEX deliveries_due ON deliveries (due_ms) WHERE state = 'pending';
CREATE INDEX deliveries_by_age ON deliveries (webhook_id, at_ms);

-- When it was told last that little is left, and that it did not hold something; NULL: not since the limit was set.
ALTER TABLE accounts ADD COLUMN low_told_ms INTEGER;
ALTER TABLE accounts ADD COLUMN exhausted_told_ms INTEGER;
ALTER TABLE api_keys ADD COLUMN low_told_ms INTEGER;
ALTER TABLE api_keys ADD COLUMN exhausted_told_ms INTEGER;
ALTER TABLE budgets ADD COLUMN low_told_ms INTEGER;
ALTER TABLE budgets ADD COLUMN exhausted_told_ms INTEGER;
