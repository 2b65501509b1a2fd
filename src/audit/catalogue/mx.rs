//! What may be found about the mail hosts and their names (RFC 8461 §4.1, RFC 5321 §5.1).

super::rows! { Mx;
    NoSuchDomain, error warn info, "RFC 1034 §3.1",
        title "The domain does not exist",
        cause "DNS says that there is no such name.",
        effect "Nobody can send mail there.",
        remedy "Remove {domain} from the domains that are served, or register it again: DNS says that it does not exist.";
    NoMailHost, error warn info, "RFC 5321 §5.1",
        title "Nobody receives mail for the domain",
        cause "It has neither MX records nor an address.",
        effect "Mail to it is returned.",
        remedy "Publish MX records for {domain}, which has neither these nor an address, or take its policy away.";
    NullMxWithPolicy, error warn info, "RFC 7505 §3",
        title "The domain takes no mail, and has a policy for it",
        cause "A null MX record says that the domain takes no mail.",
        effect "The policy protects nothing.",
        remedy "Set `mode = \"none\"` for {domain}, whose null MX record says that it takes no mail, or publish its real MX records.";
    NullMxNotAlone, error error info, "RFC 7505 §3",
        title "A null MX record beside others",
        cause "The MX records say both that the domain takes no mail and who takes it.",
        effect "Senders may return its mail.",
        remedy "Remove the null MX record (\"0 .\") of {domain}, or all its other MX records.";
    ImplicitMx, info info info, "RFC 5321 §5.1",
        title "The domain is its own mail host",
        cause "There is no MX record, so the domain's own address receives the mail.",
        effect "Works, as long as a pattern of the policy is the domain itself.",
        remedy "Publish an MX record for {domain}: without one its own address receives the mail.";
    NoMxCovered, critical error info, "RFC 8461 §4.1",
        title "The policy allows none of the mail hosts",
        cause "No pattern of the policy matches the host of any MX record.",
        effect "Under enforce no mail from senders with MTA-STS is delivered.",
        remedy "Make `mx` in the policy of {domain} list the hosts of its MX records, or set `mode = \"none\"` until it does: under \"enforce\" no mail can be delivered.";
    MxNotInPolicy, error error info, "RFC 8461 §4.1",
        title "The policy does not allow a mail host",
        cause "No pattern of the policy matches this host of an MX record.",
        effect "Under enforce senders with MTA-STS skip this host.",
        remedy "Add \"{subject}\" to `mx` in the policy of {domain}, or remove it from the MX records of {domain}.";
    MxIsIp, error error info, "RFC 5321 §5.1",
        title "An MX record names an address",
        cause "What stands in the MX record is an address written as a name.",
        effect "No certificate and no pattern can name it, and many senders refuse it.",
        remedy "Let the MX record of {domain} name a host in place of the address {subject}, and list that host in `mx`.";
    MxHostNotLdh, error warn info, "RFC 5321 §4.1.2",
        title "A mail host's name is not a host name",
        cause "It has characters other than letters, digits and hyphens, such as an underscore.",
        effect "No public authority gives a certificate for it and no pattern can name it.",
        remedy "Rename the MX host {subject} of {domain} to letters, digits and hyphens: no certificate can name it.";
    MxPatternUnused, info info info, "RFC 8461 §4.1",
        title "A pattern of the policy allows no mail host of today",
        cause "No MX record's host matches it.",
        effect "None for mail; it is needed while mail hosts change, and forgotten after.",
        remedy "Remove \"{subject}\" from `mx` in the policy of {domain} unless an MX record for it is about to come.";
    MxLookupFailed, unknown unknown unknown, "RFC 5321 §5.1",
        title "DNS did not answer for the MX records",
        cause "The MX lookup timed out or failed.",
        effect "Nothing is known; senders that meet the same silence keep the mail and try again.",
        remedy "Check the name servers of {domain} and the resolver that was asked: the MX lookup had no answer.";
    MxHostNotFound, error warn info, "RFC 5321 §5.1",
        title "A mail host does not exist",
        cause "DNS says that there is no such name.",
        effect "Senders skip it; when no other host is left, mail waits and is returned.",
        remedy "Remove {subject} from the MX records of {domain}, or let it exist.";
    MxHostNoAddress, error warn info, "RFC 5321 §5.1",
        title "A mail host has no address",
        cause "The name exists and has neither A nor AAAA records.",
        effect "Senders skip it; when no other host is left, mail waits and is returned.",
        remedy "Give {subject} an address, or remove it from the MX records of {domain}.";
    MxHostAlias, warn warn info, "RFC 2181 §10.3",
        title "A mail host is an alias",
        cause "The name in the MX record is a CNAME, which DNS forbids there.",
        effect "Some senders refuse it, and some compare the certificate with the wrong one of the two names.",
        remedy "Let the MX record of {domain} name the host behind {subject}, and list that host in `mx`.";
    MxHostPrivateAddress, error warn info, "RFC 5321 §5.1",
        title "A mail host has an address that is not public",
        cause "An A or AAAA record leads into a private or reserved network.",
        effect "Senders that choose this address do not reach the host; it was not dialled.",
        remedy "Remove the address that is not public from {subject}, an MX host of {domain}.";
    MxHostOurs, info info info, "RFC 8461 §4.2",
        title "A mail host is this machine",
        cause "An address of the host is one of our own, which is given as evidence.",
        effect "It was not looked at: a connection to ourselves does not show what others meet.",
        remedy "Run mta-stsd audit {domain} on another machine to see how {subject} speaks to others.";
    MxHostLookupFailed, unknown unknown unknown, "RFC 5321 §5.1",
        title "DNS did not answer for a mail host",
        cause "The address lookup of the host timed out or failed.",
        effect "Nothing is known of this host; senders that meet the same silence try the others.",
        remedy "Check the name servers of {subject}, an MX host of {domain}, and ask again.";
    MxPatternUnusedLong, warn warn info, "RFC 8461 §4.1",
        title "A pattern has allowed no mail host for a month",
        cause "For 30 days no MX record's host has matched it.",
        effect "Whoever comes to own that name could receive the mail.",
        remedy "Remove \"{subject}\" from `mx` in the policy of {domain}.";
    MxProviderPattern, warn warn info, "RFC 8461 §4.1",
        title "The mail provider asks for a pattern that the policy lacks",
        cause "An MX record names a host of a known provider, and no pattern allows it.",
        effect "A single host would be allowed by its name, and lost when the provider moves it.",
        remedy "List the pattern that {subject} asks for, given as evidence, in the policy of {domain}.";
}
