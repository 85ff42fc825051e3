CREATE TABLE reservations (
    id BINARY(16) NOT NULL PRIMARY KEY,
    account_id BINARY(16) NOT NULL,
    performance_id BINARY(16) NOT NULL,
    concert_id BINARY(16) NOT NULL,
    -- held, confirmed, cancelled or expired. A held reservation whose time is over is shown as expired.
    status VARCHAR(16) NOT NULL,
    seats_count BIGINT NOT NULL,
    total_amount BIGINT NOT NULL,
    held_until DATETIME(6) NOT NULL,
    payment_id BINARY(16) NULL,
    created_at DATETIME(6) NOT NULL,
    updated_at DATETIME(6) NOT NULL,
    -- The keys of the requests that made and cancelled the row, each with a digest of what it asked for.
    idempotency_key VARCHAR(255) NULL,
    fingerprint BINARY(16) NULL,
    cancel_key VARCHAR(255) NULL,
    cancel_fingerprint BINARY(16) NULL,
    -- JSON: the labels and prices of the seats, in the order in which they were asked for. Written once and read whole.
    seats MEDIUMTEXT NOT NULL,
    -- A repeated request finds the reservation that the first one made.
    CONSTRAINT reservations_idempotency UNIQUE (account_id, idempotency_key),
    -- The reservations of an account, newest first, page by page.
    INDEX reservations_by_account (account_id, id),
    -- How many seats of a concert an account holds and owns: every hold counts them, one entry for each reservation. The
    -- last two columns never change; with them, no row is read beside the index.
    INDEX reservations_live (account_id, concert_id, status, seats_count, held_until),
    -- The holds whose time is over, the oldest first: the expiry worker reads them.
    INDEX reservations_due (status, held_until)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
