//! The policy text: rendering ours, and reading anybody's strictly (RFC 8461 §3.2).
//!
//! The reader says two things about a body: whether it is valid by the RFC ([`Defect`]s make it
//! invalid), and whether deployed senders agree about it ([`Remark`]s). It collects everything it
//! finds, because an operator wants to mend a policy once.

use super::{
    Defect, DefectCode, MaxAge, Mode, ParsedPolicy, Policy, Remark, RemarkCode,
    field::{FirstValues, Repetition, WSP, is_field_name},
    mx_pattern,
};
use crate::name::{DomainName, NameError};
use bytes::Bytes;
use std::collections::HashSet;

/// Renders the body that senders fetch: `version`, `mode`, every `mx`, `max_age`, each line ended by
/// CRLF, nothing else (P-01 to P-03).
pub fn render_body(policy: &Policy) -> Bytes {
    let mut text = format!("version: STSv1\r\nmode: {}\r\n", policy.mode());
    for pattern in policy.mx() {
        text.push_str(&format!("mx: {pattern}\r\n"));
    }
    text.push_str(&format!("max_age: {}\r\n", policy.max_age()));
    text.into()
}

/// Senders are advised to read no more than 64 KiB (§3.3); whoever fetches stops one octet later.
const BODY_READ_MAX: usize = 64 * 1024;
/// One deployed sender reads no more than 10 KiB and rejects what it then finds cut off.
const BODY_READ_BY_ALL: usize = 10 * 1024;
/// No real policy has this many lines; beyond it a reader only does a stranger's work (P-45).
const LINES_MAX: usize = 2_000;
/// UTF-8's byte order mark.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// Reads a body as strictly as the grammar allows; never panics, whatever the octets.
///
/// LF and CRLF both end a line, the last may lack its end, fields come in any order, and of a
/// repeated field other than `mx` the first counts (§3.2).
pub fn parse_body(octets: &[u8]) -> ParsedPolicy {
    let mut reading = Reading::default();
    if octets.is_empty() {
        reading.whole(DefectCode::Empty);
        return reading.found;
    }
    if octets.len() > BODY_READ_MAX {
        reading.whole(DefectCode::BodyOver64K);
        return reading.found;
    }
    if octets.len() > BODY_READ_BY_ALL {
        reading.remark(RemarkCode::BodyOver10K);
    }
    let text = octets.strip_prefix(BOM).unwrap_or(octets);
    if text.len() < octets.len() {
        reading.found.defects.push(Defect { line: 1, column: 1, code: DefectCode::Bom });
    }
    for line in text.split_inclusive(|octet| *octet == b'\n') {
        reading.line += 1;
        if reading.line > LINES_MAX {
            reading.defect(1, DefectCode::TooManyLines);
            return reading.end();
        }
        let line = line.strip_suffix(b"\r\n").or_else(|| line.strip_suffix(b"\n")).unwrap_or(line);
        if let Err((column, code)) = reading.read_line(line) {
            reading.defect(column, code);
        }
    }
    reading.judge_whole();
    reading.end()
}

/// Where in a line (column in characters, from 1) and what.
type Broken = (usize, DefectCode);

/// A body half read.
#[derive(Default)]
struct Reading<'a> {
    found: ParsedPolicy,
    /// The line being read, from 1; 0 before and after.
    line: usize,
    fields: FirstValues<'a>,
    patterns: HashSet<String>,
}

impl<'a> Reading<'a> {
    fn read_line(&mut self, octets: &'a [u8]) -> Result<(), Broken> {
        let line = match str::from_utf8(octets) {
            Ok(line) => line,
            Err(error) => {
                let good = String::from_utf8_lossy(&octets[..error.valid_up_to()]);
                return Err((good.chars().count() + 1, DefectCode::InvalidUtf8));
            }
        };
        if line.trim_matches(WSP).is_empty() {
            return Err((1, DefectCode::BlankLine));
        }
        let Some((name, rest)) = line.split_once(':') else {
            check_characters(line)?;
            check_start(line)?;
            return Err((1, DefectCode::NotKeyValue));
        };
        let value = rest.trim_matches(WSP);
        // Noted before anything can be wrong with it: a broken field is not a missing one.
        let repetition = self.fields.note(name.trim_matches(WSP), value);
        check_characters(line)?;
        check_start(line)?;
        if name.ends_with(WSP) {
            return Err((name.trim_end_matches(WSP).chars().count() + 1, DefectCode::SpaceBeforeColon));
        }
        if !is_field_name(name) {
            return Err((1, DefectCode::BadFieldName));
        }
        self.remark_on_line(line, rest, value);
        let indent = rest.chars().count() - rest.trim_start_matches(WSP).chars().count();
        let column = name.chars().count() + 1 + indent + 1;
        self.read_field(name, value, repetition).map_err(|code| (column, code))
    }

    fn remark_on_line(&mut self, line: &str, rest: &str, value: &str) {
        let canonical = rest.strip_prefix(' ') == Some(value);
        if !canonical {
            self.remark(RemarkCode::NoncanonicalWhitespace);
        }
        if !line.is_ascii() {
            self.remark(RemarkCode::NonAsciiBody);
        }
        if line.contains(['\u{2028}', '\u{2029}']) {
            self.remark(RemarkCode::LineSeparator);
        }
    }

    fn read_field(
        &mut self,
        name: &str,
        value: &str,
        repetition: Option<Repetition>,
    ) -> Result<(), DefectCode> {
        if name == "mx" {
            return self.read_mx(value);
        }
        if let Some(repetition) = repetition {
            self.remark(match repetition {
                Repetition::Same => RemarkCode::DuplicateField,
                Repetition::Divergent => RemarkCode::DuplicateFieldDivergent,
            });
            return Ok(());
        }
        match name {
            "version" => self.read_version(value),
            "mode" => {
                self.found.mode = Some(Mode::from_keyword(value).ok_or(DefectCode::BadMode)?);
                Ok(())
            }
            "max_age" => self.read_max_age(value),
            _ => self.read_extension(name, value),
        }
    }

    fn read_version(&mut self, value: &str) -> Result<(), DefectCode> {
        if self.line != 1 {
            self.remark(RemarkCode::VersionNotFirst);
        }
        if value == "STSv1" { Ok(()) } else { Err(DefectCode::BadVersion) }
    }

    fn read_max_age(&mut self, value: &str) -> Result<(), DefectCode> {
        if !(1..=10).contains(&value.len()) || !value.bytes().all(|b| b.is_ascii_digit()) {
            return Err(DefectCode::MaxAgeSyntax);
        }
        let seconds = value.parse().map_err(|_| DefectCode::MaxAgeSyntax)?;
        let max_age = MaxAge::from_seconds(seconds).map_err(|_| DefectCode::MaxAgeRange)?;
        self.found.max_age = Some(max_age);
        if value.len() > 1 && value.starts_with('0') {
            self.remark(RemarkCode::MaxAgeLeadingZero);
        }
        Ok(())
    }

    fn read_mx(&mut self, value: &str) -> Result<(), DefectCode> {
        if !mx_pattern::is_grammatical(value) {
            return Err(DefectCode::BadMx);
        }
        let pattern = value.to_ascii_lowercase();
        if pattern != value {
            self.remark(RemarkCode::MxNotLowercase);
        }
        if let Some(code) = remark_on_pattern(&pattern) {
            self.remark(code);
        }
        if !self.patterns.insert(pattern.clone()) {
            self.remark(RemarkCode::DuplicateMx);
        }
        self.found.mx.push(pattern);
        Ok(())
    }

    fn read_extension(&mut self, name: &str, value: &str) -> Result<(), DefectCode> {
        if value.is_empty() || value.contains('\t') {
            return Err(DefectCode::BadExtensionValue);
        }
        self.remark(RemarkCode::ExtensionPresent);
        self.found.extensions.push((name.into(), value.into()));
        Ok(())
    }

    /// What only the whole shows: fields that are missing, and values that do not go together.
    fn judge_whole(&mut self) {
        self.line = 0;
        let missing = [
            ("version", DefectCode::MissingVersion),
            ("mode", DefectCode::MissingMode),
            ("max_age", DefectCode::MissingMaxAge),
        ];
        for (name, code) in missing {
            if !self.fields.has(name) {
                self.whole(code);
            }
        }
        let mode = self.found.mode;
        if !self.fields.has("mx") {
            match mode {
                Some(Mode::Enforce | Mode::Testing) => self.whole(DefectCode::MissingMx),
                Some(Mode::None) => self.remark(RemarkCode::NoneWithoutMx),
                None => {}
            }
        }
        if let Some(max_age) = self.found.max_age {
            let guidance = if mode == Some(Mode::Enforce) { MaxAge::WEEK } else { MaxAge::SHORTEST_TO_SET };
            if max_age.seconds() == 0 {
                self.remark(RemarkCode::MaxAgeZero);
            } else if max_age < guidance {
                self.remark(RemarkCode::MaxAgeBelowGuidance);
            }
        }
    }

    fn end(mut self) -> ParsedPolicy {
        if !self.found.is_valid() {
            self.found.remarks.clear();
        }
        self.found
    }

    fn defect(&mut self, column: usize, code: DefectCode) {
        self.found.defects.push(Defect { line: self.line, column, code });
    }

    fn whole(&mut self, code: DefectCode) {
        self.found.defects.push(Defect { line: 0, column: 0, code });
    }

    fn remark(&mut self, code: RemarkCode) {
        self.found.remarks.push(Remark { line: self.line, code });
    }
}

/// Refuses control characters; the tab is white space and may be legal where it stands.
fn check_characters(line: &str) -> Result<(), Broken> {
    match line.chars().enumerate().find(|(_, c)| c.is_control() && *c != '\t') {
        Some((index, '\r')) => Err((index + 1, DefectCode::BareCr)),
        Some((index, _)) => Err((index + 1, DefectCode::ControlCharacter)),
        None => Ok(()),
    }
}

fn check_start(line: &str) -> Result<(), Broken> {
    if line.starts_with(WSP) { Err((1, DefectCode::LeadingWhitespace)) } else { Ok(()) }
}

/// What is unwise about a grammatical pattern in lower case.
fn remark_on_pattern(pattern: &str) -> Option<RemarkCode> {
    let (wildcard, name) = mx_pattern::split_wildcard(pattern);
    match DomainName::from_user(name) {
        Ok(name) if wildcard && name.is_shared_hosting_suffix() => Some(RemarkCode::MxWildcardSharedSuffix),
        Ok(name) if wildcard && name.is_public_suffix() => Some(RemarkCode::MxWildcardPublicSuffix),
        Ok(_) => None,
        Err(NameError::SingleLabel) if wildcard => Some(RemarkCode::MxWildcardPublicSuffix),
        Err(NameError::SingleLabel) => Some(RemarkCode::MxSingleLabel),
        Err(NameError::IpAddress) => Some(RemarkCode::MxIsIp),
        Err(NameError::NumericEnd) => Some(RemarkCode::MxNumericEnd),
        Err(_) => Some(RemarkCode::MxBadALabel),
    }
}

#[cfg(test)]
mod tests;
