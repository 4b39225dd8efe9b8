-- What reports of a day look for. All are partial or small: trials happen once in the life of a number, few renewals fail.

CREATE INDEX period_trial_start ON period (starts_at) WHERE kind = 'trial';
CREATE INDEX subscription_failing ON subscription (failed_since) WHERE failed_since > 0;
