-- The performances of a concert by start, page by page; their number, the first and the last of them.
CREATE INDEX performances_by_concert ON performances (concert_id, starts_at, id);
