SELECT reservations.id AS reservation_id, seat.value ->> 'label' AS label, seat.value ->> 'price' AS price
FROM reservations
JOIN json_each(CASE WHEN json_valid(reservations.seats) THEN reservations.seats ELSE '[]' END) AS seat
