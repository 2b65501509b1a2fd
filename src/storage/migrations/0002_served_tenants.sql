-- Every tenant as it was last served, so that an edit that is refused stays harmless over a restart.
CREATE TABLE served_tenants (
    tenant TEXT NOT NULL PRIMARY KEY,
    file   TEXT NOT NULL, -- where it is written
    body   TEXT NOT NULL, -- the policy text that senders were given
    hosts  TEXT NOT NULL  -- its policy hosts, one a line
) STRICT;
