-- Times are milliseconds since the Unix epoch. Lists and boundaries are JSON with sorted keys, so
-- that equal ones are equal texts.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Every account id ever given away. A row is never deleted, so an id is never given away twice.
CREATE TABLE ids (
    id      TEXT PRIMARY KEY,
    dead_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE accounts (
    id           TEXT PRIMARY KEY REFERENCES ids (id),
    name         TEXT NOT NULL UNIQUE,
    description  TEXT NOT NULL,
    enabled      INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    allow_from   TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    last_used_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE account_grants (
    account   TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    role      TEXT NOT NULL,
    within    TEXT NOT NULL,
    closed_at INTEGER,
    PRIMARY KEY (account, role, within)
) STRICT, WITHOUT ROWID;

CREATE INDEX account_grants_by_role ON account_grants (role);

-- What is added to the accounts that policy files manage.
CREATE TABLE file_accounts (
    name         TEXT PRIMARY KEY,
    id           TEXT NOT NULL UNIQUE REFERENCES ids (id),
    disabled     INTEGER NOT NULL CHECK (disabled IN (0, 1)),
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    last_used_at INTEGER,
    gone_at      INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE keys (
    id           TEXT PRIMARY KEY,
    account      TEXT NOT NULL REFERENCES ids (id),
    description  TEXT NOT NULL,
    digest       BLOB NOT NULL CHECK (length(digest) = 32),
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    expires_at   INTEGER,
    last_used_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX keys_by_account ON keys (account);

-- Ends, earlier than their own, of keys that policy files hold.
CREATE TABLE file_key_ends (
    id      TEXT PRIMARY KEY,
    ends_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE roles (
    name        TEXT PRIMARY KEY,
    description TEXT NOT NULL,
    permissions TEXT NOT NULL,
    include     TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE groups (
    name        TEXT PRIMARY KEY,
    description TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE group_members (
    group_name TEXT NOT NULL REFERENCES groups (name) ON DELETE CASCADE,
    account    TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    PRIMARY KEY (group_name, account)
) STRICT, WITHOUT ROWID;

CREATE INDEX group_members_by_account ON group_members (account);

CREATE TABLE group_grants (
    group_name TEXT NOT NULL REFERENCES groups (name) ON DELETE CASCADE,
    role       TEXT NOT NULL,
    within     TEXT NOT NULL,
    closed_at  INTEGER,
    PRIMARY KEY (group_name, role, within)
) STRICT, WITHOUT ROWID;

CREATE TABLE signing_keys (
    kid        TEXT PRIMARY KEY,
    public     BLOB NOT NULL CHECK (length(public) = 32),
    wrapped    BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    retired_at INTEGER
) STRICT, WITHOUT ROWID;
