//! The common web server: one nginx, a server block for each policy host.

use crate::{
    certificates::{Issued, Office},
    exhibits::{Answer, Exhibit, WEB, WEB_SIX, Web},
};
use std::{fs, path::Path};

/// Writes `nginx.conf`, the certificates and the bodies.
pub fn write(folder: &Path, exhibits: &[Exhibit], office: &Office) {
    fs::create_dir_all(folder.join("bodies")).unwrap();
    let shown = folder.display();
    let mut servers = String::new();
    for exhibit in exhibits {
        let Web::Nginx(paper, answer) = &exhibit.web else { continue };
        let issued = office.issue(&[exhibit.policy_host()], *paper);
        let name = exhibit.name;
        let location = match answer {
            Answer::Body(content_type, body) => body_at(folder, name, content_type, body),
            Answer::Directives(text) => (*text).to_owned(),
            Answer::Two(one, other) => {
                let second = body_at(folder, &format!("{name}-2"), "text/plain", other.as_bytes());
                servers += &server(exhibit, &[WEB[1], WEB_SIX], &issued, &second);
                let first = body_at(folder, name, "text/plain", one.as_bytes());
                servers += &server(exhibit, &[WEB[0]], &issued, &first);
                continue;
            }
        };
        servers += &server(exhibit, &[WEB[0], WEB_SIX], &issued, &location);
    }
    let [first, second] = WEB;
    fs::write(
        folder.join("nginx.conf"),
        format!(
            "daemon off;\nuser root;\nworker_processes 1;\npid {shown}/nginx.pid;\nerror_log stderr warn;\n\
             events {{ worker_connections 512; }}\n\
             http {{\naccess_log off;\nserver_names_hash_bucket_size 128;\nserver_names_hash_max_size 4096;\n\
             server {{ listen {first}:443 ssl http2 default_server; listen {second}:443 ssl http2 default_server; \
             listen [{WEB_SIX}]:443 ssl http2 default_server; ssl_reject_handshake on; }}\n{servers}}}\n"
        ),
    )
    .unwrap();
}

fn body_at(folder: &Path, name: &str, content_type: &str, body: &[u8]) -> String {
    let file = folder.join(format!("bodies/{name}"));
    fs::write(&file, body).unwrap();
    format!("types {{ }} default_type \"{content_type}\"; alias {};", file.display())
}

fn server(exhibit: &Exhibit, addresses: &[&str], issued: &Issued, location: &str) -> String {
    let place =
        |address: &&str| if address.contains(':') { format!("[{address}]") } else { (*address).to_owned() };
    let listen: String = addresses.iter().map(|one| format!("listen {}:443; ", place(one))).collect();
    let (host, file) = (exhibit.policy_host(), issued.file.display());
    format!(
        "server {{ {listen}server_name {host}; ssl_certificate {file}; ssl_certificate_key {file};\n\
         location = /.well-known/mta-sts.txt {{ {location} }} location / {{ return 404; }} }}\n"
    )
}
