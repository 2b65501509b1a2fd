//! Who signs certificates: one authority written in `[acme]` itself, or an ordered list of
//! `[[acme.authority]]`.

use super::Reader;
use crate::config::{
    AuthoritySettings, Directory, ExternalAccount, fault::quoted, file::Table, source::Span,
};

/// What may be written of one authority, in either place.
const KEYS: [&str; 6] =
    ["directory", "contact", "terms_of_service_agreed", "root_file", "external_account", "profile"];

/// Authorities that are tried for one host. More than a second and a third only delay the news that
/// something is wrong with the host.
const AUTHORITIES_MAX: usize = 8;

/// One authority as it was written.
struct Read {
    settings: AuthoritySettings,
    /// Its directory, when that is good; else the settings have a stand-in.
    directory: Option<Directory>,
    /// Where the directory stands.
    span: Span,
}

impl Reader<'_, '_> {
    /// The authorities in their order; never empty, the internal one stands in for what is wrong.
    pub(super) fn authorities(&self, acme: &mut Table<'_, '_>) -> Vec<AuthoritySettings> {
        if !acme.has("authority") {
            return vec![self.authority(acme).settings];
        }
        let span = acme.span_of("authority");
        for key in KEYS.into_iter().filter(|key| acme.has(key)) {
            let problem = format!("{key} is written beside a list of authorities");
            let remedy = "move it into the [[acme.authority]] that it is about";
            self.reading.fault(acme.span_of(key), &acme.key(key), problem, remedy);
        }
        let mut authorities: Vec<AuthoritySettings> = Vec::new();
        let mut internal = false;
        for mut table in acme.tables("authority") {
            let Read { settings, directory, span } = self.authority(&mut table);
            if directory.is_some() && authorities.iter().any(|one| Some(&one.directory) == directory.as_ref())
            {
                let remedy = "write each authority once; the first one is tried first";
                self.reading.fault(span, &table.key("directory"), "this authority is written twice", remedy);
            }
            internal |= directory.as_ref() == Some(&Directory::Internal);
            authorities.push(settings);
            table.finish();
        }
        if internal && authorities.len() > 1 {
            let problem = "the internal authority stands beside others";
            let remedy = "no sender trusts it: take it out, or let it stand alone";
            self.reading.fault(span, "acme.authority", problem, remedy);
        }
        if authorities.len() > AUTHORITIES_MAX {
            let problem = format!("there are {} authorities", authorities.len());
            let remedy = format!("write at most {AUTHORITIES_MAX}");
            self.reading.fault(span, "acme.authority", problem, remedy);
        }
        // The shorthand's keys were told above, and their being written is no second fault.
        for key in KEYS {
            acme.skip(key);
        }
        if authorities.is_empty() {
            self.missing_directory(span, "acme.authority");
            authorities.push(AuthoritySettings::internal());
        }
        authorities
    }

    fn authority(&self, table: &mut Table<'_, '_>) -> Read {
        let span = table.span_of("directory");
        let terms_span = table.span_of("terms_of_service_agreed");
        let terms_of_service_agreed = table.flag("terms_of_service_agreed").unwrap_or(false);
        let directory = self.directory(table);
        if matches!(directory, Some(Directory::Url(_))) && !terms_of_service_agreed {
            let problem = "the authority's terms of service are not agreed to";
            let remedy = "read them, then write terms_of_service_agreed = true";
            self.reading.fault(terms_span, &table.key("terms_of_service_agreed"), problem, remedy);
        }
        let settings = AuthoritySettings {
            directory: directory.clone().unwrap_or(Directory::Internal),
            terms_of_service_agreed,
            contact: self.contact(table),
            root_file: self.path(table, "root_file"),
            external_account: self.external_account(table),
            profile: self.profile(table),
        };
        Read { settings, directory, span }
    }

    pub(super) fn missing_directory(&self, span: Span, place: &str) {
        let problem = "nothing says who signs certificates";
        let remedy = match place {
            "acme" => {
                "write directory = \"https://…\" under [acme], or \"internal\" for tests and private networks"
            }
            _ => "write directory = \"https://…\" in each [[acme.authority]]",
        };
        self.reading.fault(span, &format!("{place}.directory"), problem, remedy);
    }

    fn directory(&self, table: &mut Table<'_, '_>) -> Option<Directory> {
        if !table.has("directory") && !table.is_misspelt("directory") {
            let key = table.key("");
            self.missing_directory(table.span(), key.trim_end_matches('.'));
        }
        let text = table.text("directory")?;
        if text.value == "internal" {
            return Some(Directory::Internal);
        }
        let url = text.value.parse::<http::Uri>().ok();
        let good = url.is_some_and(|url| url.scheme_str() == Some("https") && url.host().is_some());
        if !good {
            let problem = format!("{} is not the https URL of a directory", quoted(&text.value));
            let remedy = "write the authority's directory URL, beginning with https://, or \"internal\"";
            self.reading.fault(text.span, &table.key("directory"), problem, remedy);
            return None;
        }
        Some(Directory::Url(text.value))
    }

    fn contact(&self, table: &mut Table<'_, '_>) -> Vec<String> {
        let mut contact = Vec::new();
        for text in table.texts("contact").map(|texts| texts.value).unwrap_or_default() {
            if text.value.strip_prefix("mailto:").is_some_and(is_contact) {
                contact.push(text.value);
                continue;
            }
            let problem = format!("{} is not one mailto: address", quoted(&text.value));
            let remedy = "write it as \"mailto:postmaster@example.com\"";
            self.reading.fault(text.span, &table.key("contact"), problem, remedy);
        }
        contact
    }

    fn external_account(&self, table: &mut Table<'_, '_>) -> Option<ExternalAccount> {
        let mut table = table.table("external_account")?;
        let span = table.span();
        let whole = table.has("key_id") && table.has("mac_key_file");
        let key_id = table.text("key_id").filter(|key_id| !key_id.value.is_empty());
        let mac_key_file = self.path(&mut table, "mac_key_file");
        if !whole {
            let problem = "an external account needs key_id and mac_key_file";
            let remedy = "write both; the file holds the MAC key as the authority shows it (base64url)";
            let key = table.key("");
            self.reading.fault(span, key.trim_end_matches('.'), problem, remedy);
        } else if key_id.is_none() {
            let remedy = "write the key identifier as the authority shows it";
            self.reading.fault(span, &table.key("key_id"), "key_id is empty", remedy);
        }
        table.finish();
        Some(ExternalAccount { key_id: key_id?.value, mac_key_file: mac_key_file? })
    }

    fn profile(&self, table: &mut Table<'_, '_>) -> Option<String> {
        let text = table.text("profile")?;
        let good = (1..=64).contains(&text.value.len())
            && text.value.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if !good {
            let problem = format!("{} is not the name of a profile", quoted(&text.value));
            let remedy = "write one of the profiles that the authority lists, such as \"tlsserver\"";
            self.reading.fault(text.span, &table.key("profile"), problem, remedy);
        }
        good.then_some(text.value)
    }
}

/// Whether this is one mail address that an authority may write to, without `mailto:`.
pub fn is_contact(address: &str) -> bool {
    let parts = address.split_once('@');
    parts.is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
        && address.bytes().all(|b| b.is_ascii_graphic() && !b",?".contains(&b))
}
