-- Signed roots over what hosts have earned until the end of a day. The amounts follow from the transfers.

CREATE TABLE settlements (
    -- Days since 1970-01-01.
    epoch BIGINT PRIMARY KEY,
    leaves BIGINT NOT NULL,
    root BYTEA NOT NULL,
    previous_root BYTEA NOT NULL,
    signature BYTEA NOT NULL
);
