//! `mta-stsd generate DIRECTORY`: man pages and shell completions, for packages.
//!
//! Both come from the definitions that the command line itself is read by, so they cannot differ from it.

use super::{Cli, DONE, FAILED};
use clap::{Args, Command, CommandFactory};
use clap_complete::{Shell, generate_to};
use std::{fs, io, path::Path, path::PathBuf};

#[derive(Debug, Args)]
pub(super) struct GenerateArgs {
    /// Folder for the files; it gets the folders man and completions
    directory: PathBuf,
}

pub(super) fn run(args: &GenerateArgs) -> u8 {
    match generate(&args.directory) {
        Ok(()) => DONE,
        Err(error) => {
            eprintln!("mta-stsd: {}: {error}", args.directory.display());
            FAILED
        }
    }
}

fn generate(directory: &Path) -> io::Result<()> {
    let (man, completions) = (directory.join("man"), directory.join("completions"));
    fs::create_dir_all(&man)?;
    fs::create_dir_all(&completions)?;
    // Its own pages would explain `help` as well, which nobody looks for.
    let mut command = Cli::command().disable_help_subcommand(true);
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut command, "mta-stsd", &completions)?;
    }
    command.build();
    write_pages(&command, &man)
}

/// One page for a command, and one for each command below it.
fn write_pages(command: &Command, folder: &Path) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let page = clap_mangen::Man::new(command.clone()).title(name.to_uppercase()).section("8");
    let mut text = Vec::new();
    page.render(&mut text)?;
    fs::write(folder.join(format!("{name}.8")), text)?;
    command
        .get_subcommands()
        .filter(|below| !below.is_hide_set())
        .try_for_each(|below| write_pages(below, folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_and_every_shell_its_completions() {
        let folder = tempfile::tempdir().unwrap();
        generate(folder.path()).unwrap();
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        let main = read("man/mta-stsd.8");
        assert!(main.contains(".TH MTA-STSD 8"), "{main}");
        for command in Cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
            let name = command.get_name();
            assert!(
                main.contains(&format!("mta\\-stsd\\-{}(8)", name.replace('-', "\\-"))),
                "{name}: {main}"
            );
            read(&format!("man/mta-stsd-{name}.8"));
        }
        assert!(read("man/mta-stsd-certificate-export.8").contains("\\-\\-out"));
        for name in ["mta-stsd.bash", "_mta-stsd", "mta-stsd.fish"] {
            assert!(read(&format!("completions/{name}")).contains("certificate"), "{name}");
        }
    }
}
