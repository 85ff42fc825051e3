CREATE TABLE staff_acts (
    id BLOB NOT NULL PRIMARY KEY,
    done_at TIMESTAMP NOT NULL,
    -- Null for the operator at the command line.
    account_id BLOB,
    request_id TEXT,
    kind TEXT NOT NULL,
    -- A venue, a concert, a performance or an account: the kind says which.
    subject_id BLOB NOT NULL,
    concert_id BLOB,
    -- JSON: each field that was set, and what it was before and after.
    changes TEXT NOT NULL
) WITHOUT ROWID;
-- The history of a concert, newest first, page by page.
CREATE INDEX staff_acts_by_concert ON staff_acts (concert_id, id);
-- The copy of an account has what it did.
CREATE INDEX staff_acts_by_account ON staff_acts (account_id, id);
