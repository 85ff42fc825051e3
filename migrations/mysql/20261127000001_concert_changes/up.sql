-- Counts what is written under the rules of the concert, such as its performances: a transaction that adds or moves one
-- changes the row first, which keeps others away, also where the nodes of a database do not see each other's locks. What
-- callers see of the concert, such as its version, stays as it is.
ALTER TABLE concerts ADD COLUMN changes_count BIGINT NOT NULL DEFAULT 0;
