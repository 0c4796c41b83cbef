//! What the drivers of this bench say, as `driver/browser.mjs` collects it.

use serde::Deserialize;

/// One line of `play.mjs` or `peer.mjs`.
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

/// All samples of one page.
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
