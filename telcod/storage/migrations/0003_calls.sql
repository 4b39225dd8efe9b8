-- Receiver-paid calls (PFM-10..17). One row per call; what is due for supervision is a small partial index.

CREATE TABLE call (
  id TEXT NOT NULL PRIMARY KEY,
  caller INT8 NOT NULL,
  payer INT8 NOT NULL,
  payer_life INT8 NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('asking', 'granted', 'talking', 'ended', 'refused')),
  reason TEXT NOT NULL,
  language TEXT NOT NULL,
  asks INT8 NOT NULL,
  automatic INT8 NOT NULL CHECK (automatic IN (0, 1)),
  consent_key TEXT NOT NULL,
  consent_at INT8 NOT NULL,
  wording TEXT NOT NULL,
  recording TEXT NOT NULL,
  tariff TEXT NOT NULL,
  granted_s INT8 NOT NULL CHECK (granted_s >= 0),
  final INT8 NOT NULL CHECK (final IN (0, 1)),
  offered_at INT8 NOT NULL,
  answered_at INT8 NOT NULL,
  answered_there INT8 NOT NULL,
  used_s INT8 NOT NULL CHECK (used_s >= 0),
  ended_at INT8 NOT NULL,
  billed_s INT8 NOT NULL CHECK (billed_s >= 0 AND billed_s <= granted_s),
  charged_vnd INT8 NOT NULL CHECK (charged_vnd >= 0),
  written_off_vnd INT8 NOT NULL CHECK (written_off_vnd >= 0),
  suspect INT8 NOT NULL CHECK (suspect IN (0, 1)),
  due_at INT8 NOT NULL
) WITHOUT ROWID;

CREATE INDEX call_due ON call (due_at) WHERE due_at > 0;

CREATE TABLE asking (
  payer INT8 NOT NULL PRIMARY KEY,
  call TEXT NOT NULL
);
