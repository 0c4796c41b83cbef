//! `nearframe-bench`: what the whole system and its innermost loops cost on this machine.
//!
//! `latency` plays the testcard through the real programs and a real Chromium, and the same picture
//! through Chromium's own sender; `micro` times conversion, packetising and input. A speed is never a
//! test: figures are printed beside their goals, and compared only within one run.
//!
//! **Architecture invariant:** the page under measurement does not measure itself: what is shown, and when,
//! is read out of the picture by `driver/receiver.js`.

mod latency;
mod machine;
mod micro;
mod quantile;
mod report;

use anyhow::Result;
use clap::{Parser, Subcommand};
use report::Report;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Benches of nearframe.
#[derive(Debug, Parser)]
#[command(name = "nearframe-bench")]
struct Cli {
    #[command(subcommand)]
    bench: Bench,
    /// Print one JSON object instead of a table
    #[arg(long, global = true)]
    json: bool,
    /// Seconds that each whole-system measurement takes, after warming up
    #[arg(long, global = true, default_value_t = 20, value_parser = clap::value_parser!(u64).range(5..=3600))]
    seconds: u64,
    /// The program to measure [default: `nearframe` beside this one]
    #[arg(long, global = true, value_name = "FILE")]
    nearframe: Option<PathBuf>,
    /// Page loads whose median is the time to the first frame
    #[arg(long, global = true, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=50))]
    starts: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
enum Bench {
    /// The testcard at 720p60 in headless Chromium, and Chromium's own sender beside it
    Latency,
    /// Conversion, packetising and input
    Micro,
    /// All of them
    All,
}

fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    let mut report = Report::new(match cli.bench {
        Bench::Latency => "latency",
        Bench::Micro => "micro",
        Bench::All => "all",
    });
    if cli.bench != Bench::Latency {
        micro::run(&mut report);
    }
    if cli.bench != Bench::Micro {
        let options = latency::Options::new(cli.nearframe, cli.seconds, cli.starts)?;
        latency::run(&options, &mut report)?;
    }
    let text = if cli.json { serde_json::to_string(&report)? } else { report.table() };
    writeln!(std::io::stdout(), "{text}")?;
    Ok(ExitCode::SUCCESS)
}
