-- The books. Common SQL: the SQLite store reads INT8 as INTEGER; the PostgreSQL store reads BLOB as BYTEA and drops WITHOUT ROWID.
-- Money is whole dong, times are Unix milliseconds, days are yyyymmdd of Asia/Ho_Chi_Minh.
-- Hot tables have no secondary index that a report can do without; the two on pending work are partial and stay small.

CREATE TABLE meta (
  name TEXT NOT NULL PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE subscriber (
  msisdn INT8 NOT NULL PRIMARY KEY CHECK (msisdn BETWEEN 84000000000 AND 84999999999),
  kind TEXT NOT NULL CHECK (kind IN ('prepaid', 'postpaid')),
  state TEXT NOT NULL CHECK (state IN ('active', 'out_of_money', 'debt_blocked', 'suspended', 'closed')),
  language TEXT NOT NULL CHECK (language IN ('vi', 'en')),
  centre INT8 NOT NULL CHECK (centre BETWEEN 1 AND 6),
  notices INT8 NOT NULL CHECK (notices IN (0, 1)),
  trial_used INT8 NOT NULL CHECK (trial_used IN (0, 1)),
  life INT8 NOT NULL CHECK (life >= 1),
  since INT8 NOT NULL
);

CREATE TABLE subscriber_detail (
  msisdn INT8 NOT NULL PRIMARY KEY,
  name TEXT NOT NULL,
  address TEXT NOT NULL,
  email TEXT NOT NULL
);

CREATE TABLE payment_password (
  msisdn INT8 NOT NULL PRIMARY KEY,
  hash TEXT NOT NULL,
  set_at INT8 NOT NULL
);

-- DESIGN 5: an account never goes below its floor, whatever the code does. A NULL floor is no floor.
CREATE TABLE account (
  id INT8 NOT NULL PRIMARY KEY,
  posted INT8 NOT NULL,
  held INT8 NOT NULL CHECK (held >= 0),
  floor INT8,
  last_entry INT8 NOT NULL,
  CHECK (floor IS NULL OR posted - held >= floor)
);

CREATE TABLE entry (
  seq INT8 NOT NULL PRIMARY KEY,
  debit INT8 NOT NULL,
  credit INT8 NOT NULL,
  amount INT8 NOT NULL CHECK (amount > 0),
  kind TEXT NOT NULL,
  command TEXT NOT NULL,
  event_at INT8 NOT NULL,
  committed_at INT8 NOT NULL,
  business_date INT8 NOT NULL,
  tariff TEXT NOT NULL,
  reverses INT8,
  debit_prev INT8 NOT NULL,
  credit_prev INT8 NOT NULL,
  prev_hash BLOB NOT NULL,
  hash BLOB NOT NULL,
  CHECK (debit <> credit)
);

CREATE TABLE hold (
  id TEXT NOT NULL PRIMARY KEY,
  account INT8 NOT NULL,
  amount INT8 NOT NULL CHECK (amount > 0),
  status TEXT NOT NULL CHECK (status IN ('open', 'posted', 'released', 'expired')),
  opened_at INT8 NOT NULL,
  expires_at INT8 NOT NULL,
  posted INT8 NOT NULL CHECK (posted >= 0 AND posted <= amount)
) WITHOUT ROWID;

CREATE TABLE subscription (
  msisdn INT8 NOT NULL PRIMARY KEY,
  package TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('active', 'suspended', 'cancelled')),
  trial INT8 NOT NULL CHECK (trial IN (0, 1)),
  period_no INT8 NOT NULL CHECK (period_no >= 1),
  started_at INT8 NOT NULL,
  ends_at INT8 NOT NULL CHECK (ends_at > started_at),
  next_at INT8 NOT NULL,
  remind_at INT8 NOT NULL,
  failed_since INT8 NOT NULL,
  tariff TEXT NOT NULL
);

CREATE INDEX subscription_due ON subscription (next_at) WHERE next_at > 0;

-- One charge per period, one trial per life of a number (PKG-2): the database says so too.
CREATE TABLE period (
  msisdn INT8 NOT NULL,
  life INT8 NOT NULL,
  period_no INT8 NOT NULL,
  package TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('trial', 'paid', 'missed')),
  starts_at INT8 NOT NULL,
  ends_at INT8 NOT NULL,
  entry INT8 NOT NULL,
  CHECK (ends_at > starts_at),
  CHECK ((kind = 'paid') = (entry > 0)),
  PRIMARY KEY (msisdn, life, period_no)
) WITHOUT ROWID;

CREATE UNIQUE INDEX period_trial ON period (msisdn, life) WHERE kind = 'trial';

CREATE TABLE list_entry (
  owner INT8 NOT NULL,
  number INT8 NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('white', 'black')),
  added_at INT8 NOT NULL,
  CHECK (owner <> number),
  PRIMARY KEY (owner, number)
) WITHOUT ROWID;

CREATE INDEX list_entry_number ON list_entry (number);

CREATE TABLE pending_confirm (
  msisdn INT8 NOT NULL PRIMARY KEY,
  package TEXT NOT NULL,
  expires_at INT8 NOT NULL
);

CREATE TABLE recent (
  subject TEXT NOT NULL PRIMARY KEY,
  times TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE command (
  key TEXT NOT NULL PRIMARY KEY,
  hash BLOB NOT NULL,
  answer BLOB NOT NULL,
  at INT8 NOT NULL
) WITHOUT ROWID;

CREATE TABLE mo (
  seq INT8 NOT NULL PRIMARY KEY,
  connection INT8 NOT NULL,
  at INT8 NOT NULL,
  source TEXT NOT NULL,
  short_code TEXT NOT NULL,
  route TEXT NOT NULL,
  text TEXT NOT NULL,
  verdict TEXT NOT NULL,
  fingerprint BLOB NOT NULL
);

CREATE TABLE mo_part (
  sender TEXT NOT NULL,
  ref INT8 NOT NULL,
  total INT8 NOT NULL,
  part INT8 NOT NULL,
  at INT8 NOT NULL,
  data_coding INT8 NOT NULL,
  sealed BLOB NOT NULL,
  PRIMARY KEY (sender, ref, total, part)
) WITHOUT ROWID;

CREATE TABLE outbox_sms (
  seq INT8 NOT NULL PRIMARY KEY,
  at INT8 NOT NULL,
  mo INT8 NOT NULL,
  kind TEXT NOT NULL,
  source TEXT NOT NULL,
  destination TEXT NOT NULL,
  text TEXT NOT NULL,
  expires_at INT8 NOT NULL,
  state INT8 NOT NULL,
  attempts INT8 NOT NULL,
  done_at INT8 NOT NULL,
  link TEXT NOT NULL,
  message_id TEXT NOT NULL,
  receipt INT8 NOT NULL
);

CREATE INDEX outbox_sms_pending ON outbox_sms (seq) WHERE state = 0;
CREATE INDEX outbox_sms_receipt ON outbox_sms (message_id) WHERE message_id <> '';

CREATE TABLE smsc_connection (
  id INT8 NOT NULL PRIMARY KEY,
  link TEXT NOT NULL,
  up_at INT8 NOT NULL,
  down_at INT8 NOT NULL,
  confirmed_seq INT8 NOT NULL,
  last_seq INT8 NOT NULL
);

CREATE TABLE quarantine (
  seq INT8 NOT NULL PRIMARY KEY,
  at INT8 NOT NULL,
  route TEXT NOT NULL,
  request TEXT NOT NULL,
  error TEXT NOT NULL
);

CREATE TABLE audit (
  seq INT8 NOT NULL PRIMARY KEY,
  at INT8 NOT NULL,
  actor TEXT NOT NULL,
  channel TEXT NOT NULL,
  action TEXT NOT NULL,
  subject TEXT NOT NULL,
  detail TEXT NOT NULL,
  prev_hash BLOB NOT NULL,
  hash BLOB NOT NULL
);

CREATE TABLE token (
  name TEXT NOT NULL PRIMARY KEY,
  scope TEXT NOT NULL,
  hash TEXT NOT NULL,
  created_at INT8 NOT NULL,
  revoked_at INT8 NOT NULL
) WITHOUT ROWID;

CREATE TABLE tariff_seen (
  id TEXT NOT NULL PRIMARY KEY,
  valid_from INT8 NOT NULL,
  hash TEXT NOT NULL
) WITHOUT ROWID;
