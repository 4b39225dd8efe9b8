-- Card payments (PAY-3..13).  What is stated of money and of centres is said here as well: the database refuses what no handler should ask for.

CREATE TABLE payment (
  id TEXT NOT NULL PRIMARY KEY,
  msisdn INT8 NOT NULL,
  life INT8 NOT NULL,
  centre INT8 NOT NULL CHECK (centre BETWEEN 1 AND 6),
  purpose TEXT NOT NULL CHECK (purpose IN ('bill', 'topup')),
  card TEXT NOT NULL CHECK (card IN ('international', 'domestic')),
  amount_vnd INT8 NOT NULL CHECK (amount_vnd BETWEEN 50000 AND 10000000),
  state TEXT NOT NULL CHECK (state IN ('created', 'redirected', 'unknown', 'in_review', 'clearing', 'clearing_failed',
                                       'cleared', 'declined', 'expired', 'rejected_fraud', 'cancelled')),
  reason TEXT NOT NULL,
  platform TEXT NOT NULL,
  address TEXT NOT NULL,
  email TEXT NOT NULL,
  invoice INT8 NOT NULL CHECK (invoice IN (0, 1)),
  return_url TEXT NOT NULL,
  day INT8 NOT NULL,
  slot INT8 NOT NULL CHECK (slot IN (0, 1)),
  created_at INT8 NOT NULL,
  redirect_url TEXT NOT NULL,
  gateway_ref TEXT NOT NULL,
  masked_card TEXT NOT NULL,
  card_token TEXT NOT NULL,
  bank TEXT NOT NULL,
  cashier TEXT NOT NULL,
  authorised_at INT8 NOT NULL,
  risk TEXT NOT NULL,
  cleared_at INT8 NOT NULL,
  collected INT8 NOT NULL,
  cleared INT8 NOT NULL,
  asked INT8 NOT NULL,
  voiding INT8 NOT NULL CHECK (voiding IN (0, 1, 2)),
  alarmed INT8 NOT NULL CHECK (alarmed IN (0, 1)),
  cancel_by TEXT NOT NULL,
  next_at INT8 NOT NULL,
  UNIQUE (id, centre),
  CHECK ((state IN ('cleared', 'cancelled')) = (cleared > 0))
);

CREATE INDEX payment_due ON payment (next_at) WHERE next_at > 0;
CREATE INDEX payment_day ON payment (day);

CREATE TABLE limit_counter (
  msisdn INT8 NOT NULL,
  day INT8 NOT NULL,
  payments INT8 NOT NULL CHECK (payments BETWEEN 0 AND 5),
  bills_vnd INT8 NOT NULL CHECK (bills_vnd BETWEEN 0 AND 10000000),
  topups_vnd INT8 NOT NULL CHECK (topups_vnd >= 0),
  PRIMARY KEY (msisdn, day)
) WITHOUT ROWID;

CREATE TABLE payment_of (
  subject TEXT NOT NULL,
  payment TEXT NOT NULL,
  at INT8 NOT NULL,
  PRIMARY KEY (subject, payment)
) WITHOUT ROWID;

CREATE TABLE clearing (
  seq INT8 NOT NULL PRIMARY KEY,
  at INT8 NOT NULL,
  day INT8 NOT NULL,
  payment TEXT NOT NULL,
  centre INT8 NOT NULL,
  operator TEXT NOT NULL CHECK (operator = 'C' || centre || '_ePayment'),
  kind TEXT NOT NULL CHECK (kind IN ('cleared', 'cancelled')),
  amount_vnd INT8 NOT NULL CHECK (amount_vnd > 0),
  entry INT8 NOT NULL,
  FOREIGN KEY (payment, centre) REFERENCES payment (id, centre)
);

CREATE INDEX clearing_day ON clearing (day);

CREATE TABLE payment_case (
  seq INT8 NOT NULL PRIMARY KEY,
  payment TEXT NOT NULL,
  kind TEXT NOT NULL,
  opened_at INT8 NOT NULL,
  detail TEXT NOT NULL,
  closed_at INT8 NOT NULL,
  closed_by TEXT NOT NULL,
  note TEXT NOT NULL
);

CREATE TABLE centre (
  centre INT8 NOT NULL PRIMARY KEY CHECK (centre BETWEEN 1 AND 6),
  clearing_open INT8 NOT NULL CHECK (clearing_open IN (0, 1)),
  since INT8 NOT NULL
);

CREATE TABLE lookup_tries (
  msisdn INT8 NOT NULL PRIMARY KEY,
  wrong INT8 NOT NULL,
  locked_until INT8 NOT NULL
);

CREATE TABLE invoice (
  payment TEXT NOT NULL PRIMARY KEY,
  msisdn INT8 NOT NULL,
  centre INT8 NOT NULL CHECK (centre BETWEEN 1 AND 6),
  day INT8 NOT NULL,
  at INT8 NOT NULL,
  name TEXT NOT NULL,
  address TEXT NOT NULL,
  email TEXT NOT NULL,
  purpose TEXT NOT NULL,
  amount_vnd INT8 NOT NULL CHECK (amount_vnd > 0)
);

CREATE INDEX invoice_day ON invoice (day, centre);

CREATE TABLE gateway_file (
  day INT8 NOT NULL PRIMARY KEY,
  hash TEXT NOT NULL UNIQUE,
  lines INT8 NOT NULL,
  amount_vnd INT8 NOT NULL,
  at INT8 NOT NULL,
  actor TEXT NOT NULL,
  matched INT8 NOT NULL,
  differences INT8 NOT NULL
);

CREATE TABLE gateway_line (
  day INT8 NOT NULL,
  line INT8 NOT NULL,
  payment TEXT NOT NULL,
  amount_vnd INT8 NOT NULL,
  cashier TEXT NOT NULL,
  verdict TEXT NOT NULL CHECK (verdict IN ('matched', 'missing_here', 'missing_there', 'amount', 'doubled')),
  ours_vnd INT8 NOT NULL,
  entry INT8 NOT NULL,
  PRIMARY KEY (day, line)
) WITHOUT ROWID;

CREATE TABLE day_close (
  day INT8 NOT NULL PRIMARY KEY,
  at INT8 NOT NULL,
  collected_vnd INT8 NOT NULL,
  cleared_vnd INT8 NOT NULL,
  transit_vnd INT8 NOT NULL,
  differences INT8 NOT NULL,
  actor TEXT NOT NULL
);

CREATE TABLE settlement (
  id TEXT NOT NULL PRIMARY KEY,
  day INT8 NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('advance', 'final')),
  amount_vnd INT8 NOT NULL CHECK (amount_vnd > 0),
  entry INT8 NOT NULL,
  at INT8 NOT NULL
);

CREATE TABLE outbox_mail (
  seq INT8 NOT NULL PRIMARY KEY,
  at INT8 NOT NULL,
  kind TEXT NOT NULL,
  recipient TEXT NOT NULL,
  subject TEXT NOT NULL,
  body TEXT NOT NULL,
  state INT8 NOT NULL CHECK (state IN (0, 1, 2, 3)),
  attempts INT8 NOT NULL,
  next_at INT8 NOT NULL,
  done_at INT8 NOT NULL
);

CREATE INDEX outbox_mail_pending ON outbox_mail (next_at) WHERE state = 0;
