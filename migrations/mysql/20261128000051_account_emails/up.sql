CREATE TABLE account_emails (
    -- Mail to an account finds its address.
    account_id BINARY(16) NOT NULL PRIMARY KEY,
    -- The verified one; null: none.
    address VARCHAR(254) NULL,
    verified_at DATETIME(6) NULL,
    -- The tag of the language of its mail; null: it was not chosen.
    language VARCHAR(8) NULL,
    changed_at DATETIME(6) NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
