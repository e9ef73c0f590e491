-- What always follows is left to the database: a statement less for each message and each ended run.
CREATE TRIGGER entries_shown_anew AFTER INSERT ON entries WHEN new.hidden_at IS NULL BEGIN
    INSERT OR IGNORE INTO names (tid, name, eid) VALUES (new.tid, new.key, new.eid);
END;
CREATE TRIGGER runs_sealed AFTER UPDATE OF sealed_at ON runs WHEN new.sealed_at IS NOT NULL BEGIN
    DELETE FROM inputs WHERE rid = new.rid;
END;
