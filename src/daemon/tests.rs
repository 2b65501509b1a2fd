//! What the assembly hands to the parts.

use super::*;
use crate::config::CrossCheck;

#[test]
fn no_sts_record_is_missed_where_none_is_safe_to_publish() {
    let wanted = CrossCheck::default();
    assert_eq!(cross_check_settings(&wanted, false), wanted);
    assert_eq!(cross_check_settings(&wanted, true), CrossCheck { records: false, ..wanted });
    let unwanted = CrossCheck { records: false, ..CrossCheck::default() };
    assert_eq!(cross_check_settings(&unwanted, false), unwanted);
}
