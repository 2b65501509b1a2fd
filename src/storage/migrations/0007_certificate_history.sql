-- The certificates that hosts have had; the latest dozen of each host.
CREATE TABLE certificate_history (
    host       TEXT NOT NULL,
    not_before TEXT NOT NULL,
    not_after  TEXT NOT NULL,
    authority  TEXT NOT NULL,
    PRIMARY KEY (host, not_before)
) STRICT, WITHOUT ROWID;

INSERT INTO certificate_history SELECT host, not_before, not_after, authority FROM certificates;
