//! What strangers and programs get, by real curl.

use crate::{
    TOKEN, admin,
    browser::write_certificate,
    page_of,
    support::{Daemon, Home, eventually},
    write_token,
};
use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::Command,
};

/// A daemon with one tenant and a page with `keys` in `[admin]`.
fn start(keys: &str) -> (Home, Daemon, String) {
    let home = Home::new(&admin(keys));
    write_token(&home);
    write_certificate(&home);
    home.tenant("one", "one", "one.example", "mx.one.example");
    let daemon = home.start();
    let page = page_of(&daemon);
    (home, daemon, page)
}

/// Status and head and body as curl shows them.
fn curl(arguments: &[&str]) -> (u16, String) {
    let output = Command::new("curl")
        .args(["--silent", "--include", "--max-time", "20", "--write-out", "\n%{http_code}"])
        .args(arguments)
        .output()
        .expect("curl is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (shown, status) = text.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), shown.to_owned())
}

fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}")
}

// Threat 30.
#[test]
fn without_a_token_the_page_shows_and_does_nothing() {
    let (_home, _daemon, page) = start("");
    let fleet = format!("http://{page}/");
    let (status, shown) = curl(&[&fleet]);
    assert_eq!(status, 200, "{shown}");
    for header in [
        "content-security-policy: default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
         frame-ancestors 'none'; base-uri 'none'",
        "x-content-type-options: nosniff",
        "x-frame-options: DENY",
        "referrer-policy: same-origin",
        "cache-control: no-store",
    ] {
        assert!(shown.contains(header), "{header} is missing in\n{shown}");
    }
    assert!(!shown.contains("access-control"), "{shown}");
    assert!(!shown.contains("<form method=\"post\""), "{shown}");
    for what in ["renew", "check"] {
        let (status, shown) = curl(&["-X", "POST", &format!("{fleet}domains/one.example/{what}")]);
        assert_eq!(status, 403, "{shown}");
    }
    // What the socket takes is not to be had here.
    for path in ["certificate/revoke", "account/deactivate", "certificates"] {
        assert_eq!(curl(&["-X", "POST", &format!("{fleet}{path}")]).0, 404, "{path}");
    }
    for (host, expected) in
        [("localhost", 200), ("[::1]:8460", 200), ("evil.example", 421), ("192.0.2.1", 421), ("", 421)]
    {
        assert_eq!(curl(&["-H", &format!("host: {host}"), &fleet]).0, expected, "{host:?}");
    }
    // Behind a proxy the whole world comes from loopback.
    assert_eq!(curl(&["-H", "x-forwarded-for: 192.0.2.1", &fleet]).0, 403);
    let style = format!("{fleet}style.css");
    let (status, shown) = curl(&[&style]);
    let tag = shown.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().trim();
    assert_eq!(status, 200);
    assert_eq!(curl(&["-H", &format!("if-none-match: {tag}"), &style]).0, 304);
    assert!(curl(&[&format!("{fleet}status.json")]).1.contains("\"generation\":1"));
    assert_eq!(curl(&[&format!("{fleet}readyz")]).0, 200);
}

#[test]
fn with_a_token_nothing_is_told_to_who_does_not_show_it() {
    let (home, daemon, page) = start("token_file = \"admin.token\"\nnames = [\"sts.provider.example\"]");
    let url = |path: &str| format!("http://{page}{path}");
    for path in ["/", "/domains", "/domains/one.example", "/status.json", "/nowhere"] {
        let (status, shown) = curl(&[&url(path)]);
        assert_eq!(status, 401, "{path}");
        assert!(shown.contains("www-authenticate: Bearer") && !shown.contains("one.example"), "{shown}");
    }
    assert_eq!(curl(&["-H", "accept: text/html", &url("/")]).0, 303);
    for path in ["/livez", "/readyz", "/style.css", "/login"] {
        assert_eq!(curl(&[&url(path)]).0, 200, "{path}");
    }
    let token = bearer(TOKEN);
    assert_eq!(curl(&["-H", &token, &url("/status.json")]).0, 200);
    assert_eq!(curl(&["-H", &token, "-H", "host: STS.Provider.Example:443", &url("/")]).0, 200);
    daemon.wait_for_log("\"certificate issued\"");
    let renew = url("/domains/one.example/renew");
    eventually("the order to have ended", || {
        (curl(&["-H", &token, "-X", "POST", &renew]).0 == 303).then_some(())
    });
    daemon.wait_for_log("told by the operator");
    // A cookie is no password: what another page sends with it is refused.
    let sent = ["-H", &token, "-H", "origin: http://evil.example", "-X", "POST", &renew];
    assert_eq!(curl(&sent).0, 403);
    // Another token, without a restart.
    home.write("admin.token", "another token, just as long");
    std::fs::set_permissions(home.path("admin.token"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .unwrap();
    assert_eq!(curl(&["-H", &token, &url("/")]).0, 401);
    assert_eq!(curl(&["-H", &bearer("another token, just as long"), &url("/")]).0, 200);
    let tried: Vec<u16> = (0..12).map(|_| curl(&["-H", &bearer("guess"), &url("/")]).0).collect();
    assert_eq!((tried[0], tried[11]), (401, 429), "{tried:?}");
    // What strangers do is not for the log.
    let loud = |line: &String| line.contains("wrong token") && !line.contains("DEBUG");
    assert!(!daemon.log().iter().any(loud));
}

#[test]
fn nobody_holds_a_connection_or_sends_more_than_a_form() {
    let (_home, daemon, page) = start("token_file = \"admin.token\"");
    daemon.wait_for_policy("one.example", "mx.one.example");
    let mut slow = TcpStream::connect(&page).unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ").unwrap();
    let crowd: Vec<TcpStream> = (0..40).map(|_| TcpStream::connect(&page).unwrap()).collect();
    // The 32 of one address are taken; the policy server next door does not mind.
    assert_eq!(daemon.fetch("one.example").status, 200);
    drop(crowd);
    let large = "a".repeat(100_000);
    let login = format!("http://{page}/login");
    let refused = eventually("room for another connection", || {
        let (status, _) = curl(&["-d", &format!("token={large}"), &login]);
        (status != 0).then_some(status)
    });
    assert_eq!(refused, 413);
    assert_eq!(curl(&["-H", &format!("x-large: {}", "a".repeat(20_000)), &login]).0, 431);
    // The header that never ends is cut off by the daemon, not by us.
    let mut rest = Vec::new();
    let _ = slow.read_to_end(&mut rest);
    assert!(!String::from_utf8_lossy(&rest).contains("200 OK"));
}

#[test]
fn a_renewed_certificate_is_served_without_a_restart() {
    let (home, _daemon, page) =
        start("token_file = \"admin.token\"\ncertificate_file = \"a.pem\"\nkey_file = \"a.key\"");
    let trusting = |root: &Path| {
        curl(&["--cacert", root.to_str().unwrap(), "-H", &bearer(TOKEN), &format!("https://{page}/")]).0
    };
    assert_eq!(trusting(&home.path("a.pem")), 200);
    let old = std::fs::read(home.path("a.pem")).unwrap();
    write_certificate(&home);
    assert_eq!(trusting(&home.path("a.pem")), 200);
    std::fs::write(home.path("old.pem"), old).unwrap();
    assert_eq!(trusting(&home.path("old.pem")), 0);
}

#[test]
fn a_page_that_nobody_could_enter_ends_the_start_with_the_reason() {
    let home = Home::new(&admin("token_file = \"no.token\""));
    let output = home.run(&["serve"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(told.contains("no.token") && told.contains("admin.token_file"), "{told}");
    home.write("no.token", TOKEN);
    std::fs::set_permissions(home.path("no.token"), std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .unwrap();
    let told = home.run(&["serve"]).stderr;
    assert!(String::from_utf8_lossy(&told).contains("chmod 600"));
}
