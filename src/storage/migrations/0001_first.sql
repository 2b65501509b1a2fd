-- Times are RFC 3339 text in UTC: exact, sortable, and readable by datetime().

-- One certificate for each policy host.
CREATE TABLE certificates (
    host        TEXT NOT NULL PRIMARY KEY,
    not_before  TEXT NOT NULL,
    not_after   TEXT NOT NULL,
    authority   TEXT NOT NULL,
    chain       TEXT NOT NULL, -- PEM, leaf first
    private_key BLOB NOT NULL  -- PKCS#8 DER, plain or sealed
) STRICT;

-- What is held is listed often and is a tenth of what a row weighs: the list reads this index alone.
CREATE INDEX certificates_held ON certificates (host, not_before, not_after, authority);

-- Finds keys that are plain or sealed with another master key without reading every row at start.
CREATE INDEX certificates_seal ON certificates (substr(private_key, 1, 5));

-- The ACME account, the internal authority's root.
CREATE TABLE credentials (
    name   TEXT NOT NULL PRIMARY KEY,
    secret BLOB NOT NULL -- plain or sealed
) STRICT;

-- What went wrong with a host's orders since its last certificate.
CREATE TABLE order_failures (
    host     TEXT    NOT NULL PRIMARY KEY,
    attempts INTEGER NOT NULL,
    last_at  TEXT    NOT NULL,
    retry_at TEXT    NOT NULL,
    kind     TEXT    NOT NULL,
    detail   TEXT    NOT NULL
) STRICT;

-- What the cross-check found.
CREATE TABLE findings (
    domain   TEXT NOT NULL,
    code     TEXT NOT NULL,
    subject  TEXT NOT NULL,
    severity TEXT NOT NULL,
    since    TEXT NOT NULL
) STRICT;

CREATE INDEX findings_domain ON findings (domain);

-- One row that is written to learn whether anything can be written.
CREATE TABLE probe (
    id    INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    count INTEGER NOT NULL
) STRICT;

INSERT INTO probe (id, count) VALUES (1, 0);
