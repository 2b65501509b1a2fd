//! A fault holds back as little as it can.

use super::*;

fn names(outcome: &Outcome) -> Vec<&str> {
    outcome.refused.iter().map(TenantId::as_str).collect()
}

#[test]
fn a_faulty_tenant_is_left_out_and_the_others_are_served() {
    let text = tenant("a", &["a.example"], "mx.a.example") + &tenant("b", &["b.example"], "10.0.0.1");
    let outcome = Config::new(&text).check();
    assert_eq!(served(&outcome), ["a: a.example: mx.a.example"]);
    assert_eq!(names(&outcome), ["b"]);
    assert!(outcome.server.is_some());
}

#[test]
fn a_bad_edit_keeps_the_tenant_as_it_was_and_lets_the_others_through() {
    let mut config = Config::new(
        &(tenant("a", &["a.example"], "mx.a.example") + &tenant("b", &["b.example"], "mx.b.example")),
    );
    config.check();
    let edit =
        tenant("a", &["a.example", "new.example"], "mx") + &tenant("b", &["b.example"], "mx2.b.example");
    config.write("main.toml", &edit);
    let outcome = config.check();
    assert_eq!(served(&outcome), ["a: a.example: mx.a.example", "b: b.example: mx2.b.example"]);
    assert_eq!(names(&outcome), ["a"]);
}

#[test]
fn a_fault_in_the_servers_part_keeps_everything() {
    let mut config = Config::new(&tenant("a", &["a.example"], "mx.a.example"));
    config.check();
    for bad in ["listen = 5\n", "[listen]\nhttps = []\n", "tenants = \"none/*.toml\"\n", "= not toml"] {
        config.write("main.toml", &format!("{bad}{ACME}{}", tenant("b", &["b.example"], "mx.b.example")));
        let outcome = config.check();
        assert!(outcome.server.is_none(), "{bad}");
        assert_eq!(served(&outcome), ["a: a.example: mx.a.example"], "{bad}");
    }
    config.remove("main.toml");
    let outcome = config.check();
    assert!(outcome.server.is_none());
    assert_eq!(served(&outcome), ["a: a.example: mx.a.example"]);
}

#[test]
fn a_faulty_named_policy_keeps_those_who_use_it() {
    let with = |mx: &str| {
        format!(
            "[policies.p]\nmx = [\"{mx}\"]\n[[tenant]]\nname = \"a\"\ndomains = [\"a.example\"]\npolicy = \"p\"\n{}",
            tenant("b", &["b.example"], mx.trim_end_matches('.'))
        )
    };
    let mut config = Config::new(&with("mx1.example.net"));
    config.check();
    config.write("main.toml", &with("mx2.example.net."));
    let outcome = config.check();
    assert_eq!(served(&outcome), ["a: a.example: mx1.example.net", "b: b.example: mx2.example.net"]);
    assert_eq!(outcome.faults.len(), 1, "the fault is said once, where it is");
    assert_eq!(names(&outcome), ["a"]);
}

#[test]
fn a_drop_in_that_cannot_be_read_keeps_what_was_loaded_from_it() {
    let mut config = Config::new("tenants = \"d/*.toml\"\n");
    config.write(
        "d/a.toml",
        &(tenant("a", &["a.example"], "mx.a.example") + &tenant("moved", &["m.example"], "mx.m.example")),
    );
    config.write("d/b.toml", &tenant("b", &["b.example"], "mx.b.example"));
    assert_eq!(config.check().tenants.len(), 3);
    for bad in ["", "[[tenant]]\nname = ", "[[tenant]]\nname = \"a b\"\n", "[[tenannt]]\n"] {
        config.write("d/a.toml", bad);
        config.write("d/b.toml", &tenant("moved", &["m.example"], "mx2.m.example"));
        let outcome = config.check();
        assert_eq!(
            served(&outcome),
            ["a: a.example: mx.a.example", "moved: m.example: mx2.m.example"],
            "{bad}"
        );
        assert_eq!(names(&outcome), ["a"], "{bad}");
        assert!(outcome.faults.iter().any(Fault::holds_back));
    }
    config.remove("d/a.toml");
    assert_eq!(
        served(&config.check()),
        ["moved: m.example: mx2.m.example"],
        "a drop-in taken away is meant so"
    );
}

#[test]
fn a_list_that_cannot_be_read_or_is_empty_keeps_its_tenant() {
    let main = "[policies.hosted]\nmx = [\"mx.a.example\"]\ndomains_file = \"list.txt\"\n";
    let mut config = Config::new(main);
    config.write("list.txt", "a.example\nb.example\n");
    let good = ["hosted: a.example b.example: mx.a.example"];
    assert_eq!(served(&config.check()), good);
    config.write("list.txt", "# all gone\n");
    let outcome = config.check();
    assert_eq!(served(&outcome), good);
    assert!(config.shown(&outcome)[0].starts_with("main.toml:3:16: tenant hosted: the list "));
    config.remove("list.txt");
    let outcome = config.check();
    assert_eq!((served(&outcome), names(&outcome)), (good.map(String::from).to_vec(), vec!["hosted"]));
    let kept = ["hosted: b.example c.example a.example: mx.a.example"];
    for _ in 0..2 {
        config.write("list.txt", "b.example\nc.example\na_example\n");
        assert_eq!(served(&config.check()), kept, "the bad line may be what became of a.example");
    }
    config.write("list.txt", "b.example\nc.example\n");
    assert_eq!(served(&config.check()), ["hosted: b.example c.example: mx.a.example"]);
}

#[test]
fn of_two_owners_the_first_written_has_the_domain() {
    let text = tenant("a", &["a.example", "x.example"], "mx.a.example")
        + &tenant("b", &["X.example."], "mx.b.example");
    let mut config = Config::new(&text);
    let outcome = config.check();
    assert_eq!(served(&outcome), ["a: a.example x.example: mx.a.example"]);
    assert_eq!(config.shown(&outcome), [
        "main.toml:7:12: tenant b: the domain \"x.example\" belongs to tenant a (MAIN:3); a domain has one owner: take it out here or there"
            .replace("MAIN", "main.toml")
    ]);
}

#[test]
fn the_owner_of_a_domain_keeps_it_against_a_newcomer_before_it() {
    let mut config = Config::new(&tenant("z", &["x.example"], "mx.z.example"));
    config.check();
    let text = tenant("a", &["x.example"], "mx.a.example") + &tenant("z", &["x.example"], "mx2.z.example");
    config.write("main.toml", &text);
    let outcome = config.check();
    assert_eq!(served(&outcome), ["z: x.example: mx2.z.example"]);
    assert_eq!(names(&outcome), ["a"]);
}

#[test]
fn a_domain_may_move_from_one_tenant_to_another_in_one_edit() {
    let mut config = Config::new(
        &(tenant("a", &["a.example", "x.example"], "mx.a.example")
            + &tenant("b", &["b.example"], "mx.b.example")),
    );
    config.check();
    let swapped = tenant("a", &["a.example", "b.example"], "mx.a.example")
        + &tenant("b", &["x.example"], "mx.b.example");
    config.write("main.toml", &swapped);
    let outcome = config.check();
    assert_eq!(served(&outcome), ["a: a.example b.example: mx.a.example", "b: x.example: mx.b.example"]);
    assert!(outcome.faults.is_empty());
}

#[test]
fn a_tenant_whose_edit_is_refused_still_owns_its_domains() {
    let mut config = Config::new(
        &(tenant("a", &["a.example"], "mx.a.example")
            + &tenant("b", &["b.example"], "mx.b.example")
            + &tenant("c", &["c.example"], "mx.c.example")),
    );
    config.check();
    // a gives its domain to b and b gives its own to c, but a's edit is faulty.
    let edit = tenant("c", &["c.example", "b.example"], "mx2.c.example")
        + &tenant("b", &["a.example"], "mx2.b.example")
        + &tenant("a", &["new.example"], "mx");
    config.write("main.toml", &edit);
    let outcome = config.check();
    assert_eq!(
        served(&outcome),
        ["a: a.example: mx.a.example", "b: b.example: mx.b.example", "c: c.example: mx.c.example"]
    );
    assert_eq!(names(&outcome), ["a", "b", "c"]);
    let shown = config.shown(&outcome);
    assert!(
        shown.iter().any(|f| f.contains("tenant b: the domain \"a.example\" still belongs to tenant a, whose edit is refused (main.toml:10)")),
        "{shown:#?}"
    );
}

#[test]
fn a_list_loses_only_the_domain_that_is_somebody_elses() {
    let main = "[policies.hosted]\nmx = [\"mx.h.example\"]\ndomains_file = \"list.txt\"\n";
    let mut config = Config::new(&(main.to_owned() + &tenant("a", &["a.example"], "mx.a.example")));
    config.write("list.txt", "h.example\na.example\n");
    let outcome = config.check();
    assert_eq!(served(&outcome), ["a: a.example: mx.a.example", "hosted: h.example: mx.h.example"]);
    assert!(outcome.refused.is_empty());
    assert!(config.shown(&outcome)[0].starts_with(
        "list.txt:2:1: tenant hosted: the domain \"a.example\" belongs to tenant a (main.toml:6)"
    ));
}

// P-07: testing for a week, enforce for two, unless something else is said.
#[test]
fn what_a_policy_does_not_say_has_a_default() {
    for (written, body) in [
        ("", "mode: testing\r\nmx: mx.a.example\r\nmax_age: 604800"),
        ("mode = \"enforce\"\n", "mode: enforce\r\nmx: mx.a.example\r\nmax_age: 1209600"),
        ("mode = \"none\"\n", "mode: none\r\nmx: mx.a.example\r\nmax_age: 604800"),
        ("max_age = \"86400s\"\n", "mode: testing\r\nmx: mx.a.example\r\nmax_age: 86400"),
    ] {
        let outcome = Config::new(&(tenant("a", &["a.example"], "mx.a.example") + written)).check();
        let served = &outcome.tenants.values().next().unwrap().policy;
        assert_eq!(&served.body()[..], format!("version: STSv1\r\n{body}\r\n").as_bytes(), "{written}");
    }
}

#[test]
fn a_tenant_may_have_domains_and_a_list() {
    let text = "[[tenant]]\nname = \"a\"\ndomains = [\"a.example\"]\ndomains_file = \"list.txt\"\nmx = [\"mx.a.example\"]\n";
    let mut config = Config::new(text);
    config.write("list.txt", "b.example\na.example\n");
    let outcome = config.check();
    assert_eq!(served(&outcome), ["a: a.example b.example: mx.a.example"]);
    assert_eq!(outcome.faults.len(), 1, "{:?}", outcome.faults);
    assert!(outcome.faults[0].problem.contains("is listed twice; "));
}

#[test]
fn a_name_used_twice_stays_with_the_file_it_was_loaded_from() {
    let mut config = Config::new("tenants = \"d/*.toml\"\n");
    config.write("d/b.toml", &tenant("same", &["b.example"], "mx.b.example"));
    config.check();
    config.write("d/a.toml", &tenant("same", &["a.example"], "mx.a.example"));
    let outcome = config.check();
    assert_eq!(served(&outcome), ["same: b.example: mx.b.example"]);
    assert!(
        config.shown(&outcome)[0].starts_with("d/a.toml:2:8: tenant same: the name \"same\" is used twice; ")
    );
    let mut fresh = Config::new("tenants = \"d/*.toml\"\n");
    fresh.write("d/b.toml", &tenant("same", &["b.example"], "mx.b.example"));
    fresh.write("d/a.toml", &tenant("same", &["a.example"], "mx.a.example"));
    assert_eq!(served(&fresh.check()), ["same: a.example: mx.a.example"], "at start the first one has it");
}

#[test]
fn a_folder_of_drop_ins_that_is_gone_is_still_looked_for() {
    let mut config = Config::new("tenants = \"d/*.toml\"\n");
    let folder = config.folder.path().join("d");
    for there in [false, true, false] {
        if there {
            std::fs::create_dir(&folder).unwrap()
        } else {
            let _ = std::fs::remove_dir(&folder);
        }
        assert!(config.load().folders().any(|path| path == folder), "{there}");
    }
}

#[test]
fn files_with_a_leading_dot_are_nobodys_tenants() {
    let mut config = Config::new("tenants = \"d/*.toml\"\n");
    config.write("d/.a.toml", "= not toml");
    config.write("d/..data/b.toml", "= not toml");
    config.write("d/c.toml.swp", "= not toml");
    config.write("d/d.toml", "# nobody yet\n");
    let nobody = "main.toml: there is no tenant: nothing is served; write a [[tenant]], or name a folder of them with tenants = \"tenants.d/*.toml\"";
    assert_eq!(config.faults(), [nobody]);
}

#[test]
fn equal_policies_are_one() {
    let mut config = Config::new(
        &(tenant("a", &["a.example"], "mx.example.net") + &tenant("b", &["b.example"], "MX.example.net")),
    );
    let outcome = config.check();
    let policies: Vec<_> = outcome.tenants.values().map(|tenant| &tenant.policy).collect();
    assert!(Arc::ptr_eq(policies[0], policies[1]));
}

#[test]
fn only_a_file_with_another_text_is_parsed_again() {
    let mut config = Config::new("tenants = \"d/*.toml\"\n");
    config.write("d/a.toml", &tenant("a", &["a.example"], "mx.example.net"));
    config.write("d/b.toml", &tenant("b", &["b.example"], "mx.example.net"));
    let first = config.load();
    config.write("d/a.toml", &tenant("a", &["a.example"], "mx.example.net"));
    assert!(config.load().is_same(&first), "written again with the same text");
    config.write("d/a.toml", &tenant("a", &["a.example"], "my.example.net"));
    let second = config.load();
    assert!(!second.is_same(&first), "as long as before, in the same instant");
    assert!(!Arc::ptr_eq(&second.drop_ins[0], &first.drop_ins[0]));
    assert!(Arc::ptr_eq(&second.drop_ins[1], &first.drop_ins[1]));
    assert!(Arc::ptr_eq(&second.main, &first.main));
}
