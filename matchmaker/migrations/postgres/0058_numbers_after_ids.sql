-- Who reads on from the last number that was seen must know that no lower one is still to come. Whoever writes has an
-- id of its transaction before it draws a number: then all lower numbers belong to transactions with ids that were given
-- out before, and these are over once the oldest that runs is younger.

CREATE FUNCTION transaction_has_id() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_current_xact_id(); RETURN NULL; END $$;
CREATE TRIGGER transfers_numbered_late BEFORE INSERT ON transfers
    FOR EACH STATEMENT EXECUTE FUNCTION transaction_has_id();
CREATE TRIGGER charges_numbered_late BEFORE INSERT ON charges
    FOR EACH STATEMENT EXECUTE FUNCTION transaction_has_id();
CREATE TRIGGER corrections_numbered_late BEFORE INSERT ON corrections
    FOR EACH STATEMENT EXECUTE FUNCTION transaction_has_id();
CREATE TRIGGER stake_entries_numbered_late BEFORE INSERT ON stake_entries
    FOR EACH STATEMENT EXECUTE FUNCTION transaction_has_id();
CREATE TRIGGER credits_numbered_late BEFORE INSERT ON credits
    FOR EACH STATEMENT EXECUTE FUNCTION transaction_has_id();
