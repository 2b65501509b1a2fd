//! What is written, and that nothing waits for it.

use super::*;

const HOST: &str = "mta-sts.example.com";

fn log(
    to: AccessLogTo,
    format: AccessLogFormat,
    addresses: AccessLogAddresses,
) -> (AccessLog, AccessLogWriter) {
    let clock = Clock::simulated("2026-11-22T07:41:41.9Z".parse().unwrap());
    AccessLog::new(&config::AccessLog { to, format, addresses }, clock).unwrap()
}

fn to_file(path: &Path) -> (AccessLog, AccessLogWriter) {
    log(AccessLogTo::File(path.to_owned()), AccessLogFormat::Text, AccessLogAddresses::Prefix)
}

fn note(log: &AccessLog, client: &str, status: u16, agent: Option<&[u8]>) {
    let host = PolicyHost::from_full_name(HOST).unwrap();
    let mut headers = HeaderMap::new();
    if let Some(agent) = agent {
        headers.insert(USER_AGENT, http::HeaderValue::from_bytes(agent).unwrap());
    }
    log.note(&host, client.parse().unwrap(), status, &headers);
}

async fn lines(format: AccessLogFormat, addresses: AccessLogAddresses) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let (log, writer) = log(AccessLogTo::File(path.clone()), format, addresses);
    note(&log, "192.0.2.77", 200, Some(b"curl/8.9"));
    note(&log, "2001:db8:1:2:3::4", 404, None);
    note(&log, "::ffff:192.0.2.77", 405, Some(b"\"\\ \xc3\xa9\xff\t\xe2\x80\xae end"));
    note(&log, "192.0.2.77", 200, Some(&[b'a'; 5_000]));
    drop(log);
    writer.run().await;
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    fs::read_to_string(path).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_line_tells_who_asked_for_what_and_nothing_of_a_stranger_breaks_it() {
    let text = lines(AccessLogFormat::Text, AccessLogAddresses::Prefix).await;
    let long = "a".repeat(USER_AGENT_OCTETS);
    let expected = format!(
        "2026-11-22T07:41:41Z mta-sts.example.com 192.0.2.0/24 200 \"curl/8.9\"\n\
         2026-11-22T07:41:41Z mta-sts.example.com 2001:db8:1::/48 404 -\n\
         2026-11-22T07:41:41Z mta-sts.example.com 192.0.2.0/24 405 \"\\\"\\\\ é\\u{{fffd}}\\t\\u{{202e}} end\"\n\
         2026-11-22T07:41:41Z mta-sts.example.com 192.0.2.0/24 200 \"{long}…\"\n"
    );
    assert_eq!(text, expected);
}

#[tokio::test(start_paused = true)]
async fn a_json_line_is_one_object_and_addresses_are_whole_where_that_is_asked_for() {
    let text = lines(AccessLogFormat::Json, AccessLogAddresses::Full).await;
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(
        lines[0],
        serde_json::json!({
            "time": "2026-11-22T07:41:41Z", "host": HOST, "client": "192.0.2.77", "status": 200,
            "user_agent": "curl/8.9",
        })
    );
    assert_eq!((&lines[1]["client"], &lines[1]["user_agent"]), (&"2001:db8:1:2:3::4".into(), &().into()));
    assert_eq!(lines[2]["user_agent"], "\"\\ é\\u{fffd}\\t\\u{202e} end");
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_counted_and_told_and_nobody_waits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let (log, writer) = to_file(&path);
    (0..QUEUE + 7).for_each(|_| note(&log, "192.0.2.1", 200, None));
    drop(log);
    writer.run().await;
    let text = fs::read_to_string(path).unwrap();
    assert_eq!(text.lines().count(), QUEUE + 1);
    assert!(text.contains("\n# 2026-11-22T07:41:41Z 7 lines lost\n"));
}

#[tokio::test]
async fn after_a_rotation_the_new_file_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (path, old) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
    let (log, writer) = to_file(&path);
    let writer = tokio::spawn(writer.run());
    let size = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
    let written = async |path: &Path| {
        while size(path) == 0 {
            tokio::task::yield_now().await;
        }
    };
    note(&log, "192.0.2.1", 200, None);
    written(&path).await;
    fs::rename(&path, &old).unwrap();
    note(&log, "192.0.2.1", 404, None);
    written(&path).await;
    fs::remove_file(&path).unwrap();
    note(&log, "192.0.2.1", 405, None);
    drop(log);
    writer.await.unwrap();
    assert!(fs::read_to_string(&old).unwrap().contains(" 200 "));
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(" 405 ") && text.lines().count() == 1, "{text}");
}

#[tokio::test]
async fn what_cannot_be_written_is_told_when_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("later");
    let path = inside.join("access.log");
    let (log, writer) = to_file(&path);
    let lost = Arc::clone(&log.lost);
    let writer = tokio::spawn(writer.run());
    note(&log, "192.0.2.1", 200, None);
    while lost.ever.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    fs::create_dir(inside).unwrap();
    note(&log, "192.0.2.1", 404, None);
    drop(log);
    writer.await.unwrap();
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(" 404 ") && text.ends_with(" 1 lines lost\n"), "{text}");
}
