CREATE TRIGGER clearing_no_update BEFORE UPDATE ON clearing BEGIN SELECT RAISE(ABORT, 'clearing is append-only'); END;
CREATE TRIGGER clearing_no_delete BEFORE DELETE ON clearing BEGIN SELECT RAISE(ABORT, 'clearing is append-only'); END;
