//! What a process costs, as the kernel counts it.

use anyhow::{Context, Result};
use std::fs;
use std::time::{Duration, Instant};

/// `/proc/PID/stat` counts in these: fixed at 100 per second in Linux's interface to programs.
const TICK: Duration = Duration::from_millis(10);

/// Cost of a process over a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    /// Processor seconds per second.
    pub(super) cpu_s_per_s: f64,
    /// Proportional set size at the end, MB (10⁶ bytes).
    pub(super) pss_mb: f64,
    /// How much it grew.
    pub(super) pss_growth_mb: f64,
}

/// Runs while a process is measured.
pub(super) struct Meter {
    pid: u32,
    started: Instant,
    cpu: Duration,
    pss_mb: f64,
}

impl Meter {
    pub(super) fn start(pid: u32) -> Result<Self> {
        Ok(Self { pid, started: Instant::now(), cpu: cpu_time(pid)?, pss_mb: pss_mb(pid)? })
    }

    pub(super) fn finish(self) -> Result<Cost> {
        let cpu = cpu_time(self.pid)?.saturating_sub(self.cpu);
        let pss_mb = pss_mb(self.pid)?;
        let cpu_s_per_s = cpu.as_secs_f64() / self.started.elapsed().as_secs_f64();
        Ok(Cost { cpu_s_per_s, pss_mb, pss_growth_mb: pss_mb - self.pss_mb })
    }
}

/// Processes whose parent is `pid`.
pub(super) fn children(pid: u32) -> Result<Vec<u32>> {
    let entries = fs::read_dir("/proc").context("listing processes")?;
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    Ok(pids.filter(|&child| stat(child).is_some_and(|stat| stat.parent == pid)).collect())
}

/// User and system time of all its threads, those that have ended included.
pub(super) fn cpu_time(pid: u32) -> Result<Duration> {
    stat(pid).map(|stat| stat.cpu).with_context(|| format!("process {pid} has ended"))
}

fn pss_mb(pid: u32) -> Result<f64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))
        .with_context(|| format!("reading the memory of process {pid}"))?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).context("no Pss in smaps_rollup")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().context("Pss is no number")?;
    Ok(kib * 1024.0 / 1e6)
}

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    cpu: Duration,
}

fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// `pid (name) state parent … utime stime …` (proc_pid_stat(5)); the name may hold anything.
fn parse_stat(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |i: usize| fields.get(i)?.parse::<u32>().ok();
    Some(Stat { parent: number(1)?, cpu: TICK * (number(11)? + number(12)?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let text = "42 (a) b) c) S 7 0 0 0 0 0 0 0 0 0 130 20 0 0 20 0";
        assert_eq!(parse_stat(text), Some(Stat { parent: 7, cpu: Duration::from_millis(1500) }));
        assert_eq!(parse_stat("rubbish"), None);
    }

    #[test]
    fn this_process_has_a_parent_a_cost_and_memory() {
        let me = std::process::id();
        assert!(stat(me).is_some());
        assert!(pss_mb(me).unwrap() > 0.1);
        assert!(children(std::os::unix::process::parent_id()).unwrap().contains(&me));
    }
}
