-- Receiver-paid texts that wait for B or for their receipt (PFM-30).

CREATE TABLE held_text (
  mo INT8 NOT NULL PRIMARY KEY,
  sender INT8 NOT NULL,
  payer INT8 NOT NULL,
  text TEXT NOT NULL,
  parts INT8 NOT NULL CHECK (parts >= 1),
  price_vnd INT8 NOT NULL CHECK (price_vnd >= 0),
  tariff TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('asking', 'sending', 'delivered', 'undelivered', 'refused', 'expired')),
  code TEXT NOT NULL,
  at INT8 NOT NULL,
  due_at INT8 NOT NULL
);

CREATE INDEX held_text_due ON held_text (due_at) WHERE due_at > 0;

CREATE TABLE asked_text (
  payer INT8 NOT NULL,
  code TEXT NOT NULL,
  mo INT8 NOT NULL,
  PRIMARY KEY (payer, code)
) WITHOUT ROWID;

-- Receipts of long texts come part by part: the text has arrived when all of its parts have.
CREATE TABLE part_receipt (
  message_id TEXT NOT NULL,
  link TEXT NOT NULL,
  outbox INT8 NOT NULL,
  remaining INT8 NOT NULL CHECK (remaining >= 0),
  PRIMARY KEY (message_id, link)
) WITHOUT ROWID;
