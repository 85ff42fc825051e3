SELECT venues.id AS venue_id, plan_row.value ->> 'seats' AS seats FROM venues
JOIN json_each(CASE WHEN json_valid(venues.sections) THEN venues.sections ELSE '[]' END) AS section
JOIN json_each(section.value -> 'rows') AS plan_row
