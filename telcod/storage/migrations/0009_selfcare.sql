-- Subscribers on web and app: codes by SMS, and sessions (SELF-1).  Of codes and tokens only hashes are kept.

CREATE TABLE login_code (
  msisdn INT8 NOT NULL PRIMARY KEY,
  life INT8 NOT NULL,
  hash TEXT NOT NULL,
  expires_at INT8 NOT NULL,
  tries INT8 NOT NULL CHECK (tries BETWEEN 0 AND 5),
  asked TEXT NOT NULL,
  sessions TEXT NOT NULL
);

CREATE TABLE self_session (
  hash TEXT NOT NULL PRIMARY KEY,
  msisdn INT8 NOT NULL,
  life INT8 NOT NULL,
  channel TEXT NOT NULL CHECK (channel IN ('web', 'app')),
  started_at INT8 NOT NULL,
  touched_at INT8 NOT NULL,
  acts INT8 NOT NULL CHECK (acts >= 0)
) WITHOUT ROWID;
