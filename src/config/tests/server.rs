//! Faults of the server's part, key by key.

use super::*;

#[test]
fn the_servers_part_is_checked_key_by_key() {
    let acme = |rest: &str| format!("[acme]\ndirectory = \"internal\"\n{rest}");
    for (main, expected) in [
        (
            "[acme]\n".to_owned(),
            &[
                "1:2: nothing says who signs certificates; write directory = \"https://…\" under [acme], or \"internal\" for tests and private networks",
            ][..],
        ),
        (
            "[acme]\ndirectory = \"http://ca.example/\"\n".to_owned(),
            &[
                "2:13: \"http://ca.example/\" is not the https URL of a directory; write the authority's directory URL, beginning with https://, or \"internal\"",
            ],
        ),
        (
            "[acme]\ndirectory = \"https://ca.example/\"\nterms_of_service_agreed = false\n".to_owned(),
            &[
                "3:1: the authority's terms of service are not agreed to; read them, then write terms_of_service_agreed = true",
            ],
        ),
        (
            acme("[[acme.authority]]\ndirectory = \"internal\"\n"),
            &[
                "2:1: directory is written beside a list of authorities; move it into the [[acme.authority]] that it is about",
            ],
        ),
        (
            "[acme]\n[[acme.authority]]\ncontact = [\"a\"]\n[[acme.authority]]\ndirectory = \"https://ca.example/\"\nlimit = 1\n".to_owned(),
            &[
                "2:1: nothing says who signs certificates; write directory = \"https://…\" in each [[acme.authority]]",
                "3:12: \"a\" is not one mailto: address; write it as \"mailto:postmaster@example.com\"",
                "4:1: the authority's terms of service are not agreed to; read them, then write terms_of_service_agreed = true",
                "6:1: the key \"limit\" is not known in acme.authority; take it out; the keys in acme.authority are terms_of_service_agreed, directory, contact, root_file, external_account, profile",
            ],
        ),
        (
            "[acme]\nauthority = []\n".to_owned(),
            &["2:1: nothing says who signs certificates; write directory = \"https://…\" in each [[acme.authority]]"],
        ),
        (
            "[acme]\n[[acme.authority]]\ndirectory = \"https://ca.example/\"\nterms_of_service_agreed = true\n[[acme.authority]]\ndirectory = \"https://ca.example/\"\nterms_of_service_agreed = true\n".to_owned(),
            &["6:1: this authority is written twice; write each authority once; the first one is tried first"],
        ),
        (
            "[acme]\n[[acme.authority]]\ndirectory = \"https://ca.example/\"\nterms_of_service_agreed = true\n[[acme.authority]]\ndirectory = \"internal\"\n".to_owned(),
            &["2:8: the internal authority stands beside others; no sender trusts it: take it out, or let it stand alone"],
        ),
        (
            acme("challenges = []\n"),
            &["3:1: no challenge can be answered; write \"tls-alpn-01\", \"http-01\" or both"],
        ),
        (
            acme("challenges = [\"dns-01\", \"http-01\"]\n[listen]\nhttp = []\n"),
            &[
                "3:15: \"dns-01\" is not a challenge we can answer; write \"tls-alpn-01\", \"http-01\" or both",
                "3:25: http-01 needs a plain HTTP address; write a listen.http address with port 80, or take http-01 out",
            ],
        ),
        (
            acme("contact = [\"postmaster@a.example\"]\norders_at_once = 65\nprofile = \"a b\"\n"),
            &[
                "3:12: \"postmaster@a.example\" is not one mailto: address; write it as \"mailto:postmaster@example.com\"",
                "4:18: orders_at_once is out of range; write a number from 1 to 64",
                "5:11: \"a b\" is not the name of a profile; write one of the profiles that the authority lists, such as \"tlsserver\"",
            ],
        ),
        (
            "[listen]\nhttps = []\nhttp = [\"192.0.2.1\", \"[::]:80\", \"[::]:80\"]\nhttpss = 1\n".to_owned(),
            &[
                "2:1: there is no address to serve policies at; write at least one address, such as \"[::]:443\", or listen.backend for a proxy that ends TLS",
                "3:9: \"192.0.2.1\" is not an address with a port; write it as \"192.0.2.1:443\" or \"[2001:db8::1]:443\", not as a name",
                "3:33: the address [::]:80 is written twice; write it once",
                "4:1: the key \"httpss\" is not known in listen; did you mean https?",
            ],
        ),
        (
            "[listen]\nbackend = [\"127.0.0.1:81\"]\nbackend_from = []\nproxy_protocol_from = [\"192.0.2.7/24\", \"proxy.example\", \"::ffff:192.0.2.1\", \"::1\", \"::1\"]\nproxy_protocol_on = [\"tls\"]\n".to_owned(),
            &[
                "3:1: nobody may connect to listen.backend; write the networks of the proxies, or take the key out for loopback addresses",
                "4:24: \"192.0.2.7/24\" has bits set behind its prefix; write \"192.0.2.0/24\", or the one address alone",
                "4:40: \"proxy.example\" is not a network; write it as \"192.0.2.0/24\", \"2001:db8::/32\", or as one address",
                "4:57: \"::ffff:192.0.2.1\" is IPv4 written as IPv6; write it as IPv4, such as \"192.0.2.0/24\"",
                "4:84: the network ::1/128 is written twice; write it once",
                "5:22: \"tls\" is no listener; write \"https\", \"http\" or \"backend\"",
            ],
        ),
        (
            "[access_log]\nto = \"\"\nformat = \"xml\"\naddresses = \"half\"\n".to_owned(),
            &[
                "2:6: this is not a path; write \"off\", \"stderr\", or the path of a file",
                "3:10: format \"xml\" is not known; write \"text\" or \"json\"",
                "4:13: addresses \"half\" is not known; write \"prefix\" or \"full\"",
            ],
        ),
        (
            "[dns]\nservers = [\"192.0.2.53\", \"x\"]\ntimeout = \"2m\"\n".to_owned(),
            &[
                "2:26: \"x\" is not an address; write it as \"192.0.2.53\" or \"[2001:db8::53]:5353\", not as a name",
                "3:11: timeout \"2m\" is out of range; write something from \"1s\" to \"1m\"",
            ],
        ),
        (
            "[publish]\ncname = \"x\"\naddresses = [\"x\"]\n".to_owned(),
            &[
                "2:9: cname \"x\" has a single label; a full domain name has at least two; write the name that mta-sts.<domain> is to be a CNAME to",
                "3:14: \"x\" is not an IP address; write it as \"192.0.2.1\" or \"2001:db8::1\", without a port",
            ],
        ),
        (
            "[publish]\nrecord_zone = \"_x.example\"\ntlsrpt_rua = [\"mailto:a@b.example\", \"ftp://b.example\", \"mailto:a@b.example\"]\n"
                .to_owned(),
            &[
                "2:15: record_zone \"_x.example\" has the character '_'; names consist of letters, digits and hyphens; write a domain of yours; <domain>.<record_zone> then has the TXT record of <domain>",
                "3:37: \"ftp://b.example\" is no address for reports; write \"mailto:tlsrpt@example.com\" or \"https://…\", with , ; and ! percent-encoded",
                "3:56: \"mailto:a@b.example\" is written twice; write it once",
            ],
        ),
        (
            "[acme]\ndirectory = \"internal\"\npreflight = { enable = true, addresses = [\"auto\", \"x\"] }\n"
                .to_owned(),
            &[
                "3:15: the key \"enable\" is not known in acme.preflight; did you mean enabled?",
                "3:51: \"x\" is not an IP address; write it as \"192.0.2.1\" or \"2001:db8::1\", or write \"auto\"",
            ],
        ),
        (
            "[limits]\nconnections = -1\nheader_bytes = 1\nhttp2_streams = 1.5\n".to_owned(),
            &[
                "2:15: connections is out of range; write a number from 16 to 1000000",
                "3:16: header_bytes is out of range; write a number from 8192 to 1048576",
                "4:17: http2_streams is a number with a fraction; write a whole number",
            ],
        ),
        (
            "[limits]\nhandshakes_per_address = 0\nhandshake_burst_per_address = 0\nhttp2_header_bytes = 512\n"
                .to_owned(),
            &[
                "2:26: handshakes_per_address is out of range; write a number from 1 to 1000000",
                "3:31: handshake_burst_per_address is out of range; write a number from 1 to 1000000",
                "4:22: http2_header_bytes is out of range; write a number from 1024 to 1048576",
            ],
        ),
        (
            "[cross_check]\nenabled = \"yes\"\n".to_owned(),
            &["2:11: enabled is a string; write true or false"],
        ),
        (
            "[store]\ndirectory = \"\"\n".to_owned(),
            &["2:13: directory is not a path; write a path, relative to this file"],
        ),
        ("listen = 5\n".to_owned(), &["1:10: listen is a whole number; write a table"]),
        (
            "tenant = 5\n".to_owned(),
            &["1:10: tenant is a whole number; begin each one with a line [[tenant]]"],
        ),
        (
            "tenants = \"none.d/*.toml\"\n".to_owned(),
            &[
                "1:11: the folder \"none.d\" cannot be read: No such file or directory (os error 2); make the folder, or take the key out",
            ],
        ),
    ] {
        let expected: Vec<String> = expected.iter().map(|fault| format!("main.toml:{fault}")).collect();
        let mut config = Config::new(&main);
        let outcome = config.check();
        let folder = format!("{}/", config.folder.path().display());
        let shown: Vec<String> = config.shown(&outcome).iter().map(|f| f.replace(&folder, "")).collect();
        assert_eq!(shown, expected, "{main}");
        assert!(outcome.server.is_none(), "{main}");
    }
}

#[test]
fn behind_a_proxy_that_ends_tls_nobody_has_to_sign() {
    let warned = |main: &str| {
        let somebody = tenant("a", &["a.example"], "mx.a.example");
        let mut config = Config::new(&format!("{main}\n{somebody}"));
        let outcome = config.check();
        let folder = format!("{}/", config.folder.path().display());
        let shown: Vec<String> = config.shown(&outcome).iter().map(|f| f.replace(&folder, "")).collect();
        (shown, outcome.server.unwrap())
    };
    let (shown, server) = warned("[listen]\nhttps = []\nbackend = [\"127.0.0.1:8081\"]\n");
    assert_eq!(shown, [""; 0]);
    assert!(!server.orders_certificates() && !server.signs_internally());
    assert!(server.listen.http.is_empty(), "port 80 is the proxy's");
    let (shown, server) = warned(
        "[listen]\nhttps = []\nhttp = [\"[::]:80\"]\nbackend = [\"[::]:8081\"]\nproxy_protocol_from = [\"::/0\"]\n",
    );
    assert_eq!(
        shown,
        [
            "main.toml:3:1: nothing will ever be asked here: without listen.https no certificates are ordered; take the key out",
            "main.toml:4:1: the backend listens beyond this machine, but only this machine may connect; write the proxies' networks as listen.backend_from, or listen on 127.0.0.1",
            "main.toml:5:24: ::/0 is everybody, so everybody may say who he is; write the networks of your proxies alone",
        ]
    );
    assert_eq!(server.listen.http.len(), 1);
}
