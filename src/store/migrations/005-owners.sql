-- Where those who manage an account, a group or a role have to hold the right to; `{}` is everywhere.
ALTER TABLE accounts ADD COLUMN owner TEXT NOT NULL DEFAULT '{}';
ALTER TABLE groups ADD COLUMN owner TEXT NOT NULL DEFAULT '{}';
ALTER TABLE roles ADD COLUMN owner TEXT NOT NULL DEFAULT '{}';

-- Who made a key, in words.
ALTER TABLE keys ADD COLUMN created_by TEXT;
