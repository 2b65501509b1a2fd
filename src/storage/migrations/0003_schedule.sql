-- The schedule: what is to be done next for each host, and when. It is asked for what is due at
-- every wake, so times are whole seconds since 1970 (datetime(next_at, 'unixepoch') reads them).
CREATE TABLE schedule (
    host          TEXT    NOT NULL PRIMARY KEY,
    tenant        TEXT    NOT NULL,
    next          TEXT    NOT NULL, -- first, renew, ask, gone, parked
    next_at       INTEGER NOT NULL,
    -- what is held
    not_before    INTEGER,
    not_after     INTEGER,
    authority     TEXT,             -- of the last certificate
    -- what the authority says of its renewal
    window_start  INTEGER,
    window_end    INTEGER,
    explanation   TEXT,
    renew_at      INTEGER,          -- the moment chosen
    asked_at      INTEGER,
    ask_at        INTEGER,
    asks_failed   INTEGER NOT NULL,
    -- what went wrong since the last certificate
    attempts      INTEGER NOT NULL, -- 0 and no failed_at: nothing
    failed_at     INTEGER,
    retry_at      INTEGER,
    kind          TEXT,
    detail        TEXT,
    validations_failed INTEGER NOT NULL, -- in a row, as the authority counts them
    astray_since  INTEGER,          -- since when it does not point at us
    parked_for    TEXT,             -- what has to change
    -- which authority is asked
    detour        INTEGER NOT NULL, -- 0: the first
    trouble       INTEGER NOT NULL, -- its failures in a row
    trouble_since INTEGER,
    placed_at     INTEGER           -- when the last order was placed
) STRICT;

CREATE INDEX schedule_due ON schedule (next, next_at, tenant);

-- When each budget will be full again; what is full has no row.
CREATE TABLE budgets (
    key     TEXT    NOT NULL PRIMARY KEY,
    full_at INTEGER NOT NULL -- milliseconds since 1970
) STRICT;

CREATE INDEX budgets_full ON budgets (full_at);

-- What is held and what failed so far is looked at once, and placed where it belongs then.
INSERT INTO schedule (host, tenant, next, next_at, not_before, not_after, authority, asks_failed,
    attempts, failed_at, retry_at, kind, detail, validations_failed, detour, trouble)
SELECT c.host, '', 'ask', 0, unixepoch(c.not_before), unixepoch(c.not_after), c.authority, 0,
    coalesce(f.attempts, 0), unixepoch(f.last_at), unixepoch(f.retry_at), f.kind, f.detail, 0, 0, 0
FROM certificates c LEFT JOIN order_failures f USING (host);

INSERT INTO schedule (host, tenant, next, next_at, asks_failed,
    attempts, failed_at, retry_at, kind, detail, validations_failed, detour, trouble)
SELECT host, '', 'first', coalesce(unixepoch(retry_at), 0), 0,
    attempts, unixepoch(last_at), unixepoch(retry_at), kind, detail, 0, 0, 0
FROM order_failures WHERE host NOT IN (SELECT host FROM certificates);

-- Failures stand in the schedule from now on.
DROP TABLE order_failures;
