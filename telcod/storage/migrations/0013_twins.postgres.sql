-- A text that an SMSC sends again may come by the link of another daemon than the first time: it is looked for in the journal.

CREATE INDEX mo_fingerprint ON mo (fingerprint);
