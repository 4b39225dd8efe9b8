-- The foreign key of `clearing` looks for a payment's rows whenever the payment is written: without this, through the whole table.

CREATE INDEX clearing_payment ON clearing (payment, centre);
