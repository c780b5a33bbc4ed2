-- The sizes that a sandbox had, one after the other, where it was resized.
ALTER TABLE usage ADD COLUMN sizes TEXT NOT NULL DEFAULT 'null';
