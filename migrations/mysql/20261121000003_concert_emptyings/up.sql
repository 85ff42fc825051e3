-- When the line was last emptied.
ALTER TABLE concerts ADD COLUMN emptied_at DATETIME(6) NULL;
