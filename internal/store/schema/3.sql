-- What is paid for: a row for each sandbox in which programs of an instance ran. It
-- outlives the instance. addresses is when a public address was bound, counter the last
-- count of the sandbox's interface that was taken over.
CREATE TABLE usage (
    sandbox    TEXT PRIMARY KEY,
    instance   TEXT NOT NULL,
    name       TEXT NOT NULL,
    labels     TEXT NOT NULL,
    isolation  TEXT NOT NULL,
    cpu        INTEGER NOT NULL,
    memory     INTEGER NOT NULL,
    storage    INTEGER NOT NULL,
    run        INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at   INTEGER,
    seen_at    INTEGER NOT NULL,
    addresses  TEXT NOT NULL,
    counter    INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX usage_by_end ON usage (ended_at);
CREATE INDEX usage_by_instance ON usage (instance);

-- What was sent, by the hour.
CREATE TABLE usage_sent (
    sandbox TEXT NOT NULL,
    hour    INTEGER NOT NULL,
    bytes   INTEGER NOT NULL,
    PRIMARY KEY (sandbox, hour)
) WITHOUT ROWID;
