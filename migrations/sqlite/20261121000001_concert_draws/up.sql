-- What decides the draw among those who come before the sale; secret until it opens.
ALTER TABLE concerts ADD COLUMN draw_seed BLOB NULL;
