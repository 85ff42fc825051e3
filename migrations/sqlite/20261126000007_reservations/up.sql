CREATE TABLE reservations (
    id BLOB NOT NULL PRIMARY KEY,
    account_id BLOB NOT NULL,
    performance_id BLOB NOT NULL,
    concert_id BLOB NOT NULL,
    -- held, confirmed, cancelled or expired. A held reservation whose time is over is shown as expired.
    status TEXT NOT NULL,
    seats_count BIGINT NOT NULL,
    total_amount BIGINT NOT NULL,
    held_until TIMESTAMP NOT NULL,
    payment_id BLOB NULL,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL,
    -- The keys of the requests that made and cancelled the row, each with a digest of what it asked for.
    idempotency_key TEXT NULL,
    fingerprint BLOB NULL,
    cancel_key TEXT NULL,
    cancel_fingerprint BLOB NULL,
    -- JSON: the labels and prices of the seats, in the order in which they were asked for. Written once and read whole.
    seats TEXT NOT NULL,
    -- A repeated request finds the reservation that the first one made.
    CONSTRAINT reservations_idempotency UNIQUE (account_id, idempotency_key)
) WITHOUT ROWID;

-- The reservations of an account, newest first, page by page.
CREATE INDEX reservations_by_account ON reservations (account_id, id);

-- How many seats of a concert an account holds and owns: every hold counts them, one entry for each reservation. The
-- last two columns never change; with them, no row is read beside the index.
CREATE INDEX reservations_live ON reservations (account_id, concert_id, status, seats_count, held_until);

-- The holds whose time is over, the oldest first: the expiry worker reads them.
CREATE INDEX reservations_due ON reservations (status, held_until);
