CREATE TABLE gateway_notifications (
    -- The gateway's name for it: one that is sent again is found.
    id TEXT NOT NULL PRIMARY KEY,
    charge_id BLOB NOT NULL,
    received_at TIMESTAMP NOT NULL,
    handled_at TIMESTAMP NULL
) WITHOUT ROWID;

-- Those that are not worked off, the oldest first.
CREATE INDEX gateway_notifications_open ON gateway_notifications (handled_at, received_at);
