//! What may be found about the STS record (RFC 8461 §3.1).

super::rows! { Record;
    NoMtaSts, info info info, "RFC 8461 §3",
        title "The domain has no MTA-STS",
        cause "There is neither an STS record at _mta-sts nor a policy host.",
        effect "Mail is delivered as before; whoever sits on the way can read it or keep it from being encrypted.",
        remedy "Publish a policy in mode testing for {domain} when you want its mail protected.";
    StsRecordMissing, error warn info, "RFC 8461 §3.1",
        title "A policy is served, but no STS record points senders to it",
        cause "No TXT record at _mta-sts begins with \"v=STSv1;\".",
        effect "Senders that do not know the policy yet never look for it; those that do keep it until it runs out.",
        remedy "Publish one TXT record \"v=STSv1; id=…;\" at _mta-sts.{domain}.";
    StsRecordLookupFailed, unknown unknown unknown, "RFC 8461 §3.1",
        title "DNS did not answer for the STS record",
        cause "The TXT lookup at _mta-sts timed out or failed.",
        effect "Nothing is known; senders that meet the same silence go on with what they have cached.",
        remedy "Check the name servers of {domain} and ask again.";
    StsRecordMultiple, error error warn, "RFC 8461 §3.1",
        title "More than one STS record",
        cause "Several TXT records at _mta-sts begin with \"v=STSv1;\", as after a change of provider.",
        effect "Senders take that as no MTA-STS at all; cached policies run on and cannot be changed.",
        remedy "Leave one STS record at _mta-sts.{domain} and remove the others.";
    StsRecordMalformed, error error warn, "RFC 8461 §3.1",
        title "The STS record is malformed",
        cause "A field of the record breaks the grammar; the subject is the code of the defect.",
        effect "Senders take that as no MTA-STS at all; cached policies run on and cannot be changed.",
        remedy "Rewrite the TXT record at _mta-sts.{domain} as \"v=STSv1; id=…;\" with an id of 1 to 32 letters and digits (now: {subject}).";
    StsRecordUnrelatedTxt, error error warn, "RFC 8461 §3.1",
        title "Another TXT record stands beside the STS record",
        cause "A TXT record that is not an STS record has the same name.",
        effect "The RFC ignores it, but some deployed senders then find no record, or a broken one.",
        remedy "Remove every TXT record at _mta-sts.{domain} other than the STS record.";
    StsRecordSpaceBeforeSemicolon, error error warn, "RFC 8461 §3.1, erratum 6285",
        title "White space before the first semicolon of the STS record",
        cause "The record begins with \"v=STSv1 ;\" and not with \"v=STSv1;\".",
        effect "Senders are divided over whether this is an STS record, so only some apply the policy.",
        remedy "Write the TXT record at _mta-sts.{domain} as \"v=STSv1; id=…;\".";
    StsRecordNoncanonical, warn warn info, "RFC 8461 §3.1",
        title "Unusual white space in the STS record",
        cause "Something other than \"; \" stands between fields, or white space at the end.",
        effect "The grammar admits it; at least one deployed sender stumbles over it.",
        remedy "Write the TXT record at _mta-sts.{domain} as \"v=STSv1; id=…;\".";
    StsRecordDuplicateField, warn warn warn, "RFC 8461 §3.1",
        title "A field of the STS record stands there twice",
        cause "The record repeats a field; the subject says whether with the same value.",
        effect "Senders disagree about which of the two counts, or refuse the record.",
        remedy "Leave each field once in the TXT record at _mta-sts.{domain}.";
    StsRecordExtension, warn warn info, "RFC 8461 §3.1",
        title "The STS record has a field that is not registered",
        cause "A field other than v and id is present.",
        effect "Senders ignore it, except those that lose the whole record over some such fields.",
        remedy "Remove the field {subject} from the TXT record at _mta-sts.{domain}.";
    StsRecordWrongPlace, error warn info, "RFC 8461 §3.1",
        title "The STS record stands at the wrong name",
        cause "A record that begins with \"v=STSv1\" was found elsewhere, and none where it belongs.",
        effect "No sender looks there, so nobody finds the policy.",
        remedy "Move the TXT record from {subject} to _mta-sts.{domain}.";
    StsRecordQuoted, error error warn, "RFC 8461 §3.1",
        title "Quotation marks or backslashes are stored in the STS record",
        cause "What a zone file writes around a text became part of the text, as web forms of DNS hosts do.",
        effect "The record does not begin with \"v=STSv1;\", so senders find no MTA-STS.",
        remedy "Enter the TXT record at _mta-sts.{domain} without quotation marks and backslashes.";
    StsRecordNbsp, error error warn, "RFC 8461 §3.1",
        title "The STS record has a blank that is none",
        cause "A no-break space or another invisible character came in when the text was copied.",
        effect "The record is not ASCII, so senders find no MTA-STS.",
        remedy "Type the TXT record at _mta-sts.{domain} anew by hand.";
    StsRecordWildcard, warn warn info, "RFC 8461 §3.4",
        title "A DNS wildcard answers with an STS record",
        cause "Names that nobody made give the same TXT record.",
        effect "Every name below the domain announces a policy that does not exist for it.",
        remedy "Publish the TXT record at _mta-sts.{domain} itself and not through a wildcard.";
    StsRecordBesideCname, error error warn, "RFC 2181 §10.1",
        title "A CNAME and other records at _mta-sts",
        cause "The name is an alias and has data of its own, which DNS forbids.",
        effect "Which of the two a sender sees is chance.",
        remedy "Leave either the CNAME or the TXT record at _mta-sts.{domain}.";
    StsRecordCnameLoop, error error warn, "RFC 8461 §3.1",
        title "The aliases at _mta-sts lead nowhere",
        cause "CNAME records go in a circle, or more than eight of them follow each other.",
        effect "Senders find no STS record; cached policies run on and cannot be changed.",
        remedy "Let _mta-sts.{domain} be one CNAME to a name that has the TXT record.";
    StsRecordTtlLong, warn warn warn, "RFC 8461 §8.1",
        title "The STS record is kept for long",
        cause "Its time to live in DNS is above one day.",
        effect "After a change of the policy, senders notice only when the old record has run out of their caches.",
        remedy "Set the time to live of the TXT record at _mta-sts.{domain} to an hour or less.";
    StsRecordIncompatible, warn warn info, "RFC 8461 §3.1",
        title "A deployed sender reads the STS record otherwise",
        cause "The record is good by the RFC, but this sender's reader differs from it, other records aside.",
        effect "Mail from this sender is not protected as the policy says.",
        remedy "Write the TXT record at _mta-sts.{domain} as \"v=STSv1; id=…;\", so that {subject} reads it, too.";
}
