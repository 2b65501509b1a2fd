-- A finding is raised once it is certain enough to tell somebody; what was kept so far is judged anew.
ALTER TABLE findings ADD COLUMN raised INTEGER NOT NULL DEFAULT 0;

-- The history: each raised finding from since until it went. A change gets a number higher than any
-- before, so that who reads changes in their order never misses one.
CREATE TABLE finding_events (
    number   INTEGER PRIMARY KEY AUTOINCREMENT,
    domain   TEXT NOT NULL,
    code     TEXT NOT NULL,
    subject  TEXT NOT NULL,
    severity TEXT NOT NULL,
    since    TEXT NOT NULL,
    until    TEXT -- NULL: it is still there
) STRICT;

-- What stands open of a domain, and what is old.
CREATE INDEX finding_events_open ON finding_events (domain) WHERE until IS NULL;
CREATE INDEX finding_events_until ON finding_events (until) WHERE until IS NOT NULL;

-- How far each alert has told of the history.
CREATE TABLE alert_positions (
    alert  TEXT    NOT NULL PRIMARY KEY,
    number INTEGER NOT NULL -- of the last change that was delivered
) STRICT;
