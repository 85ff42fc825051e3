ALTER TABLE reservations DROP COLUMN seats;
