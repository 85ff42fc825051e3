INSERT INTO reservation_seats (reservation_id, position, label, price)
    SELECT reservations.id, seat.key, seat.value ->> 'label', seat.value ->> 'price'
    FROM reservations JOIN json_each(reservations.seats) AS seat;
