CREATE TABLE sessions (
    id BINARY(16) NOT NULL PRIMARY KEY,
    account_id BINARY(16) NOT NULL,
    -- SHA-256 of the one refresh secret that is valid now.
    refresh_hash BINARY(32) NOT NULL,
    created_at DATETIME(6) NOT NULL,
    expires_at DATETIME(6) NOT NULL,
    ended_at DATETIME(6) NULL,
    -- From which, with the secret before, the next refresh secret follows; null: it is made at the next refresh.
    chain_key BINARY(32) NULL,
    -- SHA-256 of the refresh secret before; null if the session was never refreshed.
    former_hash BINARY(32) NULL,
    -- When it was refreshed last; null if it never was.
    refreshed_at DATETIME(6) NULL,
    -- What the client called itself that signed in.
    client VARCHAR(200) NULL,
    -- Another password ends the sessions of its account.
    INDEX sessions_by_account (account_id),
    -- Instances read at their start which sessions ended lately.
    INDEX sessions_ended (ended_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
