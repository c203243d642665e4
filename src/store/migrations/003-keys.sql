-- What a key may be used for and from where, and from where it was used last.
ALTER TABLE keys ADD COLUMN may_use TEXT;
ALTER TABLE keys ADD COLUMN allow_from TEXT NOT NULL DEFAULT '[]';
ALTER TABLE keys ADD COLUMN last_used_from TEXT;

-- Roles that accounts cannot be given, only included in others.
ALTER TABLE roles ADD COLUMN api_access INTEGER NOT NULL DEFAULT 1 CHECK (api_access IN (0, 1));

-- The set of files that an account, a group or a role was applied from, if it was.
ALTER TABLE accounts ADD COLUMN applied_as TEXT;
ALTER TABLE groups ADD COLUMN applied_as TEXT;
ALTER TABLE roles ADD COLUMN applied_as TEXT;
