-- What a player may spend in a month: on a title, by its studio's word; or as an account, by its own.

CREATE TABLE spend_caps (
    kind TEXT NOT NULL CHECK (kind IN ('title', 'account')),
    subject TEXT NOT NULL,
    currency TEXT NOT NULL,
    limit_micros INTEGER NOT NULL CHECK (limit_micros >= 0),
    PRIMARY KEY (kind, subject)
) STRICT;

-- What each player has set aside or spent of a cap in a month in UTC, by the month in which its sessions began. Of the cap
-- of an account, the account is the player.
CREATE TABLE player_spending (
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    player BLOB NOT NULL,
    -- Months since the year 0.
    month INTEGER NOT NULL,
    committed_micros INTEGER NOT NULL,
    PRIMARY KEY (kind, subject, player, month)
) STRICT;

-- Who plays: a hash of the guest, or of what a studio calls its player. NULL of leases that are older.
ALTER TABLE leases ADD COLUMN player BLOB;
CREATE INDEX leases_of_player ON leases (player, started_at_ms) WHERE player IS NOT NULL;
