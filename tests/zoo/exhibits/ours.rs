//! Domains that we serve by the configuration of the audit, and what the world sees of them (RFC 8461
//! §8.1, RFC 8659, RFC 8657).

use super::{Answer, Exhibit, WEB, Web};
use crate::{
    certificates::Paper,
    ours::{ACCOUNT, ISSUER, policy},
};

pub fn exhibits() -> Vec<Exhibit> {
    let new = |name, wrong| {
        let body = String::from_utf8(policy().body().to_vec()).unwrap();
        let record = format!("v=STSv1; id={};", policy().id());
        Exhibit { ours: true, ..Exhibit::new(name, wrong).txt(&record).body(&body) }
    };
    let served = || String::from_utf8(policy().body().to_vec()).unwrap();
    let testing = served().replace("enforce", "testing");
    let caa = |value: &str| format!("mta-sts CAA 0 issue \"{value}\"");
    vec![
        new("ours-good", "nothing: the world sees what we serve"),
        new("ours-old-id", "the record has the id of an older policy")
            .txt("v=STSv1; id=20261121;")
            .expects(&["ID_DIFFERS"]),
        new("ours-other-body", "a proxy in front of us serves another policy")
            .body(&testing)
            .expects(&["BODY_DIFFERS"]),
        new("ours-elsewhere", "the policy host leads to somebody else, who serves the same for now")
            .web(Web::Nginx(Paper::Good, Answer::Two(served(), served())))
            .host(&format!("mta-sts A {}", WEB[1]))
            .expects(&["POLICY_HOST_ELSEWHERE"]),
        new("ours-half-elsewhere", "one of two addresses is somebody else's, with another policy")
            .web(Web::Nginx(Paper::Good, Answer::Two(served(), testing.clone())))
            .expects(&["POLICY_DIFFERS", "POLICY_HOST_ELSEWHERE"]),
        new("ours-caa", "nothing: CAA records name our authority, our account and our ways of validation")
            .more(&caa(&format!("{ISSUER}; accounturi={ACCOUNT}; validationmethods=tls-alpn-01,http-01"))),
        new("ours-caa-nobody", "CAA lets no authority issue for the policy host")
            .more(&caa(";"))
            .expects(&["CAA_FORBIDS"]),
        new("ours-caa-account", "CAA lets another account of our authority issue, as after a new account")
            .more(&caa(&format!("{ISSUER}; accounturi=https://ca.zoo.example/account/2")))
            .expects(&["CAA_FORBIDS"]),
        new("ours-caa-method", "CAA allows a way of validation that we do not answer")
            .more(&caa(&format!("{ISSUER}; validationmethods=dns-01")))
            .expects(&["CAA_FORBIDS"]),
    ]
}
