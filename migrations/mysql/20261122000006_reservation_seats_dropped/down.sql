CREATE TABLE reservation_seats (
    reservation_id BINARY(16) NOT NULL,
    -- The place in the order in which the seats were asked for, from 0.
    position INT NOT NULL,
    label VARCHAR(522) NOT NULL,
    price BIGINT NOT NULL,
    -- The seats of a reservation are read together, in their order.
    CONSTRAINT reservation_seats_primary PRIMARY KEY (reservation_id, position)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
