CREATE TABLE staff_acts (
    id BINARY(16) NOT NULL PRIMARY KEY,
    done_at DATETIME(6) NOT NULL,
    -- Null for the operator at the command line.
    account_id BINARY(16) NULL,
    request_id VARCHAR(255) NULL,
    kind VARCHAR(32) NOT NULL,
    -- A venue, a concert, a performance or an account: the kind says which.
    subject_id BINARY(16) NOT NULL,
    concert_id BINARY(16) NULL,
    -- JSON: each field that was set, and what it was before and after.
    changes MEDIUMTEXT NOT NULL,
    -- The history of a concert, newest first, page by page.
    INDEX staff_acts_by_concert (concert_id, id),
    -- The copy of an account has what it did.
    INDEX staff_acts_by_account (account_id, id)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
