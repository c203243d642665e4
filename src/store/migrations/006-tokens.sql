-- Tokens that were taken back, until they would have run out by themselves.
CREATE TABLE revoked_tokens (
    id TEXT PRIMARY KEY,
    ends_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
