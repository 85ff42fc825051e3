CREATE TABLE maintenance (
    -- What is under maintenance: `sale`, all that changes something.
    work TEXT NOT NULL PRIMARY KEY,
    -- What buyers are told.
    message TEXT NOT NULL,
    began_at TIMESTAMP NOT NULL
) WITHOUT ROWID;
