CREATE TABLE account_emails (
    account_id BLOB NOT NULL PRIMARY KEY,
    -- The verified one; null: none.
    address TEXT NULL,
    verified_at TIMESTAMP NULL,
    -- en or ko; null: that of the shop.
    language TEXT NULL,
    changed_at TIMESTAMP NOT NULL
) WITHOUT ROWID;

-- The accounts of an address: one person may have several.
CREATE INDEX account_emails_by_address ON account_emails (address);
