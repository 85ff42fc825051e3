INSERT INTO reservation_seats (reservation_id, position, label, price)
    SELECT reservations.id, seat.number - 1, seat.label, seat.price
    FROM reservations JOIN JSON_TABLE(reservations.seats, '$[*]' COLUMNS (
        number FOR ORDINALITY,
        label VARCHAR(522) PATH '$.label',
        price BIGINT PATH '$.price')) AS seat;
