CREATE TABLE reservation_seats (
    reservation_id BLOB NOT NULL,
    -- The place in the order in which the seats were asked for, from 0.
    position INTEGER NOT NULL,
    label TEXT NOT NULL,
    price BIGINT NOT NULL,
    -- The seats of a reservation are read together, in their order.
    CONSTRAINT reservation_seats_primary PRIMARY KEY (reservation_id, position)
) WITHOUT ROWID;
