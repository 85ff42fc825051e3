ALTER TABLE concerts DROP COLUMN paused;
