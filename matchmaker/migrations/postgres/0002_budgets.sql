-- What may be spent on a title, and what is set aside or spent of it.

CREATE TABLE budgets (
    title TEXT NOT NULL,
    currency TEXT NOT NULL,
    -- NULL: without a limit.
    limit_micros BIGINT CHECK (limit_micros >= 0),
    committed_micros BIGINT NOT NULL CHECK (committed_micros >= 0),
    PRIMARY KEY (title, currency)
);

INSERT INTO budgets (title, currency, limit_micros, committed_micros)
SELECT substr(debit, 8), currency, NULL,
       CAST(sum(CASE kind WHEN 'pending' THEN amount_micros WHEN 'void' THEN -amount_micros ELSE 0 END) AS BIGINT)
  FROM transfers WHERE debit LIKE 'studio:%' GROUP BY debit, currency;
