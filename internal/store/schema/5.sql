-- Rows in the order of their age: a page of a list lies together, and a row of up to 4 KB
-- needs no page of its own.
CREATE TABLE instances_5 (
    id         TEXT PRIMARY KEY,
    account    TEXT NOT NULL,
    name       TEXT NOT NULL,
    phase      TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    revision   INTEGER NOT NULL,
    doc        TEXT NOT NULL,
    run        TEXT NOT NULL,
    UNIQUE (account, name)
);
INSERT INTO instances_5 SELECT * FROM instances ORDER BY created_at, id;
DROP TABLE instances;
ALTER TABLE instances_5 RENAME TO instances;
CREATE INDEX instances_by_age ON instances (created_at, id);
CREATE INDEX instances_by_account ON instances (account, created_at, id);
