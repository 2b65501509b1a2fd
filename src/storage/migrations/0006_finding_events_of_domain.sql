-- The history of one domain, which pages show and which is bounded for each.
CREATE INDEX finding_events_domain ON finding_events (domain, number);
