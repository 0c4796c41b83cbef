-- Signed roots over what hosts have earned until the end of a day. The amounts follow from the transfers.

CREATE TABLE settlements (
    -- Days since 1970-01-01.
    epoch INTEGER PRIMARY KEY,
    leaves INTEGER NOT NULL,
    root BLOB NOT NULL,
    previous_root BLOB NOT NULL,
    signature BLOB NOT NULL
) STRICT;
