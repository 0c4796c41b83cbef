//! The sandbox, attacked from inside.
//!
//! One program in four parts: the tests; `title-init`, the last stage of the sandbox; `attack`, the escape
//! probes, run inside, where each must be denied, and outside, where the same ones must succeed; and
//! `act`, titles that behave well or badly.

// Attacks are system calls; a test program talks to who runs it.
#![allow(unsafe_code, clippy::print_stdout, clippy::unwrap_used)]

mod acts;
mod bombs;
mod escapes;
mod files;
mod helpers;
mod kernel;
mod life;
mod network;
mod normal;
mod probe;
mod process;
mod stage;

use std::process::ExitCode;

/// A test by its name.
type Test = (&'static str, fn());

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.first().map(String::as_str) {
        Some("title-init") => {
            let Err(error) = nearframe_sandbox::init(std::env::args_os().skip(2));
            eprintln!("{error}");
            ExitCode::from(127)
        }
        Some("attack") => probe::attack(&words[1..]),
        Some("act") => acts::act(&words[1..]),
        _ => run(&words),
    }
}

/// The part of a test harness that cargo and nextest ask for: a list, and one test by its exact name.
fn run(words: &[String]) -> ExitCode {
    let tests: Vec<Test> =
        [escapes::TESTS, normal::TESTS, bombs::TESTS, life::TESTS, helpers::TESTS].concat();
    let has = |word: &str| words.iter().any(|given| given == word);
    if has("--list") {
        // None is ignored.
        for (name, _) in tests.iter().filter(|_| !has("--ignored")) {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    let filter = words.iter().find(|word| !word.starts_with("--"));
    let wanted = |name: &str| {
        filter
            .is_none_or(|filter| if has("--exact") { name == filter } else { name.contains(filter.as_str()) })
    };
    for (name, test) in tests.iter().filter(|(name, _)| wanted(name)) {
        println!("test {name} ...");
        // A failed assertion ends the program, which is how it fails.
        test();
        println!("test {name} ... ok");
    }
    ExitCode::SUCCESS
}
