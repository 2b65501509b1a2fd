//! Topic: the STS record (RFC 8461 §3.1; T-01 to T-20).

use super::{Finding, FindingCode as Code, Severity, Topic, TopicReport, reading::Reading, shown};
use crate::{
    dns::UnansweredKind,
    policy::{
        Audit, RecordDefect, RecordOutcome, RecordRemark,
        interop::{RecordReading, read_record},
        misprint::{Misprint, RecordKind, look_at},
    },
};

/// Above this many seconds in caches a change of the policy goes unnoticed for too long (T-18).
const TTL_LONG: u64 = 86_400;
/// What is shown of one record.
const SHOWN_MAX: usize = 120;

pub(super) fn judge(reading: &Reading<'_>) -> TopicReport {
    let mut topic = Topic::Record.begin();
    let seen = reading.seen;
    let name = format!("_mta-sts.{}", seen.domain);
    let answer = match &seen.record {
        Ok(answer) => answer,
        Err(unanswered) => {
            topic.saw(format!("{name}: no answer ({})", shown(&unanswered.reason, SHOWN_MAX)));
            match unanswered.kind {
                UnansweredKind::TooManyCnames => topic.found(reading.finding(Code::StsRecordCnameLoop)),
                // DNSSEC says so, for all questions at once.
                UnansweredKind::Bogus => {}
                UnansweredKind::Failed => topic
                    .found(reading.finding(Code::StsRecordLookupFailed).with_evidence(&unanswered.reason)),
            }
            return topic;
        }
    };
    for alias in &answer.data.chain {
        topic.saw(format!("{name} is an alias of {alias}"));
    }
    let texts: Vec<Vec<u8>> = answer.data.records.iter().map(|strings| strings.concat()).collect();
    for text in &texts {
        topic.saw(format!("{name}: \"{}\"", shown(&String::from_utf8_lossy(text), SHOWN_MAX)));
    }
    if texts.is_empty() {
        topic.saw(format!("{name}: no TXT record"));
    }
    if !reading.present {
        topic.found(reading.finding(Code::NoMtaSts));
        return topic;
    }
    let evidence = texts.first().map(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default();
    match &reading.record.outcome {
        RecordOutcome::Undetermined => {}
        // The remark below says why no record counts.
        RecordOutcome::NoPolicy(RecordDefect::NoRecord)
            if reading.record.remarks.contains(&RecordRemark::SpaceBeforeFirstSemicolon) => {}
        RecordOutcome::NoPolicy(defect) => {
            topic.found(no_record(reading, *defect, &texts).with_evidence(&evidence));
        }
        RecordOutcome::Indicated(record) => {
            let ttl = answer.ttl.filter(|ttl| ttl.as_secs() > TTL_LONG);
            if let Some(ttl) = ttl {
                let evidence = format!("{} s", ttl.as_secs());
                topic.found(reading.finding(Code::StsRecordTtlLong).with_evidence(&evidence));
            }
            if seen.wildcard == Some(true) {
                topic.found(reading.finding(Code::StsRecordWildcard));
            }
            if reading.record.audit() != Audit::Error {
                // What other records beside it do to senders is told by a finding of its own.
                let alone = answer.data.records.iter().filter(|strings| is_candidate(strings));
                for (sender, how) in read_record(&alone.cloned().collect::<Vec<_>>()) {
                    let otherwise = match how {
                        RecordReading::None => "finds no record".to_owned(),
                        RecordReading::Id(id) if id != record.id.as_str() => format!("reads the id {id}"),
                        _ => continue,
                    };
                    let finding = reading.finding_about(Code::StsRecordIncompatible, sender.name());
                    topic.found(finding.with_evidence(&otherwise));
                }
            }
            let extensions = record.extensions.iter().map(|(name, _)| name.as_str());
            topic.found_all(extensions.map(|name| reading.finding_about(Code::StsRecordExtension, name)));
        }
    }
    let remarks = reading.record.remarks.iter().filter_map(|remark| of_remark(reading, *remark));
    topic.found_all(remarks.map(|finding| finding.with_evidence(&evidence)));
    topic
}

/// Whether this TXT record begins as an STS record does.
fn is_candidate(strings: &[Vec<u8>]) -> bool {
    strings.concat().starts_with(b"v=STSv1")
}

/// The one finding for why there is no usable record.
fn no_record(reading: &Reading<'_>, defect: RecordDefect, texts: &[Vec<u8>]) -> Finding {
    let misprints: Vec<Misprint> = texts
        .iter()
        .map(|text| look_at(text))
        .filter(|likeness| likeness.kind == Some(RecordKind::Indicator))
        .flat_map(|likeness| likeness.misprints)
        .collect();
    if misprints.iter().any(|misprint| matches!(misprint, Misprint::Quotes | Misprint::Backslash)) {
        return reading.finding(Code::StsRecordQuoted);
    }
    let invisible = [Misprint::NoBreakSpace, Misprint::Typographic];
    if misprints.iter().any(|misprint| invisible.contains(misprint)) {
        return reading.finding(Code::StsRecordNbsp);
    }
    match defect {
        RecordDefect::MultipleRecords => reading.finding(Code::StsRecordMultiple),
        RecordDefect::NoRecord => match misprints.first() {
            Some(misprint) => reading.finding_about(Code::StsRecordMalformed, misprint.code()),
            None => missing(reading),
        },
        other => reading.finding_about(Code::StsRecordMalformed, other.code()),
    }
}

/// No record where it belongs: perhaps it stands elsewhere.
fn missing(reading: &Reading<'_>) -> Finding {
    let ours = |text: &[u8]| look_at(text).kind == Some(RecordKind::Indicator);
    let elsewhere = reading
        .seen
        .elsewhere
        .iter()
        .find(|(_, txt)| txt.records.iter().any(|strings| ours(&strings.concat())));
    match elsewhere {
        Some((name, _)) => reading.finding_about(Code::StsRecordWrongPlace, &name.to_string()),
        None => reading.finding(Code::StsRecordMissing),
    }
}

fn of_remark(reading: &Reading<'_>, remark: RecordRemark) -> Option<Finding> {
    let code = match remark {
        RecordRemark::UnrelatedTxt => Code::StsRecordUnrelatedTxt,
        RecordRemark::NoncanonicalWhitespace => Code::StsRecordNoncanonical,
        RecordRemark::SpaceBeforeFirstSemicolon => Code::StsRecordSpaceBeforeSemicolon,
        RecordRemark::CnameAndOtherData => Code::StsRecordBesideCname,
        RecordRemark::DuplicateField => {
            return Some(reading.finding_about(Code::StsRecordDuplicateField, "the same value"));
        }
        RecordRemark::DuplicateFieldDivergent => {
            let finding = reading.finding_about(Code::StsRecordDuplicateField, "another value");
            return Some(finding.at_least(Severity::Error));
        }
        // Each field is told by its name.
        RecordRemark::ExtensionPresent => return None,
    };
    Some(reading.finding(code))
}
