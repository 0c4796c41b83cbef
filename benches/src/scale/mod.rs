//! The matchmaker by itself, as a process: from an HTTP request to a lease that a power cut would not undo, on SQLite
//! and on PostgreSQL, and how many heartbeats one core takes in.
//!
//! **Architecture invariant:** what is called durable is: both databases lie on a disk, with every commit flushed as
//! they are shipped, and a folder in memory is refused.

mod client;
mod durable;
mod heartbeats;
mod matchmaker;
mod node;
mod postgres;

use crate::report::{Report, Spec, higher, lower};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is measured, and where.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A folder on a disk, for the databases [default: the system's folder for temporary files]
    #[arg(long, value_name = "DIR")]
    disk: Option<PathBuf>,
    /// Requests at once
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1024))]
    clients: u32,
    /// Nodes whose heartbeats are taken in, each over a connection of its own
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(10..=20_000))]
    nodes: u32,
}

const SQLITE: [Spec; 3] = [
    higher("durable_sqlite_per_s", "1/s", Some(1500.0)),
    lower("durable_sqlite_p99_ms", "ms", Some(50.0)),
    lower("durable_sqlite_median_ms", "ms", None),
];
const POSTGRES: [Spec; 3] = [
    higher("durable_postgres_per_s", "1/s", Some(1000.0)),
    lower("durable_postgres_p99_ms", "ms", Some(50.0)),
    lower("durable_postgres_median_ms", "ms", None),
];
const HEARTBEATS: Spec = higher("heartbeats_per_s", "1/s", Some(100_000.0));
const HEARTBEATS_SHARE: Spec = lower("heartbeats_core_share", "", None);
const FLUSH: Spec = lower("disk_flush_ms", "ms", None);

/// Sessions that nobody comes to end after 30 s, which would be measured too.
const LONGEST: Duration = Duration::from_secs(20);

/// Measures all of it.
pub(crate) fn run(args: &Args, nearframe: &Path, length: Duration, report: &mut Report) -> Result<()> {
    let disk = args.disk.clone().unwrap_or_else(std::env::temp_dir);
    refuse_memory(&disk)?;
    report.add(FLUSH, Some(durable::flush_ms(&disk)?), "");
    let length = length.min(LONGEST);

    let data = tempfile::tempdir_in(&disk)?;
    let sqlite = matchmaker::Matchmaker::start(nearframe, data.path(), None, None)?;
    let measured = durable::measure(&sqlite, args.clients, length)?;
    drop(sqlite);
    add(report, SQLITE, &measured);

    match postgres::Server::start(&disk)? {
        Some(server) => {
            let data = tempfile::tempdir_in(&disk)?;
            let matchmaker = matchmaker::Matchmaker::start(nearframe, data.path(), Some(server.url()), None)?;
            add(report, POSTGRES, &durable::measure(&matchmaker, args.clients, length)?);
        }
        None => POSTGRES.into_iter().for_each(|spec| report.add(spec, None, "PostgreSQL is not installed")),
    }

    let data = tempfile::tempdir_in(&disk)?;
    let matchmaker = matchmaker::Matchmaker::start(nearframe, data.path(), None, Some(0))?;
    let (rate, share) = heartbeats::measure(&matchmaker, args.nodes, length)?;
    report.add(HEARTBEATS, Some(rate), "");
    report.add(HEARTBEATS_SHARE, Some(share), "");
    Ok(())
}

fn add(report: &mut Report, [rate, p99, median]: [Spec; 3], measured: &durable::Measured) {
    report.add(rate, Some(measured.per_s), "");
    report.add(p99, measured.p99_ms, "no request was answered");
    report.add(median, measured.median_ms, "no request was answered");
}

fn refuse_memory(disk: &Path) -> Result<()> {
    const TMPFS: i64 = 0x0102_1994;
    const RAMFS: i64 = 0x8584_58f6;
    let kind = rustix::fs::statfs(disk).with_context(|| format!("looking at {}", disk.display()))?.f_type;
    if [TMPFS, RAMFS].contains(&kind) {
        bail!(
            "{} lies in memory, where nothing is durable: name a folder on a disk with --disk DIR",
            disk.display()
        );
    }
    Ok(())
}
