//! Escape probes: what each tries, which layer denies it, and how it is known that it could succeed.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use crate::{files, kernel, network, process};

/// `Ok` says what was reached, `Err` how it was denied.
pub(crate) type Outcome = Result<String, String>;

/// One attempt to get out.
pub(crate) struct Probe {
    pub(crate) name: &'static str,
    /// What denies it; the first of several.
    pub(crate) layer: &'static str,
    pub(crate) control: Control,
    pub(crate) attempt: fn(&Facts) -> Outcome,
}

/// How it is known that a probe can succeed at all.
pub(crate) enum Control {
    /// Outside, for anybody.
    Outside,
    /// Outside, for root.
    OutsideAsRoot,
    /// Outside, for root, where the kernel was built with what is attacked.
    OutsideWhereBuilt,
    /// The same inside, with something that is allowed.
    Inside(fn(&Facts) -> Outcome),
}

/// All of them.
pub(crate) fn probes() -> Vec<Probe> {
    [files::PROBES, process::PROBES, network::PROBES, kernel::PROBES]
        .into_iter()
        .flat_map(|probes| probes())
        .collect()
}

/// What of the host a probe aims at, by the names that the tests gave it.
pub(crate) struct Facts(BTreeMap<String, String>);

impl Facts {
    pub(crate) const PREFIX: &str = "AIM_";

    fn from_env() -> Self {
        let aims = std::env::vars()
            .filter_map(|(name, value)| Some((name.strip_prefix(Self::PREFIX)?.to_owned(), value)));
        Self(aims.collect())
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or_else(|| panic!("no aim {name}"), String::as_str)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.text(name).into()
    }

    pub(crate) fn number<T: std::str::FromStr<Err: std::fmt::Debug>>(&self, name: &str) -> T {
        self.text(name).parse().unwrap()
    }
}

/// `Ok` for everything but an error.
pub(crate) fn done<T>(what: &str, result: io::Result<T>) -> Outcome {
    result.map(|_| what.to_owned()).map_err(|error| error.to_string())
}

/// The outcome of a system call's return value.
pub(crate) fn call(what: &str, returned: i64) -> Outcome {
    if returned == -1 {
        Err(io::Error::last_os_error().to_string())
    } else {
        Ok(format!("{what}: {returned}"))
    }
}

/// For a call with arguments that cannot work: reached when the kernel got as far as to look at them.
pub(crate) fn reached(what: &str, returned: i64) -> Outcome {
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EPERM | libc::ENOSYS | libc::EACCES) if returned == -1 => Err(error.to_string()),
        _ => Ok(format!("{what} was let through")),
    }
}

/// `attack all` tries every probe in a process of its own; `attack one NAME` and `attack control NAME`
/// are those processes.
pub(crate) fn attack(words: &[String]) -> ExitCode {
    let probes = probes();
    if words[0] == "all" {
        for probe in &probes {
            println!("{}\t{}", probe.name, tried("one", probe.name));
            if matches!(probe.control, Control::Inside(_)) {
                println!("{}\t{}", format_args!("control {}", probe.name), tried("control", probe.name));
            }
        }
        return ExitCode::SUCCESS;
    }
    let probe = probes.iter().find(|probe| probe.name == words[1]).unwrap();
    let attempt = match &probe.control {
        Control::Inside(control) if words[0] == "control" => control,
        _ => &probe.attempt,
    };
    match attempt(&Facts::from_env()) {
        Ok(what) => print!("reached\t{what}"),
        Err(why) => print!("denied\t{why}"),
    }
    ExitCode::SUCCESS
}

fn tried(kind: &str, name: &str) -> String {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["attack", kind, name])
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(10);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > until {
            child.kill().unwrap();
            child.wait().unwrap();
            return "hung\tno answer".into();
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).replace('\n', " ");
    if output.status.success() && !text.is_empty() {
        text
    } else {
        format!("broken\t{} {text}", output.status)
    }
}
