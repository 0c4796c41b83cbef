//! `nearframe matchmaker`, as measured.

use super::client::Client;
use anyhow::{Context, Result, bail};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A running matchmaker.
pub(crate) struct Matchmaker {
    child: Child,
    pub(crate) door: SocketAddr,
    operator: String,
}

impl Matchmaker {
    /// Starts one with its data in a folder, on a database or without one, and on one core or all.
    pub(crate) fn start(
        nearframe: &Path,
        data: &Path,
        database: Option<&str>,
        core: Option<u32>,
    ) -> Result<Self> {
        // A session that costs something: then what it sets aside is counted, too.
        let config = data.join("matchmaker.toml");
        fs::write(&config, "[matchmaker]\nprice_micros_per_hour = 400000\n")?;
        let mut command = match core {
            None => Command::new(nearframe),
            Some(core) => {
                let mut command = Command::new("taskset");
                command.args(["--cpu-list", &core.to_string()]).arg(nearframe);
                command
            }
        };
        command
            .args(["matchmaker", "--listen", "127.0.0.1:0", "--log", "error", "--data"])
            .arg(data.join("data"));
        command.arg("--config").arg(config).stdout(Stdio::piped());
        if let Some(url) = database {
            command.args(["--database-url", url]);
        }
        let mut child = command.spawn().with_context(|| format!("starting {}", nearframe.display()))?;
        let stdout = child.stdout.take().context("the program has no stdout")?;
        let mut lines = BufReader::new(stdout).lines();
        let operator = lines.find_map(|line| line.ok()?.strip_prefix("operator ").map(str::to_owned));
        std::thread::spawn(move || lines.for_each(drop));
        let Some(operator) = operator else {
            let status = child.wait()?;
            bail!("{} ended with {status} before it was ready; its reason is above", nearframe.display());
        };
        let address = operator.strip_prefix("http://").context("the operator's link is no http address")?;
        let (door, path) = address.split_once('/').context("the operator's link has no path")?;
        let door: SocketAddr = door.parse().context("the door's address")?;
        let mut started = Self { child, door, operator: String::new() };
        started.operator = started.sign_in(&format!("/{path}"))?;
        Ok(started)
    }

    fn sign_in(&self, path: &str) -> Result<String> {
        let answer = Client::dial(self.door, 0)?.ask("GET", path, "", "")?;
        let cookie = answer.head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("set-cookie")
                .then(|| value.split(';').next().unwrap_or(value).to_owned())
        });
        cookie.context("signing in gave no cookie")
    }

    /// One-time codes for nodes.
    pub(crate) fn codes(&self, count: u32) -> Result<Vec<String>> {
        let mut client = Client::dial(self.door, 0)?;
        let headers = format!("Cookie: {}\r\n", self.operator);
        let code = |_: u32| -> Result<String> {
            let answer = client.ask("POST", "/v1/enrolments", &headers, "")?;
            let enrolment: serde_json::Value = serde_json::from_str(&answer.body)?;
            Ok(enrolment["code"].as_str().context("no enrolment code")?.to_owned())
        };
        (0..count).map(code).collect()
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Matchmaker {
    fn drop(&mut self) {
        // Fails only where it has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
