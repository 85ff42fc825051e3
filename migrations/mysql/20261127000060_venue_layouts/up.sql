-- JSON: where the stage and the sections are drawn, and which seats are special. Read and written whole.
ALTER TABLE venues ADD COLUMN layout MEDIUMTEXT NULL;
