-- MySQL would cut a longer text off.
SET SESSION group_concat_max_len = 16777215;
UPDATE reservations SET seats = (
    SELECT CONCAT('[', COALESCE(GROUP_CONCAT(JSON_OBJECT('label', label, 'price', price) ORDER BY position), ''), ']')
    FROM reservation_seats WHERE reservation_seats.reservation_id = reservations.id);
