//! The configurations that docs/behind-a-proxy.md shows are those that these tests run.

use crate::proxies::contrib;

const DOCUMENT: &str = include_str!("../../docs/behind-a-proxy.md");

#[test]
fn the_document_shows_the_files_of_contrib() {
    for file in [
        "haproxy/pass-through.cfg",
        "haproxy/terminating.cfg",
        "nginx/pass-through-stream.conf",
        "nginx/pass-through-http.conf",
        "nginx/terminating.conf",
        "caddy/Caddyfile",
        "traefik/dynamic.yml",
    ] {
        let text = contrib(file, &[]);
        assert!(DOCUMENT.contains(&text), "docs/behind-a-proxy.md does not show contrib/{file} as it is");
        assert!(DOCUMENT.contains(&format!("contrib/{file}")), "{file}");
    }
}
