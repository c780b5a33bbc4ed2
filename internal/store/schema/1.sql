CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO counters VALUES ('revision', 0), ('address', 0);

-- doc is what users see (api.Instance), run what only the engine needs.
CREATE TABLE instances (
    id           TEXT PRIMARY KEY,
    name         TEXT NOT NULL UNIQUE,
    phase        TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    revision     INTEGER NOT NULL,
    doc          TEXT NOT NULL,
    run          TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX instances_by_age ON instances (created_at, id);
CREATE INDEX instances_by_phase ON instances (phase);

-- What a client token made, kept longer than the instance may be.
CREATE TABLE tokens (
    token      TEXT PRIMARY KEY,
    instance   TEXT NOT NULL,
    hash       TEXT NOT NULL,
    created_at INTEGER NOT NULL
) WITHOUT ROWID;

-- A row exists before anything of the sandbox does, and until all of it is gone.
-- instance is empty for a standby sandbox.
CREATE TABLE sandboxes (
    id        TEXT PRIMARY KEY,
    instance  TEXT NOT NULL,
    isolation TEXT NOT NULL,
    address   TEXT NOT NULL,
    cpu       INTEGER NOT NULL,
    memory    INTEGER NOT NULL,
    ready     INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE events (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    instance   TEXT NOT NULL,
    name       TEXT NOT NULL,
    container  TEXT NOT NULL,
    type       TEXT NOT NULL,
    reason     TEXT NOT NULL,
    message    TEXT NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen  INTEGER NOT NULL,
    count      INTEGER NOT NULL
);
CREATE INDEX events_by_instance ON events (instance, reason);
CREATE INDEX events_by_time ON events (last_seen);

CREATE TABLE secrets (
    name       TEXT PRIMARY KEY,
    type       TEXT NOT NULL,
    data       TEXT NOT NULL,
    created_at INTEGER NOT NULL
) WITHOUT ROWID;
