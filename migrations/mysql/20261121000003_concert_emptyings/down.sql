ALTER TABLE concerts DROP COLUMN emptied_at;
