-- When each domain was last audited, so that a restart does not speak to everybody's mail hosts anew.
CREATE TABLE audits (
    domain TEXT NOT NULL PRIMARY KEY,
    at     TEXT NOT NULL
) STRICT, WITHOUT ROWID;
