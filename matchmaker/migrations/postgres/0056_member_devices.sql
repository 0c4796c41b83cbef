-- Browsers in which members of an account were signed in, as keyed hashes: who plays on an own machine is known by them.
CREATE TABLE member_devices (
    account_id BYTEA NOT NULL REFERENCES accounts (id),
    device BYTEA NOT NULL,
    seen_ms BIGINT NOT NULL,
    PRIMARY KEY (account_id, device)
);
CREATE INDEX member_devices_by_time ON member_devices (seen_ms);
