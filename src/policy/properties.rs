//! What holds for every policy and for every input, whoever wrote it.

use super::*;
use proptest::prelude::*;

fn pattern() -> impl Strategy<Value = MxPattern> {
    "(\\*\\.)?([a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?\\.){1,3}(com|net|example)"
        .prop_filter_map("label of another kind", |text| MxPattern::from_user(&text).ok())
}

fn policy() -> impl Strategy<Value = Policy> {
    let mode = prop_oneof![Just(Mode::Enforce), Just(Mode::Testing), Just(Mode::None)];
    let max_age = (0..=u64::from(MaxAge::LONGEST.seconds())).prop_map(|s| MaxAge::from_seconds(s).unwrap());
    (mode, prop::collection::vec(pattern(), 1..20), max_age)
        .prop_map(|(mode, mx, max_age)| Policy::new(mode, mx, max_age).unwrap())
}

/// A policy as the configuration lets it be set: with patterns, for a day at least.
///
/// Left out are names like `ab--cd.example`: they are good by DNS and by the RFC, but not by IDNA, and
/// mox refuses them. Whoever has such an MX host must list it all the same.
fn policy_to_set() -> impl Strategy<Value = Policy> {
    policy().prop_filter_map("names that IDNA reserves", |policy| {
        let max_age = policy.max_age().max(MaxAge::SHORTEST_TO_SET);
        let reserved = |label: &str| label.get(2..4) == Some("--");
        let any = policy.mx().iter().any(|pattern| pattern.name().as_str().split('.').any(reserved));
        (!any).then(|| Policy::new(policy.mode(), policy.mx().to_vec(), max_age).unwrap())
    })
}

/// P-02's shape, `^([a-z_]+: [ -~]+\r\n)+$`, without a regex engine.
fn has_the_golden_shape(body: &[u8]) -> bool {
    let Some(lines) = str::from_utf8(body).ok().and_then(|text| text.strip_suffix("\r\n")) else {
        return false;
    };
    lines.split("\r\n").all(|line| {
        line.split_once(": ").is_some_and(|(name, value)| {
            !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
                && !value.is_empty()
                && value.bytes().all(|b| (b' '..=b'~').contains(&b))
        })
    })
}

/// Octets that get past the first checks more often than noise does.
fn nearly_a_body() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"version: STSv1".to_vec()),
        Just(b"mode: enforce".to_vec()),
        Just(b"mx: *.example.com".to_vec()),
        Just(b"max_age: 604800".to_vec()),
        Just(b"v=STSv1; id=a1".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\n".to_vec()),
        Just(b";".to_vec()),
        Just(b": ".to_vec()),
        Just(b"xn--".to_vec()),
        prop::collection::vec(any::<u8>(), 0..8),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn a_body_has_the_golden_shape_and_reads_back_the_same(policy in policy()) {
        let body = render_body(&policy);
        prop_assert!(has_the_golden_shape(&body));
        prop_assert!(body.starts_with(b"version: STSv1\r\nmode: "));
        let rendered = RenderedPolicy::of(policy.clone()).unwrap();
        prop_assert_eq!(rendered.body(), &body);
        let read = parse_body(&body);
        prop_assert!(read.is_valid());
        prop_assert_eq!(read.mode, Some(policy.mode()));
        prop_assert_eq!(read.max_age, Some(policy.max_age()));
        let mx: Vec<_> = policy.mx().iter().map(MxPattern::to_string).collect();
        prop_assert_eq!(read.mx, mx);
    }

    // P-15.
    #[test]
    fn order_and_repetition_of_patterns_change_nothing(
        (mx, shuffled) in prop::collection::vec(pattern(), 1..20)
            .prop_flat_map(|mx| (Just(mx.clone()), Just([mx.clone(), mx].concat()).prop_shuffle())),
    ) {
        let render = |mx| RenderedPolicy::of(Policy::new(Mode::Enforce, mx, MaxAge::WEEK).unwrap()).unwrap();
        let (one, other) = (render(mx), render(shuffled));
        prop_assert_eq!(one.body(), other.body());
        prop_assert_eq!(one.id(), other.id());
    }

    // T-12, T-13.
    #[test]
    fn the_id_changes_with_the_octets_and_only_with_them(one in policy(), other in policy()) {
        let (one, other) = (RenderedPolicy::of(one).unwrap(), RenderedPolicy::of(other).unwrap());
        prop_assert_eq!(one.body() == other.body(), one.id() == other.id());
        let record = render_record(one.id()).into_bytes();
        let judged = judge_records(TxtSeen::Answer { records: &[vec![record]], beside_cname: false });
        prop_assert_eq!(judged.audit(), Audit::Ok);
        let extensions = vec![];
        let expected = IndicatorRecord { id: one.id().clone(), extensions };
        prop_assert_eq!(judged.outcome, RecordOutcome::Indicated(expected));
    }

    // P-18: whatever is written as a pattern, only a checked name reaches the body.
    #[test]
    fn no_input_smuggles_anything_into_the_body(text in "\\PC{0,40}|[ -~\r\n\u{b}]{0,40}") {
        if let Ok(pattern) = MxPattern::from_user(&text) {
            let policy = Policy::new(Mode::Testing, vec![pattern], MaxAge::WEEK).unwrap();
            let body = render_body(&policy);
            prop_assert!(has_the_golden_shape(&body));
            prop_assert_eq!(body.iter().filter(|octet| **octet == b'\n').count(), 4);
        }
    }

    #[test]
    fn a_defect_names_a_place_inside_the_body(octets in nearly_a_body()) {
        let read = parse_body(&octets);
        let lines = octets.split(|octet| *octet == b'\n').count();
        prop_assert!(read.defects.iter().all(|defect| defect.line <= lines));
        prop_assert!(read.is_valid() || read.remarks.is_empty());
        prop_assert_eq!(read.audit() == Audit::Ok, read.is_valid() && read.remarks.is_empty());
    }

    #[test]
    fn no_records_are_too_odd_to_be_judged(
        records in prop::collection::vec(prop::collection::vec(nearly_a_body(), 0..3), 0..3),
    ) {
        let judged = judge_records(TxtSeen::Answer { records: &records, beside_cname: false });
        let usable = records.iter().filter(|record| record.concat().starts_with(b"v=STSv1;")).count();
        let indicated = matches!(judged.outcome, RecordOutcome::Indicated(_));
        prop_assert!(!indicated || usable == 1);
        prop_assert_eq!(
            judged.outcome == RecordOutcome::NoPolicy(RecordDefect::NoRecord), usable == 0
        );
    }

    #[test]
    fn any_octets_are_read_without_a_panic(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        let read = parse_body(&octets);
        prop_assert!(!read.is_valid());
    }

    // P-43: what we render is read by every sender as it was meant.
    #[test]
    fn every_sender_accepts_what_we_render(policy in policy_to_set()) {
        let rendered = RenderedPolicy::of(policy.clone()).unwrap();
        for charset in [None, Some("utf-8")] {
            prop_assert_eq!(interop::disagreements(rendered.body(), charset, &parse_body(rendered.body())), vec![]);
        }
        let record = render_record(rendered.id()).into_bytes();
        for (sender, reading) in interop::read_record(&[vec![record]]) {
            let id = interop::RecordReading::Id(rendered.id().to_string());
            prop_assert!(reading == id || reading == interop::RecordReading::Policy, "{}", sender);
        }
    }

    #[test]
    fn a_report_record_of_ours_is_read_by_every_sender(token in "[A-Za-z0-9-]{1,30}") {
        let rua = [format!("https://r.example/v1/{token}"), format!("mailto:{token}@r.example")];
        let record = report_record::render_report_record(&rua).unwrap().into_bytes();
        for (_, reading) in interop::read_report_record(&[vec![record]]) {
            prop_assert_eq!(reading, interop::ReportReading::Rua(rua.to_vec()));
        }
    }

    // No octets whatever bring a reader down, and whoever is said to disagree does.
    #[test]
    fn every_sender_reads_any_octets(octets in nearly_a_body(), charset in prop::option::of("[a-z0-9-]{0,9}")) {
        let charset = charset.as_deref();
        let strict = parse_body(&octets);
        let readings = interop::read_policy(&octets, charset);
        prop_assert_eq!(readings.len(), interop::Sender::ALL.len());
        for found in interop::disagreements(&octets, charset, &strict) {
            prop_assert!(readings.contains(&(found.sender, found.reading)));
            let rejected = found.reading == interop::PolicyReading::Reject;
            prop_assert!(strict.is_valid() || !rejected);
        }
        let records = [vec![octets.clone()]];
        interop::read_record(&records);
        interop::read_report_record(&records);
        report_record::judge_report_records(TxtSeen::Answer { records: &records, beside_cname: false });
        let likeness = misprint::look_at(&octets);
        prop_assert!(likeness.kind.is_some() || likeness.misprints.is_empty());
    }
}
