//! The Node programs that drive Chromium, and what they say: one JSON object per line.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// What a driver says.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Event {
    /// From now on the worker's cost counts.
    Measuring,
    /// Until now.
    Measured,
    /// All samples.
    Done(Box<Done>),
}

/// Samples as `driver/browser.mjs` collects them.
#[derive(Debug, Deserialize)]
pub(super) struct Done {
    /// `[shown_at_ms, drawn_us, frame, serial]`.
    pub(super) frames: Vec<(f64, f64, u32, u32)>,
    pub(super) shown: u64,
    pub(super) unreadable: u64,
    /// `[handled_at_ms, event_at_ms, code, down]`.
    pub(super) keys: Vec<(f64, f64, String, bool)>,
    /// `[captured_us, size_bytes, target_kbps]`.
    pub(super) sent: Vec<(f64, f64, f64)>,
    /// Page times between which frames were counted.
    pub(super) since_ms: f64,
    pub(super) until_ms: f64,
    /// The page's time origin on CLOCK_MONOTONIC.
    pub(super) time_origin_ms: f64,
    /// The browser's inbound-rtp row at the beginning and at the end.
    pub(super) before: Inbound,
    pub(super) video: Inbound,
    #[serde(default)]
    pub(super) first_frames_ms: Vec<f64>,
    pub(super) own: Option<Own>,
}

/// What is used of `RTCInboundRtpStreamStats`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Inbound {
    pub(super) freeze_count: f64,
    pub(super) jitter_buffer_delay: f64,
    pub(super) jitter_buffer_emitted_count: f64,
    pub(super) total_decode_time: f64,
    pub(super) frames_decoded: f64,
    pub(super) bytes_received: f64,
}

/// What our page measured by itself, to be compared.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Own {
    pub(super) frame_ages_ms: Vec<f64>,
    pub(super) input_visible_ms: Vec<f64>,
}

/// A running driver; killed when dropped.
pub(super) struct Driver {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Driver {
    pub(super) fn start(script: &str, args: &[String]) -> Result<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("driver").join(script);
        let mut child = Command::new("node")
            .arg(&path)
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .context("starting node, which drives the browser")?;
        let stdout = child.stdout.take().context("the driver has no stdout")?;
        Ok(Self { child, lines: BufReader::new(stdout).lines() })
    }

    /// The next thing it says.
    pub(super) fn next(&mut self) -> Result<Event> {
        let line = self.lines.next().context("the driver ended early; its reason is above")??;
        serde_json::from_str(&line).with_context(|| format!("the driver said {:.200}", line))
    }

    pub(super) fn finish(mut self) -> Result<()> {
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
