-- Browsers in which members of an account were signed in, as keyed hashes: who plays on an own machine is known by them.
CREATE TABLE member_devices (
    account_id BLOB NOT NULL REFERENCES accounts (id),
    device BLOB NOT NULL,
    seen_ms INTEGER NOT NULL,
    PRIMARY KEY (account_id, device)
) STRICT;
CREATE INDEX member_devices_by_time ON member_devices (seen_ms);
