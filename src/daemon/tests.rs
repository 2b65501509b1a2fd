//! What the assembly hands to the parts.

use super::*;
use crate::config::{AuthoritySettings, CrossCheck, Preflight};

fn acme(authorities: Vec<AuthoritySettings>) -> Acme {
    Acme {
        authorities,
        tls_alpn_01: true,
        http_01: true,
        preflight: Preflight::default(),
        orders_at_once: 1,
        order_deadline: Duration::from_secs(120),
        request_timeout: Duration::from_secs(30),
        requests_per_second: 1,
        internal_lifetime: Duration::from_secs(86_400),
        budgets: Budgets::default(),
    }
}

#[test]
fn no_sts_record_is_missed_where_none_is_safe_to_publish() {
    let public = AuthoritySettings {
        directory: Directory::Url("https://ca.example/".to_owned()),
        ..AuthoritySettings::internal()
    };
    let wanted = CrossCheck::default();
    assert_eq!(cross_check_settings(&wanted, &acme(vec![public.clone()])), wanted);
    let internal = acme(vec![AuthoritySettings::internal()]);
    assert_eq!(cross_check_settings(&wanted, &internal), CrossCheck { records: false, ..wanted });
    let unwanted = CrossCheck { records: false, ..CrossCheck::default() };
    assert_eq!(cross_check_settings(&unwanted, &acme(vec![public])), unwanted);
}
