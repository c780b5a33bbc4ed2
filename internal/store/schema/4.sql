-- Accounts own everything else: names are unique within one. What was there before belongs
-- to the account that is always there.
CREATE TABLE accounts (name TEXT PRIMARY KEY, doc TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE users (
    account TEXT NOT NULL,
    name    TEXT NOT NULL,
    doc     TEXT NOT NULL,
    PRIMARY KEY (account, name)
) WITHOUT ROWID;

-- secret is sealed with a key that is in no table; of a bearer token there is only the sum.
CREATE TABLE keys (
    id      TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    user    TEXT NOT NULL,
    doc     TEXT NOT NULL,
    secret  BLOB,
    sum     BLOB UNIQUE
) WITHOUT ROWID;
CREATE INDEX keys_by_user ON keys (account, user);

-- What was done, by whom.
CREATE TABLE audit (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    at      INTEGER NOT NULL,
    doc     TEXT NOT NULL
);
CREATE INDEX audit_by_account ON audit (account, id);
CREATE INDEX audit_by_time ON audit (at);

CREATE TABLE instances_4 (
    id         TEXT PRIMARY KEY,
    account    TEXT NOT NULL,
    name       TEXT NOT NULL,
    phase      TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    revision   INTEGER NOT NULL,
    doc        TEXT NOT NULL,
    run        TEXT NOT NULL,
    UNIQUE (account, name)
) WITHOUT ROWID;
INSERT INTO instances_4 SELECT id,'default',name,phase,created_at,revision,json_set(doc,'$.account','default'),run FROM instances;
DROP TABLE instances;
ALTER TABLE instances_4 RENAME TO instances;
CREATE INDEX instances_by_age ON instances (created_at, id);
CREATE INDEX instances_by_account ON instances (account, created_at, id);

CREATE TABLE tokens_4 (
    account    TEXT NOT NULL,
    token      TEXT NOT NULL,
    instance   TEXT NOT NULL,
    hash       TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (account, token)
) WITHOUT ROWID;
INSERT INTO tokens_4 SELECT 'default',token,instance,hash,created_at FROM tokens;
DROP TABLE tokens;
ALTER TABLE tokens_4 RENAME TO tokens;

ALTER TABLE events ADD COLUMN account TEXT NOT NULL DEFAULT 'default';
CREATE INDEX events_by_account ON events (account, id);

CREATE TABLE secrets_4 (
    account    TEXT NOT NULL,
    name       TEXT NOT NULL,
    type       TEXT NOT NULL,
    data       TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (account, name)
) WITHOUT ROWID;
INSERT INTO secrets_4 SELECT 'default',name,type,data,created_at FROM secrets;
DROP TABLE secrets;
ALTER TABLE secrets_4 RENAME TO secrets;

CREATE TABLE objects_4 (
    kind    TEXT NOT NULL,
    id      TEXT NOT NULL,
    account TEXT NOT NULL,
    name    TEXT NOT NULL,
    doc     TEXT NOT NULL,
    PRIMARY KEY (kind, id),
    UNIQUE (kind, account, name)
) WITHOUT ROWID;
INSERT INTO objects_4 SELECT kind,id,'default',name,json_set(doc,'$.account','default') FROM objects;
DROP TABLE objects;
ALTER TABLE objects_4 RENAME TO objects;

ALTER TABLE usage ADD COLUMN account TEXT NOT NULL DEFAULT 'default';
CREATE INDEX usage_by_account ON usage (account, ended_at);
