CREATE TABLE webhooks (
    id BINARY(16) NOT NULL PRIMARY KEY,
    owner_id BINARY(16) NOT NULL,
    url VARCHAR(2048) NOT NULL,
    -- A JSON array of patterns of kinds.
    kinds TEXT NOT NULL,
    -- on, or why it is off: by_hand, failing or gone.
    status VARCHAR(16) NOT NULL,
    -- Since when it has failed without a success, or since when it is off.
    since DATETIME(6) NULL,
    -- As it is: each request is signed with it.
    secret BINARY(32) NOT NULL,
    -- The secret before, and until when requests are signed with it too.
    former_secret BINARY(32) NULL,
    former_until DATETIME(6) NULL,
    created_at DATETIME(6) NOT NULL,
    -- The webhooks of an account, newest first, and how many they are.
    INDEX webhooks_by_owner (owner_id, id),
    -- Those that are on.
    INDEX webhooks_by_status (status, id)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
