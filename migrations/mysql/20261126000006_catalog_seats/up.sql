CREATE TABLE seats (
    performance_id BINARY(16) NOT NULL,
    -- SECTION-ROW-NUMBER; 255 characters each for section and row, 10 for the number.
    label VARCHAR(522) NOT NULL,
    -- The position of the seat in the venue's plan, from 0.
    ordinal INT NOT NULL,
    price BIGINT NOT NULL,
    -- The state of the seat, in two columns that cannot contradict each other. No reservation: free. A reservation
    -- and an end: held until then. A reservation without an end: sold.
    reservation_id BINARY(16) NULL,
    held_until DATETIME(6) NULL,
    -- A hold locks its seats by this key; a seat map reads a performance as one range. Rows are stored in this order,
    -- so neither needs another index, and changing a seat maintains none.
    CONSTRAINT seats_primary PRIMARY KEY (performance_id, label),
    CONSTRAINT seats_price CHECK (price >= 0)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
