//! The Node programs that drive Chromium, and what they say: one JSON object per line.

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A running driver; killed when dropped.
pub(crate) struct Driver {
    child: Child,
    /// `None` once it was told that nothing more comes.
    stdin: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Driver {
    /// Starts `driver/{script}`.
    pub(crate) fn start(script: &str, args: &[String]) -> Result<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("driver").join(script);
        let mut child = Command::new("node")
            .arg(&path)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting node, which drives the browser")?;
        let stdout = child.stdout.take().context("the driver has no stdout")?;
        Ok(Self { stdin: child.stdin.take(), child, lines: BufReader::new(stdout).lines() })
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next thing it says.
    pub(crate) fn next<Said: DeserializeOwned>(&mut self) -> Result<Said> {
        let line = self.lines.next().context("the driver ended early; its reason is above")??;
        serde_json::from_str(&line).with_context(|| format!("the driver said {line:.200}"))
    }

    /// Answers it with a line.
    pub(crate) fn tell(&mut self, line: &str) -> Result<()> {
        let stdin = self.stdin.as_mut().context("the driver listens no more")?;
        writeln!(stdin, "{line}").context("the driver does not listen; its reason is above")
    }

    /// Tells it that nothing more comes, and waits for its end.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.stdin = None;
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the driver ended with {status}");
        }
        Ok(())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Fails only where it has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
