DROP TABLE reservation_seats;
