-- USSD dialogues and pushes (USSD-3, USSD-4), and events for other systems (MQTT-2).

CREATE TABLE ussd_session (
  id TEXT NOT NULL PRIMARY KEY,
  msisdn INT8 NOT NULL,
  life INT8 NOT NULL,
  service_code TEXT NOT NULL,
  started_at INT8 NOT NULL,
  touched_at INT8 NOT NULL,
  step INT8 NOT NULL CHECK (step >= 0),
  typed TEXT NOT NULL,
  heard TEXT NOT NULL,
  shown TEXT NOT NULL,
  place TEXT NOT NULL,
  ended INT8 NOT NULL CHECK (ended IN (0, 1))
) WITHOUT ROWID;

-- By when they began, which never changes: a step costs no index.
CREATE INDEX ussd_session_started ON ussd_session (started_at);

CREATE TABLE ussd_last (
  msisdn INT8 NOT NULL PRIMARY KEY,
  session TEXT NOT NULL
);

CREATE TABLE outbox_push (
  seq INT8 NOT NULL PRIMARY KEY,
  at INT8 NOT NULL,
  msisdn INT8 NOT NULL,
  kind TEXT NOT NULL,
  ref TEXT NOT NULL,
  text TEXT NOT NULL,
  asks INT8 NOT NULL CHECK (asks IN (0, 1)),
  expires_at INT8 NOT NULL,
  state INT8 NOT NULL CHECK (state IN (0, 1, 2, 3)),
  attempts INT8 NOT NULL,
  done_at INT8 NOT NULL
);

CREATE INDEX outbox_push_pending ON outbox_push (seq) WHERE state = 0;

CREATE TABLE outbox_event (
  seq INT8 NOT NULL PRIMARY KEY,
  at INT8 NOT NULL,
  subject TEXT NOT NULL,
  verb TEXT NOT NULL,
  msisdn INT8 NOT NULL,
  body TEXT NOT NULL
);
