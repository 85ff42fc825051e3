SELECT reservations.id AS reservation_id, seat.label, seat.price FROM reservations
JOIN JSON_TABLE(CASE WHEN JSON_VALID(reservations.seats) THEN reservations.seats ELSE '[]' END,
    '$[*]' COLUMNS (label VARCHAR(522) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$.label',
        price BIGINT PATH '$.price')) AS seat
