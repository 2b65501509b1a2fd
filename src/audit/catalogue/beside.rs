//! What may be found beside MTA-STS: DANE, TLS reporting, CAA, DNSSEC, and what we serve ourselves.

super::rows! { Dane;
    DaneMismatch, critical critical critical, "RFC 7672 §2.2, RFC 8461 §2",
        title "A mail host's certificate does not match its TLSA records",
        cause "None of the usable TLSA records matches the chain that the host shows.",
        effect "Senders with DANE deliver no mail through this host, whatever the MTA-STS policy says.",
        remedy "Publish the TLSA record that fits the certificate of {subject}, an MX host of {domain}, or remove those that do not.";
    DaneLookupFailed, critical critical critical, "RFC 7672 §2.1.2",
        title "The TLSA lookup of a mail host fails",
        cause "The answer is bogus, or the name servers give none for this type.",
        effect "Senders with DANE skip this host, whatever the MTA-STS policy says.",
        remedy "Mend DNSSEC at the zone of {subject}, an MX host of {domain}: a question for TLSA records must be answered.";
    DaneUnusable, warn warn warn, "RFC 7672 §3.1",
        title "A TLSA record that mail senders cannot use",
        cause "Its usage is 0 or 1, or it is malformed.",
        effect "Senders with DANE ignore it; when no other is left, they encrypt without checking.",
        remedy "Replace the TLSA records of {subject}, an MX host of {domain}, by \"3 1 1\" ones.";
    DaneNotSigned, info info info, "RFC 7672 §2.2",
        title "TLSA records that DNSSEC does not vouch for",
        cause "The resolver does not vouch for the TLSA records or for the MX records: a zone is not signed, or the resolver is not one to be believed.",
        effect "Senders with DANE ignore them.",
        remedy "Sign the zones of {domain} and of {subject} with DNSSEC, or remove the TLSA records.";
    DanePinnedLeaf, info info info, "RFC 7671 §8.1",
        title "A TLSA record is bound to the key of today's certificate",
        cause "The record names the host's own key, which automatic renewal usually replaces.",
        effect "When the key changes before the record does, senders with DANE deliver no mail through this host.",
        remedy "Keep the key of {subject}, an MX host of {domain}, when its certificate is renewed, or publish the next record ahead of it.";
}

pub(super) mod tlsrpt {
    //! TLS reporting (RFC 8460 §3).
    super::super::rows! { Tlsrpt;
        TlsrptMissing, warn warn info, "RFC 8460 §3",
            title "Nobody receives reports about TLS failures",
            cause "No TXT record at _smtp._tls begins with \"v=TLSRPTv1;\", or looks as if it should.",
            effect "None for mail; failures at senders stay unknown, and mode testing has no purpose.",
            remedy "Publish \"v=TLSRPTv1; rua=mailto:…\" as a TXT record at _smtp._tls.{domain}.";
        TlsrptMultiple, warn warn warn, "RFC 8460 §3",
            title "More than one report record",
            cause "Several TXT records at _smtp._tls begin with \"v=TLSRPTv1;\".",
            effect "Senders take that as none and send no reports.",
            remedy "Leave one report record at _smtp._tls.{domain} and remove the others.";
        TlsrptMalformed, warn warn warn, "RFC 8460 §3",
            title "The report record is malformed",
            cause "The beginning or a field of the record breaks the grammar; the subject is the code of the defect.",
            effect "Senders take that as none and send no reports.",
            remedy "Rewrite the TXT record at _smtp._tls.{domain} as \"v=TLSRPTv1; rua=mailto:…\" (now: {subject}).";
        TlsrptUnwise, info info info, "RFC 8460 §3",
            title "Something in the report record is unwise",
            cause "The record is good, but has something that senders read in different ways; the subject is the code of the remark.",
            effect "Some senders send no reports.",
            remedy "Reconsider this in the TXT record at _smtp._tls.{domain} ({subject}).";
        TlsrptLookupFailed, unknown unknown unknown, "RFC 8460 §3",
            title "DNS did not answer for the report record",
            cause "The TXT lookup at _smtp._tls timed out or failed.",
            effect "Nothing is known; senders that meet the same silence send no reports.",
            remedy "Check the name servers of {domain} and ask again.";
        TlsrptMxHostMissing, info info info, "RFC 8460 §3",
            title "A mail host has no report record of its own",
            cause "Senders with DANE report to the domain of the mail host, too; no record stands at its _smtp._tls.",
            effect "None for mail; the operator of the host gets no reports.",
            remedy "Publish a report record at _smtp._tls.{subject} when you run this MX host of {domain}.";
    }
}

pub(super) mod dns {
    //! CAA and DNSSEC, on which the policy host's certificate depends.
    super::super::rows! { Dns;
        CaaForbids, error error warn, "RFC 8659 §4, RFC 8657",
            title "CAA records forbid the policy host's certificate",
            cause "The CAA records that govern the mta-sts name do not admit the authority, the account or the way of validation.",
            effect "The certificate cannot be renewed; when it ends, senders can fetch the policy no more.",
            remedy "Add a CAA record for the authority of mta-sts.{domain} at {subject}.";
        CaaLookupFailed, unknown unknown unknown, "RFC 8659 §3",
            title "DNS did not answer for CAA records",
            cause "The CAA lookup for the subject, the mta-sts name or one above it, timed out or failed.",
            effect "Nothing is known; authorities that meet the same silence issue no certificate.",
            remedy "Let the name servers of {subject} answer questions for CAA records: certificates for mta-sts.{domain} need it.";
        DnssecBogus, error error error, "RFC 4035 §5.5",
            title "DNSSEC signatures do not hold",
            cause "A validating resolver withholds the answer because its signatures are wrong or have ended.",
            effect "Senders that validate find no mail host and no policy, and no authority renews the certificate.",
            remedy "Mend the signatures of the zone of {subject} for {domain}, or remove its DS records.";
        DnssecUnsigned, info info info, "RFC 8461 §10.2",
            title "DNSSEC does not vouch for the domain",
            cause "The zone is not signed, or the resolver that was asked is not one to be believed.",
            effect "Whoever can forge DNS answers can hide the policy from senders that have not seen it yet.",
            remedy "Sign the zone of {domain} with DNSSEC when its host offers it.";
    }
}

pub(super) mod consistency {
    //! What the world sees of a domain against what we serve for it.
    super::super::rows! { Consistency;
        IdDiffers, error error warn, "RFC 8461 §8.1",
            title "The id in DNS is not that of the policy we serve",
            cause "The STS record was not changed when the policy was, or points to another provider.",
            effect "Senders that hold an older policy do not notice the new one until theirs runs out.",
            remedy "Publish the id of the policy that we serve, {subject}, in the TXT record at _mta-sts.{domain}, or where its CNAME leads.";
        BodyDiffers, error error warn, "RFC 8461 §8.1",
            title "The world is served another policy than ours",
            cause "What an address of the mta-sts name served is not the text that we serve.",
            effect "Senders apply the other one.",
            remedy "Point mta-sts.{domain} to this server alone, or find out what stands in front of it at {subject}.";
        PolicyHostElsewhere, error error warn, "RFC 8461 §3.3",
            title "The policy host leads elsewhere",
            cause "An address of the mta-sts name is none of ours.",
            effect "Senders get what that server serves, and its certificate may run out without us noticing.",
            remedy "Remove the address {subject} from mta-sts.{domain}, or point the name here.";
    }
}
