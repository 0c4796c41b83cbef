//! What the drivers of this bench say, as `driver/browser.mjs` collects it.

use serde::Deserialize;

/// One line of `play.mjs` or `peer.mjs`.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event {
    /// From now on the worker's cost counts.
    Measuring,
    /// Until now.
    Measured,
    /// All samples.
    Done(Box<Done>),
}

/// All samples of one page.
#[derive(Debug, Deserialize)]
pub(crate) struct Done {
    /// `[shown_at_ms, drawn_us, frame, serial]`.
    pub(crate) frames: Vec<(f64, f64, u32, u32)>,
    /// `[drawn_us, received_at_ms, decoded_at_ms, refreshed_at_ms, shown_at_ms]`.
    #[serde(default)]
    pub(crate) steps: Vec<(f64, f64, f64, f64, f64)>,
    pub(crate) shown: u64,
    pub(crate) unreadable: u64,
    /// `[handled_at_ms, event_at_ms, code, down]`.
    pub(crate) keys: Vec<(f64, f64, String, bool)>,
    /// `[captured_us, size_bytes, target_kbps]`.
    pub(crate) sent: Vec<(f64, f64, f64)>,
    /// `[captured_us, drawn_us, converted_us, encoded_us, sent_us]`, each counted from the first.
    #[serde(default)]
    pub(crate) traces: Vec<(f64, f64, f64, f64, f64)>,
    /// Page times between which frames were counted.
    pub(crate) since_ms: f64,
    pub(crate) until_ms: f64,
    /// The page's time origin on CLOCK_MONOTONIC.
    pub(crate) time_origin_ms: f64,
    /// The browser's inbound-rtp row at the beginning and at the end.
    pub(crate) before: Inbound,
    pub(crate) video: Inbound,
    #[serde(default)]
    pub(crate) first_frames_ms: Vec<f64>,
    pub(crate) own: Option<Own>,
}

/// What is used of `RTCInboundRtpStreamStats`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Inbound {
    pub(crate) freeze_count: f64,
    pub(crate) jitter_buffer_delay: f64,
    pub(crate) jitter_buffer_emitted_count: f64,
    pub(crate) total_decode_time: f64,
    pub(crate) frames_decoded: f64,
    pub(crate) bytes_received: f64,
    pub(crate) retransmitted_bytes_received: f64,
    pub(crate) fec_bytes_received: f64,
    pub(crate) key_frames_decoded: f64,
}

/// What our page measured by itself, to be compared.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Own {
    pub(crate) frame_ages_ms: Vec<f64>,
    pub(crate) input_visible_ms: Vec<f64>,
}
