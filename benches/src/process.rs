//! What a process costs, as the kernel counts it.

use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// `/proc/PID/stat` counts in these: fixed at 100 per second in Linux's interface to programs.
const TICK: Duration = Duration::from_millis(10);

/// The name of a session's sound server.
pub(crate) const SOUND_SERVER: &str = "pulseaudio";

/// Cost of a process over a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// Processor seconds per second.
    pub(crate) cpu_s_per_s: f64,
    /// Proportional set size at the end, MB (10⁶ bytes).
    pub(crate) pss_mb: f64,
    /// How much it grew.
    pub(crate) pss_growth_mb: f64,
}

/// Runs while a process is measured.
pub(crate) struct Meter {
    pid: u32,
    started: Instant,
    cpu: Duration,
    pss_mb: f64,
}

impl Meter {
    pub(crate) fn start(pid: u32) -> Result<Self> {
        Ok(Self { pid, started: Instant::now(), cpu: cpu_time(pid)?, pss_mb: pss_mb(pid)? })
    }

    pub(crate) fn finish(self) -> Result<Cost> {
        let cpu = cpu_time(self.pid)?.saturating_sub(self.cpu);
        let pss_mb = pss_mb(self.pid)?;
        let cpu_s_per_s = cpu.as_secs_f64() / self.started.elapsed().as_secs_f64();
        Ok(Cost { cpu_s_per_s, pss_mb, pss_growth_mb: pss_mb - self.pss_mb })
    }
}

/// Processes whose parent is `pid`.
pub(crate) fn children(pid: u32) -> Result<Vec<u32>> {
    let entries = fs::read_dir("/proc").context("listing processes")?;
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    Ok(pids.filter(|&child| stat(child).is_some_and(|stat| stat.parent == pid)).collect())
}

/// Time that all processors have worked, for whomever.
pub(crate) fn machine_time() -> Result<Duration> {
    let text = fs::read_to_string("/proc/stat").context("reading the machine's processor time")?;
    parse_machine(&text).context("no processor time in /proc/stat")
}

/// `cpu user nice system idle iowait irq softirq …` (proc_stat(5)).
fn parse_machine(text: &str) -> Option<Duration> {
    let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line.split_whitespace().map_while(|field| field.parse().ok()).collect();
    let [user, nice, system, _, _, irq, softirq, ..] = *ticks else { return None };
    Some(Duration::from_millis((user + nice + system + irq + softirq) * TICK.as_millis() as u64))
}

/// Its children, their children, and so on.
pub(crate) fn descendants(pid: u32) -> Result<Vec<u32>> {
    let mut found = children(pid)?;
    let mut next = 0;
    while let Some(&pid) = found.get(next) {
        found.extend(children(pid)?);
        next += 1;
    }
    Ok(found)
}

/// The name that the kernel shows for it, at most 15 bytes; `None` where it has ended.
pub(crate) fn name(pid: u32) -> Option<String> {
    Some(fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim_end().to_owned())
}

/// Name and processor time of each of its running threads, oldest first.
pub(crate) fn threads(pid: u32) -> Result<Vec<(String, Duration)>> {
    let tasks =
        fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("process {pid}'s threads"))?;
    let thread = |task: &Path| {
        let id: u32 = task.file_name()?.to_str()?.parse().ok()?;
        let name = fs::read_to_string(task.join("comm")).ok()?;
        let stat = parse_stat(&fs::read_to_string(task.join("stat")).ok()?)?;
        Some((id, name.trim_end().to_owned(), stat.cpu))
    };
    let mut threads: Vec<_> = tasks.filter_map(|task| thread(&task.ok()?.path())).collect();
    threads.sort_unstable();
    Ok(threads.into_iter().map(|(_, name, cpu)| (name, cpu)).collect())
}

/// User and system time of all its threads, those that have ended included.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration> {
    stat(pid).map(|stat| stat.cpu).with_context(|| format!("process {pid} has ended"))
}

pub(crate) fn pss_mb(pid: u32) -> Result<f64> {
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
    fn idle_processors_do_not_work() {
        let text = "cpu  100 10 50 9999 77 3 7 0 0 0\ncpu0 1 1 1 1 1 1 1";
        assert_eq!(parse_machine(text), Some(Duration::from_millis(1700)));
        assert_eq!(parse_machine("cpu0 1 1 1 1 1 1 1"), None);
        assert!(machine_time().unwrap() > Duration::ZERO);
    }

    #[test]
    fn this_process_has_a_parent_a_cost_and_memory() {
        let me = std::process::id();
        assert!(stat(me).is_some());
        assert!(pss_mb(me).unwrap() > 0.1);
        assert!(children(std::os::unix::process::parent_id()).unwrap().contains(&me));
        assert!(descendants(std::os::unix::process::parent_id()).unwrap().contains(&me));
        assert!(name(me).is_some());
    }

    #[test]
    fn a_threads_time_counts_under_its_name() {
        let busy = std::thread::Builder::new().name("busy".to_owned());
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let spin = move || while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {};
        let thread = busy.spawn(spin).unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        let counted = || {
            threads(std::process::id())
                .unwrap()
                .into_iter()
                .any(|(name, cpu)| name == "busy" && !cpu.is_zero())
        };
        while !counted() {
            assert!(Instant::now() < deadline, "a spinning thread has used no time");
        }
        drop(stop);
        thread.join().unwrap();
    }
}
