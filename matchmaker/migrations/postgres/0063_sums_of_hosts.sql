-- What one host earned, gave back and was paid is read by that host.

CREATE INDEX corrections_of_debtor ON corrections (debit);
CREATE INDEX credits_of_debtor ON credits (debit);
CREATE INDEX payouts_of_node ON payouts (node_id);
