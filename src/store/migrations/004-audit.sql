-- Who changed what. `record` is JSON and is hashed as it stands; what stands beside it is what rows
-- are found by, and is held against it when the trail is verified.

CREATE TABLE audit (
    number  INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    event   TEXT NOT NULL,
    actor   TEXT NOT NULL,
    account TEXT,
    record  TEXT NOT NULL,
    hash    BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;

CREATE INDEX audit_by_time ON audit (at);
CREATE INDEX audit_by_event ON audit (event, number);
CREATE INDEX audit_by_actor ON audit (actor, number);
CREATE INDEX audit_by_account ON audit (account, number);

-- Where the chain begins (what was before is cut off, being too old) and where it ends.
CREATE TABLE audit_ends (
    only        INTEGER PRIMARY KEY CHECK (only = 1),
    base_number INTEGER NOT NULL,
    base_hash   BLOB NOT NULL,
    head_number INTEGER NOT NULL,
    head_hash   BLOB NOT NULL,
    seal        BLOB NOT NULL
) STRICT;
