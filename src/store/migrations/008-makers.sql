-- Who made an account, a group or a role, in words, as keys have it. Of those that are there already
-- nobody knows.
ALTER TABLE accounts ADD COLUMN created_by TEXT;
ALTER TABLE groups ADD COLUMN created_by TEXT;
ALTER TABLE roles ADD COLUMN created_by TEXT;
