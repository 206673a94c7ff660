-- Who may have a stack of an app with `provisioned = true`. A row is the permission; nothing else makes such a name valid.

CREATE TABLE provisions (
    app      TEXT NOT NULL,
    name     TEXT NOT NULL,     -- what hosts and user names lead to: 'alice.shop', or 'alice' where a user has one stack
    user     TEXT NOT NULL,     -- whose it is
    appname  TEXT NOT NULL,     -- which of the user's; '' where a user has one stack
    email    TEXT NOT NULL,     -- of the user; '' if it was not said
    password TEXT NOT NULL,     -- made for this row and given to its stack, at each start: so it has to be here in full
    created  REAL NOT NULL,     -- when it was provisioned
    expires  REAL,              -- when it ends by itself; NULL: never
    ending   INTEGER NOT NULL,  -- 1: it is being taken back, and goes when nothing of its stack is left
    request  TEXT,              -- the Idempotency-Key that it was asked for with; NULL: with none
    PRIMARY KEY (app, name)
) WITHOUT ROWID;

CREATE UNIQUE INDEX provisions_by_request ON provisions (request) WHERE request IS NOT NULL;
CREATE INDEX provisions_by_end ON provisions (expires) WHERE expires IS NOT NULL;
CREATE INDEX provisions_ending ON provisions (ending) WHERE ending = 1;
