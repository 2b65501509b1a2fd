//! The codes themselves: the words that are kept, logged and matched by scripts.

use super::{Entry, entries};
use std::fmt;

/// Writes the enum, and the stable code of each variant.
macro_rules! codes {
    ($($(#[$doc:meta])+ $variant:ident $text:literal;)+) => {
        /// What a finding is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum FindingCode {
            $($(#[$doc])+ $variant,)+
        }

        impl FindingCode {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The stable code.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }
    };
}

impl FindingCode {
    /// Reads the stable code; `None` when another version knew one that we do not.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text)
    }

    /// What the catalogue says of it.
    pub fn entry(self) -> &'static Entry {
        entries()
            .find(|entry| entry.code == self)
            .expect("every code has its row; a test looks at all of them")
    }
}

impl fmt::Display for FindingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

codes! {
    /// The domain does not exist.
    NoSuchDomain "NO_SUCH_DOMAIN";
    /// Nobody receives mail for the domain.
    NoMailHost "NO_MAIL_HOST";
    /// The domain takes no mail, and has a policy for it.
    NullMxWithPolicy "NULL_MX_WITH_POLICY";
    /// A null MX record beside others.
    NullMxNotAlone "NULL_MX_NOT_ALONE";
    /// The domain is its own mail host.
    ImplicitMx "IMPLICIT_MX";
    /// The policy allows none of the mail hosts.
    NoMxCovered "NO_MX_COVERED";
    /// The policy does not allow a mail host.
    MxNotInPolicy "MX_NOT_IN_POLICY";
    /// An MX record names an address.
    MxIsIp "MX_IS_IP";
    /// A mail host's name is not a host name.
    MxHostNotLdh "MX_HOST_NOT_LDH";
    /// A pattern of the policy allows no mail host of today.
    MxPatternUnused "MX_PATTERN_UNUSED";
    /// DNS did not answer for the MX records.
    MxLookupFailed "MX_LOOKUP_FAILED";
    /// The domain has no MTA-STS.
    NoMtaSts "NO_MTA_STS";
    /// A policy is served, but no STS record points senders to it.
    StsRecordMissing "STS_RECORD_MISSING";
    /// DNS did not answer for the STS record.
    StsRecordLookupFailed "STS_RECORD_LOOKUP_FAILED";
    /// More than one STS record.
    StsRecordMultiple "STS_RECORD_MULTIPLE";
    /// The STS record is malformed.
    StsRecordMalformed "STS_RECORD_MALFORMED";
    /// Another TXT record stands beside the STS record.
    StsRecordUnrelatedTxt "STS_RECORD_UNRELATED_TXT";
    /// White space before the first semicolon of the STS record.
    StsRecordSpaceBeforeSemicolon "STS_RECORD_SPACE_BEFORE_SEMICOLON";
    /// Unusual white space in the STS record.
    StsRecordNoncanonical "STS_RECORD_NONCANONICAL";
    /// A field of the STS record stands there twice.
    StsRecordDuplicateField "STS_RECORD_DUPLICATE_FIELD";
    /// The STS record has a field that is not registered.
    StsRecordExtension "STS_RECORD_EXTENSION";
    /// The STS record stands at the wrong name.
    StsRecordWrongPlace "STS_RECORD_WRONG_PLACE";
    /// Quotation marks or backslashes are stored in the STS record.
    StsRecordQuoted "STS_RECORD_QUOTED";
    /// The STS record has a blank that is none.
    StsRecordNbsp "STS_RECORD_NBSP";
    /// A DNS wildcard answers with an STS record.
    StsRecordWildcard "STS_RECORD_WILDCARD";
    /// A CNAME and other records at _mta-sts.
    StsRecordBesideCname "STS_RECORD_BESIDE_CNAME";
    /// The aliases at _mta-sts lead nowhere.
    StsRecordCnameLoop "STS_RECORD_CNAME_LOOP";
    /// The STS record is kept for long.
    StsRecordTtlLong "STS_RECORD_TTL_LONG";
    /// A deployed sender reads the STS record otherwise.
    StsRecordIncompatible "STS_RECORD_INCOMPATIBLE";
    /// The policy host has no address.
    PolicyHostMissing "POLICY_HOST_MISSING";
    /// DNS did not answer for the policy host.
    PolicyHostLookupFailed "POLICY_HOST_LOOKUP_FAILED";
    /// The policy host has an address that is not public.
    PolicyHostPrivateAddress "POLICY_HOST_PRIVATE_ADDRESS";
    /// The policy host cannot be reached.
    PolicyUnreachable "POLICY_UNREACHABLE";
    /// The policy host does not answer in time.
    PolicyTimeout "POLICY_TIMEOUT";
    /// The policy host is slow.
    PolicySlow "POLICY_SLOW";
    /// The TLS handshake with the policy host fails.
    PolicyTlsFailed "POLICY_TLS_FAILED";
    /// The policy host's certificate is for other names.
    PolicyCertName "POLICY_CERT_NAME";
    /// The policy host's certificate is not valid now.
    PolicyCertExpired "POLICY_CERT_EXPIRED";
    /// The policy host's certificate is not trusted.
    PolicyCertUntrusted "POLICY_CERT_UNTRUSTED";
    /// The policy host does not send its whole chain.
    PolicyCertIncompleteChain "POLICY_CERT_INCOMPLETE_CHAIN";
    /// The policy host's certificate ends soon.
    PolicyCertExpiring "POLICY_CERT_EXPIRING";
    /// The policy host redirects.
    PolicyRedirect "POLICY_REDIRECT";
    /// The policy host answers with an error.
    PolicyStatus "POLICY_STATUS";
    /// The policy has the wrong media type.
    PolicyContentType "POLICY_CONTENT_TYPE";
    /// The policy is too large.
    PolicyTooLarge "POLICY_TOO_LARGE";
    /// The policy host does not speak proper HTTP.
    PolicyBadHttp "POLICY_BAD_HTTP";
    /// The policy cannot be fetched by HTTP/2.
    PolicyH2Failed "POLICY_H2_FAILED";
    /// The policy cannot be fetched by HTTP/1.1.
    PolicyHttp1Failed "POLICY_HTTP1_FAILED";
    /// The addresses of the policy host serve different policies.
    PolicyDiffers "POLICY_DIFFERS";
    /// The policy is invalid.
    PolicyInvalid "POLICY_INVALID";
    /// Something in the policy is unwise.
    PolicyUnwise "POLICY_UNWISE";
    /// A deployed sender reads the policy otherwise.
    PolicyIncompatible "POLICY_INCOMPATIBLE";
    /// A mail host does not exist.
    MxHostNotFound "MX_HOST_NOT_FOUND";
    /// A mail host has no address.
    MxHostNoAddress "MX_HOST_NO_ADDRESS";
    /// A mail host is an alias.
    MxHostAlias "MX_HOST_ALIAS";
    /// A mail host has an address that is not public.
    MxHostPrivateAddress "MX_HOST_PRIVATE_ADDRESS";
    /// A mail host is this machine.
    MxHostOurs "MX_HOST_OURS";
    /// DNS did not answer for a mail host.
    MxHostLookupFailed "MX_HOST_LOOKUP_FAILED";
    /// A pattern has allowed no mail host for a month.
    MxPatternUnusedLong "MX_PATTERN_UNUSED_LONG";
    /// The mail provider asks for other patterns.
    MxProviderPattern "MX_PROVIDER_PATTERN";
    /// Port 25 is closed from here.
    MxPort25BlockedHere "MX_PORT_25_BLOCKED_HERE";
    /// A mail host cannot be reached.
    MxUnreachable "MX_UNREACHABLE";
    /// A mail host says that it is not ready.
    MxNotReady "MX_NOT_READY";
    /// A mail host does not answer in time.
    MxTimeout "MX_TIMEOUT";
    /// A mail host turns clients away.
    MxRefuses "MX_REFUSES";
    /// A mail host does not speak proper SMTP.
    MxSmtpBroken "MX_SMTP_BROKEN";
    /// A mail host offers no STARTTLS.
    MxNoStarttls "MX_NO_STARTTLS";
    /// Plain text slips into the encrypted session.
    MxStarttlsInjection "MX_STARTTLS_INJECTION";
    /// The TLS handshake with a mail host fails.
    MxTlsFailed "MX_TLS_FAILED";
    /// A mail host speaks only old TLS.
    MxTlsTooOld "MX_TLS_TOO_OLD";
    /// A mail host also accepts old TLS.
    MxTlsOldAccepted "MX_TLS_OLD_ACCEPTED";
    /// A mail host's certificate is for other names.
    MxCertName "MX_CERT_NAME";
    /// A mail host is named only in its certificate's common name.
    MxCertCnOnly "MX_CERT_CN_ONLY";
    /// A mail host's certificate is not valid now.
    MxCertExpired "MX_CERT_EXPIRED";
    /// A mail host's certificate ends soon.
    MxCertExpiring "MX_CERT_EXPIRING";
    /// A mail host's certificate is not trusted.
    MxCertUntrusted "MX_CERT_UNTRUSTED";
    /// A mail host's certificate is self-signed.
    MxCertSelfSigned "MX_CERT_SELF_SIGNED";
    /// A mail host does not send its whole chain.
    MxCertIncompleteChain "MX_CERT_INCOMPLETE_CHAIN";
    /// A mail host fails clients that do not name it.
    MxNeedsSni "MX_NEEDS_SNI";
    /// A mail host does not answer EHLO after the handshake.
    MxNoEhloAfterTls "MX_NO_EHLO_AFTER_TLS";
    /// A mail host offers STARTTLS inside TLS.
    MxStarttlsAfterTls "MX_STARTTLS_AFTER_TLS";
    /// A mail host's certificate does not match its TLSA records.
    DaneMismatch "DANE_MISMATCH";
    /// The TLSA lookup of a mail host fails.
    DaneLookupFailed "DANE_LOOKUP_FAILED";
    /// A TLSA record that mail senders cannot use.
    DaneUnusable "DANE_UNUSABLE";
    /// TLSA records that DNSSEC does not vouch for.
    DaneNotSigned "DANE_NOT_SIGNED";
    /// A TLSA record is bound to the key of today's certificate.
    DanePinnedLeaf "DANE_PINNED_LEAF";
    /// Nobody receives reports about TLS failures.
    TlsrptMissing "TLSRPT_MISSING";
    /// More than one report record.
    TlsrptMultiple "TLSRPT_MULTIPLE";
    /// The report record is malformed.
    TlsrptMalformed "TLSRPT_MALFORMED";
    /// Something in the report record is unwise.
    TlsrptUnwise "TLSRPT_UNWISE";
    /// DNS did not answer for the report record.
    TlsrptLookupFailed "TLSRPT_LOOKUP_FAILED";
    /// A mail host has no report record of its own.
    TlsrptMxHostMissing "TLSRPT_MX_HOST_MISSING";
    /// CAA records forbid the policy host's certificate.
    CaaForbids "CAA_FORBIDS";
    /// DNS did not answer for CAA records.
    CaaLookupFailed "CAA_LOOKUP_FAILED";
    /// DNSSEC signatures do not hold.
    DnssecBogus "DNSSEC_BOGUS";
    /// DNSSEC does not vouch for the domain.
    DnssecUnsigned "DNSSEC_UNSIGNED";
    /// The id in DNS is not that of the policy we serve.
    IdDiffers "ID_DIFFERS";
    /// The world is served another policy than ours.
    BodyDiffers "BODY_DIFFERS";
    /// The policy host leads elsewhere.
    PolicyHostElsewhere "POLICY_HOST_ELSEWHERE";
}
