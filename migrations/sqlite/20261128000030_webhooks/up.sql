CREATE TABLE webhooks (
    id BLOB NOT NULL PRIMARY KEY,
    owner_id BLOB NOT NULL,
    url TEXT NOT NULL,
    -- A JSON array of patterns of kinds.
    kinds TEXT NOT NULL,
    -- on, or why it is off: by_hand, failing or gone.
    status TEXT NOT NULL,
    -- Since when it has failed without a success, or since when it is off.
    since TIMESTAMP NULL,
    -- As it is: each request is signed with it.
    secret BLOB NOT NULL,
    -- The secret before, and until when requests are signed with it too.
    former_secret BLOB NULL,
    former_until TIMESTAMP NULL,
    created_at TIMESTAMP NOT NULL
) WITHOUT ROWID;

-- The webhooks of an account, newest first, and how many they are.
CREATE INDEX webhooks_by_owner ON webhooks (owner_id, id);

-- Those that are on.
CREATE INDEX webhooks_by_status ON webhooks (status, id);
