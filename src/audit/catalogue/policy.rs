//! What may be found about the policy host and the policy (RFC 8461 §3.2, §3.3).
//!
//! None of these stops mail by itself: senders go on with the policy they have cached, and without
//! one they deliver as if there were no MTA-STS. What is lost is the protection, and the means to
//! change the policy.

super::rows! { Policy;
    PolicyHostMissing, error error warn, "RFC 8461 §3.3",
        title "The policy host has no address",
        cause "There is an STS record, but the mta-sts name does not exist or has neither A nor AAAA records.",
        effect "Nobody can fetch the policy: cached ones run on, protection fades, changes do not arrive.",
        remedy "Point mta-sts.{domain} to the server that has the policy, or remove the STS record.";
    PolicyHostLookupFailed, unknown unknown unknown, "RFC 8461 §3.3",
        title "DNS did not answer for the policy host",
        cause "The address lookup of the mta-sts name timed out or failed.",
        effect "Nothing is known; senders that meet the same silence go on with what they have cached.",
        remedy "Check the name servers of {domain} and ask again.";
    PolicyHostPrivateAddress, error error warn, "RFC 8461 §3.3",
        title "The policy host has an address that is not public",
        cause "An A or AAAA record leads into a private or reserved network.",
        effect "Senders that choose this address get no policy; it was not dialled.",
        remedy "Remove the address that is not public from {subject}, the policy host of {domain}.";
    PolicyUnreachable, error error warn, "RFC 8461 §3.3",
        title "The policy host cannot be reached",
        cause "Nobody accepts connections at port 443 of this address.",
        effect "Senders that choose this address get no policy: cached ones run on, protection fades, changes do not arrive.",
        remedy "Let a web server answer at port 443 of {subject}, the policy host of {domain}.";
    PolicyTimeout, error error warn, "RFC 8461 §3.3",
        title "The policy host does not answer in time",
        cause "A connection, a handshake or an answer did not come to its end within 30 seconds.",
        effect "Senders that choose this address get no policy: cached ones run on, protection fades, changes do not arrive.",
        remedy "Find out what keeps {subject}, the policy host of {domain}, from answering.";
    PolicySlow, warn warn info, "RFC 8461 §3.3",
        title "The policy host is slow",
        cause "Handshake and answer took longer than the two seconds that some senders wait.",
        effect "Impatient senders get no policy.",
        remedy "Let {subject}, the policy host of {domain}, answer within a second.";
    PolicyTlsFailed, error error warn, "RFC 8461 §3.3",
        title "The TLS handshake with the policy host fails",
        cause "The server refused TLS 1.2 and 1.3, or it closed the handshake.",
        effect "Nobody can fetch the policy: cached ones run on, protection fades, changes do not arrive.",
        remedy "Let {subject}, the policy host of {domain}, speak TLS 1.2 or 1.3.";
    PolicyCertName, error error warn, "RFC 8461 §3.3",
        title "The policy host's certificate is for other names",
        cause "No DNS name in the certificate matches the mta-sts name.",
        effect "Senders refuse it: cached policies run on, protection fades, changes do not arrive.",
        remedy "Give {subject}, the policy host of {domain}, a certificate that has its name.";
    PolicyCertExpired, error error warn, "RFC 8461 §3.3",
        title "The policy host's certificate is not valid now",
        cause "It has expired, or its time has not begun.",
        effect "Senders refuse it: cached policies run on, protection fades, changes do not arrive.",
        remedy "Renew the certificate of {subject}, the policy host of {domain}.";
    PolicyCertUntrusted, error error warn, "RFC 8461 §3.3",
        title "The policy host's certificate is not trusted",
        cause "It is self-signed, or no public authority stands behind it.",
        effect "Senders refuse it: cached policies run on, protection fades, changes do not arrive.",
        remedy "Give {subject}, the policy host of {domain}, a certificate from a public authority.";
    PolicyCertIncompleteChain, error error warn, "RFC 8461 §3.3",
        title "The policy host does not send its whole chain",
        cause "The intermediate certificate between the server's own and a trusted root is missing.",
        effect "Senders do not fetch what is missing, so they refuse it: protection fades, changes do not arrive.",
        remedy "Let {subject}, the policy host of {domain}, send the full chain of its certificate.";
    PolicyCertExpiring, warn warn info, "RFC 8461 §3.3",
        title "The policy host's certificate ends soon",
        cause "A third of its lifetime or less is left.",
        effect "When it ends, senders can fetch the policy no more.",
        remedy "See that the certificate of {subject}, the policy host of {domain}, is renewed.";
    PolicyRedirect, error error warn, "RFC 8461 §3.3",
        title "The policy host redirects",
        cause "The answer is a redirect, which senders must not follow.",
        effect "Nobody gets the policy: cached ones run on, protection fades, changes do not arrive.",
        remedy "Serve the policy with status 200 at {subject}, the policy host of {domain}, itself.";
    PolicyStatus, error error warn, "RFC 8461 §3.3",
        title "The policy host answers with an error",
        cause "The status is not 200.",
        effect "Nobody gets the policy: cached ones run on, protection fades, changes do not arrive.",
        remedy "Let {subject}, the policy host of {domain}, answer /.well-known/mta-sts.txt with status 200 and the policy.";
    PolicyContentType, error error warn, "RFC 8461 §3.2",
        title "The policy has the wrong media type",
        cause "Content-Type is missing or is not text/plain.",
        effect "Most deployed senders refuse the policy.",
        remedy "Let {subject}, the policy host of {domain}, serve the policy as \"text/plain\".";
    PolicyTooLarge, error error warn, "RFC 8461 §3.3",
        title "The policy is too large",
        cause "The body is above 64 KiB.",
        effect "Senders stop reading and take it as no policy.",
        remedy "Let {subject}, the policy host of {domain}, serve a policy below 8 KiB.";
    PolicyBadHttp, error error warn, "RFC 8461 §3.3",
        title "The policy host does not speak proper HTTP",
        cause "The answer is not HTTP, is cut short, or is coded in a way nobody asked for.",
        effect "Senders get no policy: cached ones run on, protection fades, changes do not arrive.",
        remedy "Let {subject}, the policy host of {domain}, answer HTTP/1.1 requests plainly.";
    PolicyH2Failed, warn warn info, "RFC 9113 §3.2",
        title "The policy cannot be fetched by HTTP/2",
        cause "The server agrees to HTTP/2 and then fails, or answers otherwise than by HTTP/1.1.",
        effect "Senders that prefer HTTP/2 get no policy.",
        remedy "Mend HTTP/2 at {subject}, the policy host of {domain}, or offer only HTTP/1.1.";
    PolicyHttp1Failed, error error warn, "RFC 9112",
        title "The policy cannot be fetched by HTTP/1.1",
        cause "The server answers only those who ask for HTTP/2.",
        effect "Senders that speak HTTP/1.1 without ALPN get no policy.",
        remedy "Let {subject}, the policy host of {domain}, answer HTTP/1.1 without ALPN, too.";
    PolicyDiffers, error error warn, "RFC 8461 §8.1",
        title "The addresses of the policy host serve different policies",
        cause "Two addresses answered with different octets.",
        effect "Which policy a sender has is chance.",
        remedy "Serve the same policy of {domain} at every address of mta-sts.{domain}.";
    PolicyInvalid, error error warn, "RFC 8461 §3.2",
        title "The policy is invalid",
        cause "A line breaks the grammar, or a field is missing; the subject is the code of the defect and its line.",
        effect "Senders take it as no policy: cached ones run on, protection fades, changes do not arrive.",
        remedy "Correct the policy of {domain} ({subject}).";
    PolicyUnwise, warn warn info, "RFC 8461 §3.2",
        title "Something in the policy is unwise",
        cause "The policy is valid, but has something that senders read in different ways or that protects badly; the subject is the code of the remark and its line.",
        effect "Some senders read the policy otherwise than it was meant, or keep it too briefly.",
        remedy "Reconsider this in the policy of {domain} ({subject}).";
    PolicyIncompatible, warn warn info, "RFC 8461 §3.2",
        title "A deployed sender reads the policy otherwise",
        cause "This sender's reader refuses the policy, or finds another mode, lifetime or number of patterns in it.",
        effect "Mail from this sender is not protected as the policy says.",
        remedy "Write the policy of {domain} in the plain form, so that {subject} reads it, too.";
}
