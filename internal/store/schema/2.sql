-- VPCs, subnets, security groups and public addresses; doc is what users see.
CREATE TABLE objects (
    kind TEXT NOT NULL,
    id   TEXT NOT NULL,
    name TEXT NOT NULL,
    doc  TEXT NOT NULL,
    PRIMARY KEY (kind, id),
    UNIQUE (kind, name)
) WITHOUT ROWID;

-- Where the search for a free address of a subnet, or of the public ones, begins.
CREATE TABLE cursors (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO cursors SELECT 'subnet-default', value FROM counters WHERE name='address';
DELETE FROM counters WHERE name='address';

ALTER TABLE sandboxes ADD COLUMN subnet TEXT NOT NULL DEFAULT 'subnet-default';
ALTER TABLE sandboxes ADD COLUMN address6 TEXT NOT NULL DEFAULT '';
