UPDATE reservations SET seats = (
    SELECT json_group_array(json_object('label', label, 'price', price) ORDER BY position)
    FROM reservation_seats WHERE reservation_seats.reservation_id = reservations.id);
