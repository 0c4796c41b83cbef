-- Which limit ended a session that ended because what it may spend was used up.

ALTER TABLE sessions ADD COLUMN end_limit TEXT
    CHECK (end_limit IN ('title_budget', 'account_budget', 'key_budget', 'account_cap', 'player_cap'));
