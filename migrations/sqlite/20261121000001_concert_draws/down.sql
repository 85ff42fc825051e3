ALTER TABLE concerts DROP COLUMN draw_seed;
