//! The picture that suits the network, the node and the player's device.

use super::{Peer, Session};
use crate::worker::transport::Transport;
use nearframe_protocol::PeerId;
use nearframe_protocol::control::{DecoderFacts, QualityLimit as Told, ToPage};
use nearframe_stream::{Quality, QualityController, QualityInputs, QualityLimit};
use std::time::{Duration, Instant};
use tracing::info;

/// A cap below this would leave no game.
const MIN_CAP_BPS: u32 = 500_000;
/// Slower displays are none that anybody plays on: the page has measured a busy browser.
const MIN_DISPLAY_HZ: f32 = 24.0;
/// A display that is slower than the title by less than this shows all of its frames now and then twice.
const SLOWER: f32 = 0.95;
/// A page's claim beyond this says nothing of decoding.
const MAX_DECODE: Duration = Duration::from_secs(1);

/// What one peer's player can do and wants.
#[derive(Debug, Default)]
pub(super) struct Wants {
    /// The most that video may take, bits a second.
    pub(super) cap_bps: Option<u32>,
    /// Refreshes of the display in a second.
    pub(super) display_hz: Option<f32>,
    /// What the page says of its decoders.
    pub(super) decoders: Vec<DecoderFacts>,
    /// Its device runs on a battery.
    pub(super) on_battery: bool,
    /// Its display shows HDR10, and its browser takes it there.
    pub(super) hdr: bool,
    /// Smoothed over about the last 32 frames.
    pub(super) decode: Option<Duration>,
}

impl Wants {
    pub(super) fn cap(&mut self, kbps: Option<u32>) {
        self.cap_bps = kbps.map(|kbps| kbps.saturating_mul(1000).max(MIN_CAP_BPS));
    }

    pub(super) fn decoded(&mut self, took: Duration) {
        let took = took.min(MAX_DECODE);
        self.decode = Some(self.decode.map_or(took, |mean| (mean * 31 + took) / 32));
    }
}

/// What a display of this rate can show of a title of this rate, frames a second.
fn shown_fps(title_fps: u32, display_hz: Option<f32>) -> u32 {
    match display_hz {
        Some(hz) if hz >= MIN_DISPLAY_HZ && hz < title_fps as f32 * SLOWER => hz.round() as u32,
        _ => title_fps,
    }
}

impl Peer {
    /// What video may take on this peer's path.
    fn video_bps(&self) -> u32 {
        self.target_bps.min(self.wants.cap_bps.unwrap_or(u32::MAX))
    }
}

impl Session {
    /// The slowest connected path decides: one encoder feeds all.
    pub(super) fn slowest_bps(&self) -> Option<u32> {
        self.peers.values().filter(|peer| peer.connected).map(Peer::video_bps).min()
    }

    /// Looks at what was measured lately; to be called a few times a second while somebody plays.
    pub(super) fn review_quality(&mut self, now: Instant) {
        let (Some(target_bps), Some(player)) = (self.slowest_bps(), self.phase_peer()) else { return };
        let Some(info) = &self.info else { return };
        let inputs = QualityInputs {
            target_bps: target_bps.into(),
            codec: info.encoder.codec,
            encode: self.pipeline.encode_time(),
            decode: self.peers.get(&player).and_then(|peer| peer.wants.decode),
        };
        self.pipeline.set_display(self.peers.get(&player).and_then(|peer| peer.wants.display_hz));
        let Some(controller) = &mut self.quality else { return };
        controller.update(now, &inputs);
        let limit = controller.limit();
        let quality = self.wanted_quality(player);
        if self.picture != Some(quality) {
            info!(quality.width, quality.height, quality.fps, ?limit, target_bps, "another picture");
            self.picture = Some(quality);
            self.pipeline.set_quality(quality);
            self.peers.values_mut().for_each(|peer| peer.wants.decode = None);
        } else if self.limit == limit {
            return;
        }
        self.limit = limit;
        let players: Vec<PeerId> = self.peers.keys().copied().collect();
        players.into_iter().for_each(|id| self.tell_quality(id));
    }

    /// The title is open: its own picture is the best there is.
    pub(super) fn begin_quality(&mut self, whole: Quality) {
        // Until the path is known it is taken to carry the whole picture.
        self.quality = Some(QualityController::new(whole, u64::MAX));
        self.picture = Some(whole);
    }

    /// The controller's picture, no faster than the player's display.
    fn wanted_quality(&self, player: PeerId) -> Quality {
        let whole = &self.manifest.run;
        let whole = Quality { width: whole.width, height: whole.height, fps: whole.fps };
        let quality = self.quality.as_ref().map_or(whole, QualityController::quality);
        let display_hz = self.peers.get(&player).and_then(|peer| peer.wants.display_hz);
        Quality { fps: shown_fps(quality.fps, display_hz), ..quality }
    }

    pub(super) fn tell_quality(&self, id: PeerId) {
        let (Some(controller), Some(peer)) = (&self.quality, self.peers.get(&id)) else { return };
        let Some(Quality { width, height, fps }) = self.picture else { return };
        let capped = peer.wants.cap_bps.is_some_and(|cap| cap <= peer.target_bps);
        let limit = match controller.limit() {
            QualityLimit::None => Told::None,
            QualityLimit::Network if capped => Told::DataCap,
            QualityLimit::Network => Told::Network,
            QualityLimit::Node => Told::Node,
            QualityLimit::Device => Told::Device,
        };
        peer.transport.send_control(&ToPage::Quality { width, height, fps, limit });
    }

    /// What is encoded now, in pixels.
    pub(super) fn picture_size(&self) -> (u32, u32) {
        self.picture
            .map_or((self.manifest.run.width, self.manifest.run.height), |now| (now.width, now.height))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_not_drawn_faster_than_the_display_shows() {
        for (title, display, wanted) in [
            (60, None, 60),
            (60, Some(60.006), 60),
            (60, Some(59.4), 60),
            (60, Some(50.0), 50),
            (60, Some(29.97), 30),
            (60, Some(144.0), 60),
            (120, Some(89.9), 90),
            (60, Some(6.7), 60),
            (60, Some(f32::NAN), 60),
        ] {
            assert_eq!(shown_fps(title, display), wanted, "{title} on {display:?}");
        }
    }

    #[test]
    fn a_cap_leaves_a_game_and_decode_times_are_smoothed_and_bounded() {
        let mut wants = Wants::default();
        wants.cap(Some(1));
        assert_eq!(wants.cap_bps, Some(MIN_CAP_BPS));
        wants.cap(Some(u32::MAX));
        assert_eq!(wants.cap_bps, Some(u32::MAX));
        wants.cap(None);
        assert_eq!(wants.cap_bps, None);
        wants.decoded(Duration::from_millis(4));
        wants.decoded(Duration::from_secs(4000));
        assert_eq!(wants.decode, Some((Duration::from_millis(4) * 31 + MAX_DECODE) / 32));
    }
}
