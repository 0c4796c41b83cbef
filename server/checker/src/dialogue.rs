//! What is said on the data channels, at the pace of a page: greeting, pings, input, reports of shown frames,
//! countersigned receipts.

use crate::peer::Peer;
use crate::receipts::Receipts;
use crate::watch::Desk;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use nearframe_protocol::check::challenge;
use nearframe_protocol::control::{DecoderFacts, FromPage, MAX_CONTROL_BYTES, ToPage};
use nearframe_protocol::facts::FactsMessage;
use nearframe_protocol::{EndReason, Versions, VideoCodec};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::debug;

/// The greeting is repeated until it is answered, at most this often.
const GREET_AGAIN: Duration = Duration::from_millis(250);
const MOST_GREETINGS: u32 = 40;
/// The first pings come faster, so that the clock is found.
const FIRST_PINGS: u32 = 10;
const FIRST_PING: Duration = Duration::from_millis(50);
const PING: Duration = Duration::from_millis(250);
/// Input is repeated once per frame at 60 Hz.
const INPUT: Duration = Duration::from_millis(16);
/// The display that is played on: refreshes at 60 Hz.
const REFRESH_US: u64 = 16_667;
const DISPLAY: FromPage = FromPage::Display { width: 1920, height: 1080, refresh_hz: 60.0 };

/// One end of the data channels.
pub(crate) struct Dialogue {
    peer: Arc<Peer>,
    desk: Arc<Desk>,
    pub(crate) receipts: Receipts,
    start: Instant,
    is_open: bool,
    greetings: u32,
    greeted_at: Instant,
    is_answered: bool,
    /// The node said that it knows challenges.
    pub(crate) is_challenged: bool,
    pings: u32,
    pinged_at: Instant,
    input_at: Instant,
}

impl Dialogue {
    pub(crate) fn new(peer: Arc<Peer>, desk: Arc<Desk>, receipts: Receipts, now: Instant) -> Self {
        Self {
            peer,
            desk,
            receipts,
            start: now,
            is_open: false,
            greetings: 0,
            greeted_at: now,
            is_answered: false,
            is_challenged: false,
            pings: 0,
            pinged_at: now,
            input_at: now,
        }
    }

    /// The control channel is open: this end speaks first, and its hands begin to move.
    pub(crate) async fn open(&mut self, now: Instant) {
        self.is_open = true;
        self.greet(now).await;
        self.move_hands(now).await;
    }

    /// Says what is due.
    pub(crate) async fn tick(&mut self, now: Instant) {
        if !self.is_open {
            return;
        }
        let waits = !self.is_answered && self.greetings < MOST_GREETINGS;
        if waits && now - self.greeted_at >= GREET_AGAIN {
            self.greet(now).await;
        }
        if now - self.pinged_at >= if self.pings < FIRST_PINGS { FIRST_PING } else { PING } {
            (self.pings, self.pinged_at) = (self.pings + 1, now);
            let t = u64::try_from((now - self.start).as_micros()).unwrap_or(u64::MAX);
            self.say_fact(&FactsMessage::Ping { t }).await;
        }
        if now - self.input_at >= INPUT {
            self.move_hands(now).await;
        }
    }

    async fn greet(&mut self, now: Instant) {
        (self.greetings, self.greeted_at) = (self.greetings + 1, now);
        self.say(&FromPage::Hello { versions: Versions::current() }).await;
    }

    async fn move_hands(&mut self, now: Instant) {
        self.input_at = now;
        let packet = self.desk.hands().packet(now);
        if let Err(error) = self.peer.input.send(BytesMut::from(&packet[..])).await {
            debug!("input is lost: {error}");
        }
    }

    /// A frame was taken by the display that is not there.
    pub(crate) async fn shown(&self, rtp_timestamp: u32, decode_us: u32, now: Instant) {
        let since_us = u64::try_from((now - self.start).as_micros()).unwrap_or_default();
        let wait_us = (REFRESH_US - since_us % REFRESH_US) as i32;
        self.say_fact(&FactsMessage::Shown { rtp_timestamp, wait_us, decode_us }).await;
    }

    pub(crate) fn facts(&self, bytes: &[u8], at: Instant) {
        match FactsMessage::parse(bytes) {
            Ok(FactsMessage::Frame(frame)) => {
                self.desk.hands().acknowledge(frame.input_serial);
                self.desk.drawn(frame.rtp_timestamp, frame.captured_us);
            }
            Ok(FactsMessage::Pong { t, node_us }) => {
                // Only what was sent comes back: a time of the future is no pong.
                let sent = self.start.checked_add(Duration::from_micros(t)).filter(|sent| *sent <= at);
                sent.into_iter().for_each(|sent| self.desk.pong(sent, at, node_us));
            }
            Ok(FactsMessage::Ping { .. } | FactsMessage::Shown { .. }) | Err(_) => {
                debug!("a message on the facts channel is not understood");
            }
        }
    }

    /// What the node says; a reason: the session is over.
    pub(crate) async fn control(&mut self, bytes: &[u8], now: Instant) -> Option<EndReason> {
        if bytes.len() > MAX_CONTROL_BYTES {
            return None;
        }
        match serde_json::from_slice(bytes) {
            Ok(ToPage::Hello { versions }) => {
                self.is_challenged = versions.control.has(challenge::FEATURE);
                if !std::mem::replace(&mut self.is_answered, true) {
                    self.say(&DISPLAY).await;
                }
            }
            Ok(ToPage::Session { .. }) => {
                let h264 = DecoderFacts { codec: VideoCodec::H264, smooth: true, efficient: false };
                let decoders = vec![h264];
                self.say(&FromPage::Decoders { decoders, on_battery: false, hdr: false }).await;
            }
            Ok(ToPage::Receipt { bytes }) => self.countersign(&bytes, now).await,
            Ok(ToPage::Ended { reason, .. }) => return Some(reason),
            Ok(_) => {}
            Err(error) => debug!("a control message is not understood: {error}"),
        }
        None
    }

    async fn countersign(&mut self, base64: &str, now: Instant) {
        let canonical = STANDARD.decode(base64).unwrap_or_default();
        if let Some((sequence, signature)) = self.receipts.check(&canonical, now) {
            self.say(&FromPage::ReceiptSignature { sequence, signature }).await;
        }
    }

    async fn say(&self, message: &FromPage) {
        let Ok(text) = serde_json::to_string(message) else { return };
        if let Err(error) = self.peer.control.send_text(&text).await {
            debug!("a control message is lost: {error}");
        }
    }

    async fn say_fact(&self, message: &FactsMessage) {
        if let Err(error) = self.peer.facts.send(BytesMut::from(&message.to_bytes()[..])).await {
            debug!("a message of facts is lost: {error}");
        }
    }
}
