-- Entries, audit lines and periods are never edited; a correction is a new row (DESIGN 5).

CREATE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE TRIGGER entry_append_only BEFORE UPDATE OR DELETE ON entry FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE TRIGGER entry_not_emptied BEFORE TRUNCATE ON entry FOR EACH STATEMENT EXECUTE FUNCTION append_only();
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE TRIGGER audit_not_emptied BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION append_only();
CREATE TRIGGER period_append_only BEFORE UPDATE OR DELETE ON period FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE TRIGGER period_not_emptied BEFORE TRUNCATE ON period FOR EACH STATEMENT EXECUTE FUNCTION append_only();

-- These rows are changed in place again and again: with room left on their page, a change costs no index.
ALTER TABLE account SET (fillfactor = 80);
ALTER TABLE meta SET (fillfactor = 50);
ALTER TABLE smsc_connection SET (fillfactor = 50);
