//! The general ledger: durable transfers a second, beside PostgreSQL's own measure of the same disk in the same run.
//!
//! Every transfer is a line of double entry under a key of its own, on no-overdraft accounts, and is answered after
//! its block was flushed. `pgbench -N -M prepared` updates one account and inserts one line of history for each of its
//! transactions, and is as durable: `fsync` and `synchronous_commit` stay on.

mod embedded;
mod pgbench;

use crate::report::{Report, Spec, higher, lower};
use anyhow::{Result, ensure};
use std::path::{Path, PathBuf};

/// What is measured.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Transfers in all
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(100_000..))]
    transfers: u64,
    /// Transfers that are written, and flushed, at once
    #[arg(long, default_value_t = 8192, value_parser = clap::value_parser!(u32).range(1..=8192))]
    batch: u32,
    /// Where ledger and database lie while they are measured: on a disk, not in memory
    #[arg(long, value_name = "DIR", default_value = "/var/tmp")]
    folder: PathBuf,
    /// Seconds that pgbench runs
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(5..=600))]
    pgbench_seconds: u32,
    /// Scale of pgbench's tables
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pgbench_scale: u32,
    /// Leave PostgreSQL out
    #[arg(long)]
    without_pgbench: bool,
}

const TRANSFERS: Spec = higher("transfers_per_s", "1/s", Some(50_000.0));
const TWO_PHASE: Spec = higher("two_phase_records_per_s", "1/s", None);
const BATCH: [Spec; 2] = [lower("batch_p50_ms", "ms", None), lower("batch_p99_ms", "ms", None)];
const LONGEST: Spec = lower("batch_longest_ms", "ms", None);
const MEMORY: Spec = lower("memory_growth_mb", "MB", Some(32.0));
const RESIDENT: Spec = lower("memory_mb", "MB", None);
const CHECK: Spec = lower("check_10m_s", "s", Some(20.0));
const START: Spec = lower("start_s", "s", None);
const DRIFT: Spec = lower("drift_units", "", Some(0.0));
const PGBENCH: Spec = higher("pgbench_per_s", "1/s", None);
const RATIO: Spec = higher("pgbench_ratio", "", Some(15.0));

/// Magic of tmpfs and ramfs (statfs(2)).
const IN_MEMORY: [i64; 2] = [0x0102_1994, 0x8584_58f6];

/// Measures everything.
pub(crate) fn run(args: &Args, report: &mut Report) -> Result<()> {
    std::fs::create_dir_all(&args.folder)?;
    on_disk(&args.folder)?;
    let own = embedded::run(args)?;
    report.add(TRANSFERS, Some(own.per_s), "");
    report.add(TWO_PHASE, own.two_phase_per_s, "");
    report.add(BATCH[0], crate::quantile::quantile(&own.batches_ms, 0.5), "nothing was written");
    report.add(BATCH[1], crate::quantile::quantile(&own.batches_ms, 0.99), "nothing was written");
    report.add(LONGEST, own.batches_ms.iter().copied().reduce(f64::max), "nothing was written");
    report.add(MEMORY, Some(own.memory_growth_mb), "");
    report.add(RESIDENT, Some(own.memory_mb), "");
    let whole = args.transfers >= 10_000_000;
    report.add(CHECK, whole.then_some(own.check_s), "fewer than 10⁷ transfers were written");
    report.add(START, Some(own.start_s), "");
    report.add(DRIFT, Some(own.drift_units as f64), "");
    if args.without_pgbench {
        report.skip(PGBENCH, "--without-pgbench");
        report.skip(RATIO, "--without-pgbench");
        return Ok(());
    }
    let peer = pgbench::per_s(&args.folder, args.pgbench_scale, args.pgbench_seconds)?;
    report.add(PGBENCH, Some(peer), "");
    report.add(RATIO, Some(own.per_s / peer), "");
    Ok(())
}

fn on_disk(folder: &Path) -> Result<()> {
    let kind = rustix::fs::statfs(folder)?.f_type;
    ensure!(
        !IN_MEMORY.contains(&kind),
        "{} lies in memory: name a folder on a disk with --folder",
        folder.display()
    );
    Ok(())
}
