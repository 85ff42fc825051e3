CREATE TABLE concerts (
    -- The list of concerts is in the order of this key.
    id BINARY(16) NOT NULL PRIMARY KEY,
    -- The name of the concert in an imported file.
    catalog_key VARCHAR(255) NULL,
    promoter_id BINARY(16) NULL,
    -- The owner of the key: the promoter, or 16 zero bytes for the operator. In contrast to a null, they are compared.
    owner_id BINARY(16) NOT NULL,
    title VARCHAR(255) NOT NULL,
    artist VARCHAR(255) NOT NULL,
    description TEXT NOT NULL,
    sales_open_at DATETIME(6) NOT NULL,
    sales_close_at DATETIME(6) NOT NULL,
    max_seats_per_account BIGINT NOT NULL,
    max_active BIGINT NOT NULL,
    version BIGINT NOT NULL,
    created_at DATETIME(6) NOT NULL,
    -- The key of the request that made the row, and a digest of what it asked for.
    idempotency_key VARCHAR(255) NULL,
    fingerprint BINARY(16) NULL,
    -- Decides the draw among the buyers who join the queue before the sale; secret until the sale opens.
    draw_seed BINARY(32) NULL,
    -- Whether the queue admits no account.
    paused BOOLEAN NOT NULL DEFAULT FALSE,
    -- When the queue was last emptied.
    emptied_at DATETIME(6) NULL,
    -- Whether seats are held only for points that are in the wallet.
    holds_need_balance BOOLEAN NOT NULL DEFAULT FALSE,
    -- Counts what is written under the rules of the concert, such as its performances: a transaction that adds or moves
    -- one changes the row first, which keeps others away, also where the nodes of a database do not see each other's
    -- locks. What callers see of the concert, such as its version, stays as it is.
    changes_count BIGINT NOT NULL DEFAULT 0,
    -- An import finds the concert that an earlier import of the same owner made, and whether others have the key.
    CONSTRAINT concerts_catalog_key UNIQUE (catalog_key, owner_id),
    -- A repeated request finds the concert that the first one made.
    CONSTRAINT concerts_idempotency UNIQUE (promoter_id, idempotency_key)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
