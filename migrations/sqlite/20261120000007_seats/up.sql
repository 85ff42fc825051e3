CREATE TABLE seats (
    performance_id BLOB NOT NULL,
    -- SECTION-ROW-NUMBER; 255 characters each for section and row, 10 for the number.
    label TEXT NOT NULL,
    -- The place in the order of the venue's plan, from 0.
    ordinal INTEGER NOT NULL,
    price BIGINT NOT NULL,
    -- Whose the seat is, in two columns that cannot contradict each other: no reservation, it is free; a
    -- reservation and an end, it is held until then; a reservation without an end, it is sold.
    reservation_id BLOB NULL,
    held_until TIMESTAMP NULL,
    -- A hold locks the seats that it wants; a seat map reads the whole performance as one range. Rows are
    -- stored in this order, so neither needs another index, and changing a seat maintains none.
    CONSTRAINT seats_primary PRIMARY KEY (performance_id, label),
    CONSTRAINT seats_price CHECK (price >= 0)
) WITHOUT ROWID;
