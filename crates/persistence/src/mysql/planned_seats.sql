SELECT venues.id AS venue_id, plan.seats FROM venues
JOIN JSON_TABLE(CASE WHEN JSON_VALID(venues.sections) THEN venues.sections ELSE '[]' END,
    '$[*].rows[*]' COLUMNS (seats BIGINT PATH '$.seats')) AS plan
