-- Times are seconds since the epoch (wall clock). "app" is a table [apps.NAME] of the configuration; "name" is the canonical
-- name of a version or tenant, '' where the app has only one. Nothing refers to the configuration: an app that was taken out
-- and comes back finds what it had.

CREATE TABLE versions (
    app         TEXT NOT NULL,
    name        TEXT NOT NULL,  -- canonical: every spelling of one commit leads here
    image       TEXT,           -- the reference as resolved, 'registry.example.com/app:db139cf'; NULL for a commit
    digest      TEXT,           -- 'sha256:…', the newest that the tag was seen at; NULL for a commit
    commit_hash TEXT,           -- 40 hex digits, for versions out of a Git repository; NULL for an image
    PRIMARY KEY (app, name)
) WITHOUT ROWID;

CREATE TABLE pins (
    app  TEXT NOT NULL,
    name TEXT NOT NULL,  -- a row is a pin; no row, no pin
    PRIMARY KEY (app, name)
) WITHOUT ROWID;

CREATE TABLE last_uses (
    app     TEXT NOT NULL,
    name    TEXT NOT NULL,
    used_at REAL NOT NULL,  -- the end of the last request or stream; the last one written counts, so that a clock set back heals
    PRIMARY KEY (app, name)
) WITHOUT ROWID;

CREATE TABLE starts (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order of starts; clocks jump, this doesn't
    app        TEXT NOT NULL,
    name       TEXT NOT NULL,
    generation INTEGER NOT NULL,  -- the generation that was started
    began      REAL NOT NULL,     -- when it was decided to start
    failure    TEXT               -- one sentence; NULL for a start that succeeded
);

CREATE INDEX starts_by_key ON starts (app, name, id);

CREATE TABLE start_phases (
    start_id INTEGER NOT NULL REFERENCES starts (id) ON DELETE CASCADE,  -- phases go with their start
    phase    TEXT NOT NULL,  -- registry, queue, pull, create, health, loader, ready
    seconds  REAL NOT NULL,  -- how long it took
    PRIMARY KEY (start_id, phase)
) WITHOUT ROWID;
