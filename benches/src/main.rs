//! `nearframe-bench`: what the whole system and its innermost loops cost on this machine.
//!
//! `latency` plays the testcard through the real programs and a real Chromium, and the same picture
//! through Chromium's own sender; with `--title app`, the same picture drawn by a program under the compositor.
//! `link` plays it, and Chromium's own sender in turns with it, through an emulated path. `audio` times a program's
//! sound, `start` the way to a program's first picture, `density` how many programs fit beside each other,
//! `compositor` the compositor by itself; `gpu` what GPU and encoders do with frames, from one file that can be
//! carried to another machine; `placement` judges who plays where and `fleet` simulates a day of it; `fraud` plants
//! cheaters; `scale` measures the matchmaker's leases and heartbeats; `ledger` writes money; `micro` times conversion, packetising and input.
//! A speed is never a test: figures are printed beside their goals, and compared only within one run.
//!
//! **Architecture invariant:** the page under measurement does not measure itself: what is shown and heard, and
//! when, is read out of picture and sound by `driver/receiver.js` and `driver/listener.js`.

mod audio;
mod compositor;
mod density;
mod driver;
mod fleet;
mod fraud;
mod gpu;
mod latency;
mod ledger;
mod link;
mod machine;
mod micro;
mod options;
mod placement;
mod process;
mod quantile;
mod report;
mod scale;
mod start;
mod system;
mod titles;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};
use options::Options;
use report::Report;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Benches of nearframe.
#[derive(Debug, Parser)]
#[command(name = "nearframe-bench")]
struct Cli {
    #[command(subcommand)]
    bench: Bench,
    /// Print one JSON object instead of a table
    #[arg(long, global = true)]
    json: bool,
    /// Seconds that each whole-system measurement takes, after warming up [default: 20; of `link`, 30; of `scale`, 10]
    #[arg(long, global = true, value_parser = clap::value_parser!(u64).range(5..=3600))]
    seconds: Option<u64>,
    /// The program to measure [default: `nearframe` beside this one]
    #[arg(long, global = true, value_name = "FILE")]
    nearframe: Option<PathBuf>,
    /// The program that behaves like a game [default: `nearframe-probe` beside this one]
    #[arg(long, global = true, value_name = "FILE")]
    probe: Option<PathBuf>,
    /// Page loads and starts whose median counts
    #[arg(long, global = true, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=50))]
    starts: u32,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// A moving picture at 720p60 in headless Chromium
    Latency {
        /// Against what it is compared
        #[arg(long, value_enum, default_value_t = Title::Testcard)]
        title: Title,
    },
    /// Ours and Chromium's own sender in turns through the same emulated path
    Link(Box<link::Args>),
    /// From a program's beep to its samples in the page
    Audio,
    /// How many Doom sessions fit, and what a frame costs by stage
    Density,
    /// From the request to a program's first picture, warm and cold
    Start,
    /// The compositor and its copy by themselves
    Compositor,
    /// GPU conversion, exported frames, encoders and recovery; needs no other program and no files
    Gpu,
    /// Who plays where: how near, how evenly and how fast, over 440,000 nodes
    Placement(Box<placement::Args>),
    /// Leases and heartbeats of the matchmaker, on disk
    Scale(scale::Args),
    /// A day of a fleet, simulated
    Fleet(Box<fleet::Args>),
    /// Planted cheaters against the detectors, simulated
    Fraud(Box<fraud::Args>),
    /// Durable transfers a second, beside PostgreSQL's
    Ledger(Box<ledger::Args>),
    /// Conversion, packetising and input
    Micro,
    /// All of them
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Title {
    /// The built-in testcard, against Chromium's own sender
    Testcard,
    /// A program with the testcard's picture, against the built-in testcard
    App,
}

/// Of one measurement.
const SECONDS: u64 = 20;

type Run = fn(&Options, &mut Report) -> Result<()>;

/// Every bench that needs the programs, in the order of `all`.
const WHOLE_SYSTEM: [Run; 6] =
    [compositor::run, latency::run, latency::app::run, audio::run, start::run, density::run];

fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    let (name, runs): (_, &[Run]) = match &cli.bench {
        Bench::Latency { title: Title::Testcard } => ("latency", &[latency::run]),
        Bench::Latency { title: Title::App } => ("latency", &[latency::app::run]),
        Bench::Link(args) => {
            let nearframe = options::found(cli.nearframe, "nearframe", "--nearframe")?;
            return print(&link::run(args, &nearframe, cli.seconds)?, cli.json);
        }
        Bench::Placement(args) => {
            let mut report = Report::new("placement");
            placement::run(args, &mut report)?;
            return print(&report, cli.json);
        }
        Bench::Scale(args) => {
            let nearframe = options::found(cli.nearframe, "nearframe", "--nearframe")?;
            let mut report = Report::new("scale");
            let length = Duration::from_secs(cli.seconds.unwrap_or(10));
            scale::run(args, &nearframe, length, &mut report)?;
            return print(&report, cli.json);
        }
        Bench::Fleet(args) => {
            let mut report = Report::new("fleet");
            fleet::run(args, &mut report)?;
            return print(&report, cli.json);
        }
        Bench::Fraud(args) => {
            let mut report = Report::new("fraud");
            fraud::run(args, &mut report)?;
            return print(&report, cli.json);
        }
        Bench::Ledger(args) => {
            let mut report = Report::new("ledger");
            ledger::run(args, &mut report)?;
            return print(&report, cli.json);
        }
        Bench::Audio => ("audio", &[audio::run]),
        Bench::Density => ("density", &[density::run]),
        Bench::Start => ("start", &[start::run]),
        Bench::Compositor => ("compositor", &[compositor::run]),
        Bench::Gpu => ("gpu", &[]),
        Bench::Micro => ("micro", &[]),
        Bench::All => ("all", &WHOLE_SYSTEM),
    };
    let mut report = Report::new(name);
    if matches!(cli.bench, Bench::Micro | Bench::All) {
        micro::run(&mut report);
    }
    if matches!(cli.bench, Bench::Gpu | Bench::All) {
        gpu::run(&mut report);
    }
    if !runs.is_empty() {
        let options = Options::new(cli.nearframe, cli.probe, cli.seconds.unwrap_or(SECONDS), cli.starts)?;
        for run in runs {
            run(&options, &mut report)?;
        }
    }
    print(&report, cli.json)
}

fn print(report: &Report, json: bool) -> Result<ExitCode> {
    let text = if json { serde_json::to_string(report)? } else { report.table() };
    writeln!(std::io::stdout(), "{text}")?;
    Ok(ExitCode::SUCCESS)
}
