//! What may be found when speaking SMTP to the mail hosts (RFC 3207, RFC 8461 §4.2, §7).
//!
//! The subject is the host, with the address where it matters.

super::rows! { Transport;
    MxPort25BlockedHere, unknown unknown unknown, "RFC 8461 §4.2",
        title "Port 25 is closed from here",
        cause "No mail host of this run could be reached at port 25, as in networks that block it.",
        effect "Nothing is known of the mail hosts; this is not the domain's fault.",
        remedy "Look at the mail hosts of {domain} from a machine that may connect to port 25.";
    MxUnreachable, unknown unknown unknown, "RFC 8461 §5",
        title "A mail host cannot be reached",
        cause "Nobody accepts connections at port 25 of this address, or no way leads there from here.",
        effect "Senders skip an address that stays so; once is no proof.",
        remedy "Check that {subject} answers at port 25, or take the address away from the MX host of {domain}.";
    MxNotReady, unknown unknown unknown, "RFC 3207 §4",
        title "A mail host says that it is not ready",
        cause "It answered with 4xx, 421 or 454, as it does when greylisting or overloaded.",
        effect "Nothing is known yet; senders try again later.",
        remedy "Look at {subject} again later; when it stays so, find out why it turns clients of {domain} away.";
    MxTimeout, unknown unknown unknown, "RFC 5321 §4.5.3.2",
        title "A mail host does not answer in time",
        cause "The greeting, a reply or the handshake did not come.",
        effect "Nothing is known yet; senders that meet the same silence try another host.",
        remedy "Find out what keeps {subject} from answering for {domain}.";
    MxRefuses, error warn info, "RFC 5321 §3.1",
        title "A mail host turns clients away",
        cause "It answered the connection or EHLO with 5xx.",
        effect "Senders treated like this deliver no mail through this host.",
        remedy "Let {subject} greet clients with 220 and accept EHLO, or remove it from the MX records of {domain}.";
    MxSmtpBroken, error warn info, "RFC 5321 §4.2",
        title "A mail host does not speak proper SMTP",
        cause "What came is no SMTP reply, or more than any reply may be.",
        effect "Senders deliver no mail through this host.",
        remedy "Let an SMTP server answer at {subject}, or remove it from the MX records of {domain}.";
    MxNoStarttls, error warn info, "RFC 8461 §4.2",
        title "A mail host offers no STARTTLS",
        cause "The keyword is not among its extensions, or the command is refused.",
        effect "Under enforce senders with MTA-STS deliver no mail through this host.",
        remedy "Turn STARTTLS on at {subject}, or remove it from the MX records of {domain}.";
    MxStarttlsInjection, error error warn, "RFC 3207 §6",
        title "Plain text slips into the encrypted session",
        cause "More octets came in the clear after the reply that begins TLS.",
        effect "An attacker on the way can put words into the encrypted session; careful senders give up.",
        remedy "Update the SMTP server at {subject}, an MX host of {domain}.";
    MxTlsFailed, error warn info, "RFC 8461 §4.2",
        title "The TLS handshake with a mail host fails",
        cause "The handshake was refused or broken off after STARTTLS.",
        effect "Under enforce senders with MTA-STS deliver no mail through this host.",
        remedy "Let {subject}, an MX host of {domain}, complete a handshake of TLS 1.2 or 1.3.";
    MxTlsTooOld, error warn info, "RFC 8461 §7.2",
        title "A mail host speaks only old TLS",
        cause "It knows neither TLS 1.2 nor 1.3.",
        effect "Under enforce most senders with MTA-STS deliver no mail through this host.",
        remedy "Let {subject}, an MX host of {domain}, speak TLS 1.2 and 1.3.";
    MxTlsOldAccepted, warn warn info, "RFC 8461 §7.2",
        title "A mail host also accepts old TLS",
        cause "It agrees to TLS 1.0 or 1.1 when asked for it.",
        effect "None for senders with MTA-STS; others may be talked down to it.",
        remedy "Turn TLS 1.0 and 1.1 off at {subject}, an MX host of {domain}.";
    MxCertName, error warn info, "RFC 8461 §4.2",
        title "A mail host's certificate is for other names",
        cause "No DNS name in the certificate matches the host of the MX record.",
        effect "Under enforce senders with MTA-STS deliver no mail through this host.",
        remedy "Give {subject} a certificate with the name that the MX record of {domain} has.";
    MxCertCnOnly, error warn info, "RFC 8461 §4.2, RFC 9525 §2",
        title "A mail host is named only in its certificate's common name",
        cause "The certificate has no matching DNS name; the common name does not count.",
        effect "Under enforce senders deliver no mail through this host, except Microsoft, which documents taking the common name.",
        remedy "Give {subject}, an MX host of {domain}, a certificate that has its name as a DNS name.";
    MxCertExpired, error warn info, "RFC 8461 §4.2",
        title "A mail host's certificate is not valid now",
        cause "It has expired, or its time has not begun.",
        effect "Under enforce senders with MTA-STS deliver no mail through this host.",
        remedy "Renew the certificate of {subject}, an MX host of {domain}.";
    MxCertExpiring, warn warn info, "RFC 8461 §4.2",
        title "A mail host's certificate ends soon",
        cause "A third of its lifetime or less is left.",
        effect "When it ends, senders under enforce deliver no mail through this host.",
        remedy "See that the certificate of {subject}, an MX host of {domain}, is renewed.";
    MxCertUntrusted, error warn info, "RFC 8461 §4.2",
        title "A mail host's certificate is not trusted",
        cause "No public authority stands behind it, or its chain does not hold together.",
        effect "Under enforce senders with MTA-STS deliver no mail through this host.",
        remedy "Give {subject}, an MX host of {domain}, a certificate from a public authority.";
    MxCertSelfSigned, error warn info, "RFC 8461 §4.2",
        title "A mail host's certificate is self-signed",
        cause "It vouches for itself; no authority stands behind it.",
        effect "Under enforce senders with MTA-STS deliver no mail through this host.",
        remedy "Give {subject}, an MX host of {domain}, a certificate from a public authority.";
    MxCertIncompleteChain, error warn info, "RFC 8461 §4.2",
        title "A mail host does not send its whole chain",
        cause "The intermediate certificate between the host's own and a trusted root is missing.",
        effect "Senders do not fetch what is missing, so under enforce they deliver no mail through this host.",
        remedy "Let {subject}, an MX host of {domain}, send the full chain of its certificate.";
    MxNeedsSni, warn warn info, "RFC 8461 §7.1",
        title "A mail host fails clients that do not name it",
        cause "Without SNI, or with a name it does not know, the handshake fails.",
        effect "Senders that do not send SNI deliver in the clear, or not at all.",
        remedy "Give {subject}, an MX host of {domain}, a certificate to show when the client names no host it knows.";
    MxNoEhloAfterTls, warn warn info, "RFC 3207 §4.2",
        title "A mail host does not answer EHLO after the handshake",
        cause "EHLO inside the encrypted session was refused or not answered.",
        effect "Senders deliver no mail through this host once the session is encrypted.",
        remedy "Let {subject}, an MX host of {domain}, answer EHLO after STARTTLS.";
    MxStarttlsAfterTls, warn warn info, "RFC 3207 §4.2",
        title "A mail host offers STARTTLS inside TLS",
        cause "The keyword is still among its extensions after the handshake.",
        effect "Senders that believe it break the session off.",
        remedy "Update the SMTP server at {subject}, an MX host of {domain}.";
}
