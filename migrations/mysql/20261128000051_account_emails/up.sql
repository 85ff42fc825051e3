CREATE TABLE account_emails (
    account_id BINARY(16) NOT NULL PRIMARY KEY,
    -- The verified one; null: none.
    address VARCHAR(254) NULL,
    verified_at DATETIME(6) NULL,
    -- en or ko; null: that of the shop.
    language VARCHAR(8) NULL,
    changed_at DATETIME(6) NOT NULL,
    -- The accounts of an address: one person may have several.
    INDEX account_emails_by_address (address)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
