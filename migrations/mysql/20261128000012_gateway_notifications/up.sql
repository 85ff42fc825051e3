CREATE TABLE gateway_notifications (
    -- The gateway's name for it: one that is sent again is found.
    id VARCHAR(255) NOT NULL PRIMARY KEY,
    charge_id BINARY(16) NOT NULL,
    received_at DATETIME(6) NOT NULL,
    handled_at DATETIME(6) NULL,
    -- Those that are not worked off, the oldest first.
    INDEX gateway_notifications_open (handled_at, received_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
