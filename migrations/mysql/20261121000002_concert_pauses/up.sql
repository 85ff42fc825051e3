-- A program of before this column writes concerts without it: they are not paused.
ALTER TABLE concerts ADD COLUMN paused BOOLEAN NOT NULL DEFAULT FALSE;
