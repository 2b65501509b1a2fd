//! The zoo open to people: a shell in it, or the doors left open for senders of their own.

use crate::network::Zoo;
use serde_json::{Value, json};
use std::{
    fs,
    io::{self, IsTerminal},
    path::PathBuf,
    process::Command,
    thread,
    time::Duration,
};

/// The list of exhibits in the zoo's folder, for programs.
const LIST: &str = "exhibits.json";

/// Says, from outside, how a second terminal gets in; `outer` is the process whose child is the first
/// within.
pub fn say_the_way_in(outer: u32) {
    let children = PathBuf::from(format!("/proc/{outer}/task/{outer}/children"));
    // It comes at once, or not at all.
    for _ in 0..100 {
        let text = fs::read_to_string(&children).unwrap_or_default();
        if let Some(first) = text.split_ascii_whitespace().next() {
            println!("another terminal gets in, as root, by: nsenter --net --mount --pid --target {first}");
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Runs `command`, else a shell, in the zoo's folder; whether it ended well.
pub fn shell(zoo: &Zoo, command: &[String]) -> bool {
    write_list(zoo);
    let (program, rest) = command.split_first().map_or(("bash", &[][..]), |(one, rest)| (one.as_str(), rest));
    Command::new(program).args(rest).current_dir(&zoo.folder).status().unwrap().success()
}

/// Shows what there is, and waits for Enter; without a terminal, for the end of this process.
pub fn serve(zoo: &Zoo) {
    write_list(zoo);
    for exhibit in &zoo.exhibits {
        println!("{:<28} {}", exhibit.domain(), exhibit.wrong);
    }
    println!(
        "\n{} domains; resolver 127.0.0.1:53, trusted root {folder}/root.pem, this list with the findings \
         {folder}/{LIST}",
        zoo.exhibits.len(),
        folder = zoo.folder.display()
    );
    if io::stdin().is_terminal() {
        println!("Enter closes the zoo");
        io::stdin().read_line(&mut String::new()).unwrap();
        return;
    }
    loop {
        thread::park();
    }
}

/// Every exhibit with what is wrong and what `mta-stsd audit` finds.
fn write_list(zoo: &Zoo) {
    let row = |exhibit: &crate::exhibits::Exhibit| json!({ "domain": exhibit.domain(), "wrong": exhibit.wrong, "findings": exhibit.expected });
    let rows: Vec<Value> = zoo.exhibits.iter().map(row).collect();
    fs::write(zoo.folder.join(LIST), serde_json::to_string_pretty(&rows).unwrap()).unwrap();
}
