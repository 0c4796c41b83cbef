//! The `nearframe` command: matchmaker and node in one binary.
//!
//! It reads the configuration, puts `server` and `matchmaker` together and stops them. Deliberately
//! without logic of its own: what it decides is which part runs with which settings.
//!
//! **Architecture invariant:** a wrong configuration is refused before anything starts, naming the key
//! and what is allowed; stdout carries only what other programs read, the log goes to stderr.

mod api;
mod checker;
mod command;
mod data_dir;
mod doctor;
mod door;
mod file;
mod log;
mod matchmaker;
mod mcp;
mod money;
mod node;
mod oidc;
mod options;
mod run;
mod say;
mod stop;
mod title;

use anyhow::{Context, Result, anyhow};
use clap::Parser;
use command::{Command, CommandLine};
use options::General;
use std::future::Future;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Threads that block (a driver, a disk) are not waited for longer than this at the end.
const LEAVE_WITHIN: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    match title::init_arguments().map_or_else(start, title::init) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("nearframe: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<()> {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| anyhow!("another crypto provider was installed first"))?;
    let (general, command) = CommandLine::parse().layered()?;
    if matches!(command, Command::Up { .. } | Command::Node { .. } | Command::Doctor { .. }) {
        away_from_desktops();
    }
    log::start(&general)?;
    dispatch(&general, command)
}

/// Graphics drivers look for a desktop's sockets and complain where no folder for them is named. A running process
/// cannot name one safely, so the program is started again in its own place.
fn away_from_desktops() {
    const FOLDER: &str = "XDG_RUNTIME_DIR";
    /// Nobody can put a socket there.
    const NOWHERE: &str = "/nonexistent";
    let named = std::env::var_os(FOLDER).is_some_and(|folder| Path::new(&folder).is_absolute());
    if let (false, Ok(own)) = (named, std::env::current_exe()) {
        // Returns only where it failed: then they complain.
        let _ = std::process::Command::new(own).args(std::env::args_os().skip(1)).env(FOLDER, NOWHERE).exec();
    }
}

fn dispatch(general: &General, command: Command) -> Result<()> {
    match command {
        Command::Up { door, matchmaking, node } => block_on(run::up(general, &door, &matchmaking, &node)),
        Command::Matchmaker { door, matchmaking } => block_on(run::matchmaker(general, &door, &matchmaking)),
        Command::Node { enrolment, node } => block_on(run::node(general, &enrolment, &node)),
        Command::Doctor { json } => doctor::print(general, json),
        Command::Title { command } => title::run(command),
        Command::Ledger { command } => block_on(money::ledger(general, &command)),
        Command::Payout { command } => money::payout(&command),
        Command::Mcp { agent } => block_on(mcp::serve(&agent)),
        Command::Checker { agent, how, command } => {
            block_on(checker::run(general, &agent, &how, command.as_ref()))
        }
        Command::Openapi => {
            say::line(&nearframe_matchmaker::openapi().to_pretty_json().context("writing the description")?);
            Ok(())
        }
        Command::Worker => nearframe_server::worker::run(),
        Command::Version => {
            let words = nearframe_protocol::VersionOffer::current();
            say::line(&format!(
                "nearframe {} (protocol {} to {})",
                env!("CARGO_PKG_VERSION"),
                words.min,
                words.max
            ));
            Ok(())
        }
    }
}

/// Runs a part to its end on a runtime of its own.
fn block_on(part: impl Future<Output = Result<()>>) -> Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting the runtime")?;
    let result = runtime.block_on(part);
    runtime.shutdown_timeout(LEAVE_WITHIN);
    result
}
