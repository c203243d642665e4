-- Refusals, for as long as somebody may ask about them. Written in batches, by nobody who waits.
-- `record` is JSON; what stands beside it is what rows are found and thrown out by.

CREATE TABLE denials (
    id     TEXT PRIMARY KEY,
    at     INTEGER NOT NULL,
    known  INTEGER NOT NULL CHECK (known IN (0, 1)),
    whose  TEXT NOT NULL,
    record TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX denials_by_time ON denials (at);

CREATE TABLE denial_groups (
    key    TEXT PRIMARY KEY,
    record TEXT NOT NULL
) STRICT, WITHOUT ROWID;
