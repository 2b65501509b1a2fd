//! The program; everything it does is in the library, beginning at [`mta_stsd::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    mta_stsd::cli::run()
}
