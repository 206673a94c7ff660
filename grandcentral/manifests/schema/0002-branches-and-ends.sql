-- Pins may end; versions say what they were built from, and when; starts say what they began from.

ALTER TABLE pins ADD COLUMN until REAL;  -- when the pin ends; NULL: never

ALTER TABLE versions ADD COLUMN branch TEXT;   -- what its image says that it was built from; NULL: it says nothing, or was not asked
ALTER TABLE versions ADD COLUMN created REAL;  -- when it was built or committed; NULL: not known
ALTER TABLE versions ADD COLUMN remembered INTEGER NOT NULL DEFAULT 0;  -- counts up within an app with each row that is written

ALTER TABLE starts ADD COLUMN depth TEXT NOT NULL DEFAULT 'cold';  -- what it began from: cold, or stopped

CREATE INDEX versions_by_age ON versions (app, remembered);
CREATE INDEX versions_by_branch ON versions (app, branch, created, remembered) WHERE branch IS NOT NULL;
