-- What staff look for (CARE-1, CARE-2).  The journal of texts has no index of subscribers: it is read backwards, a stretch at a time.

CREATE INDEX audit_subject ON audit (subject);
CREATE INDEX call_offered ON call (offered_at, payer, caller);
CREATE INDEX call_suspect ON call (offered_at) WHERE suspect = 1;
CREATE INDEX payment_case_open ON payment_case (seq) WHERE closed_at = 0;
CREATE INDEX payment_cancel_proposed ON payment (created_at) WHERE cancel_by <> '' AND state = 'cleared';
