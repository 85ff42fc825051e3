ALTER TABLE concerts DROP COLUMN changes_count;
