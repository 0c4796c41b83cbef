//! What page and title tell each other over the control channel.

use super::Session;
use crate::worker::transport::Transport;
use nearframe_protocol::check::challenge;
use nearframe_protocol::control::{FromPage, MAX_CLIPBOARD_BYTES, ToPage};
use nearframe_protocol::worker::FromWorker;
use nearframe_protocol::{EndReason, PeerId, Versions, VideoCodec};
use nearframe_title::{PlayerWish, TitleNotice};
use std::mem::{Discriminant, discriminant};
use std::time::Instant;
use tracing::{info, warn};

/// What the title showed last of each kind; a page that comes later is told.
pub(super) type Shown = std::collections::HashMap<Discriminant<ToPage>, ToPage>;

impl Session {
    pub(super) async fn control(&mut self, id: PeerId, text: &str) {
        let message = match serde_json::from_str(text) {
            Ok(message) => message,
            Err(error) => return warn!(peer = %id, "a control message is not understood: {error}"),
        };
        match message {
            FromPage::Hello { versions } => {
                let ours = Versions::current();
                let agreed = ours.control.agree(&versions.control).and(ours.input.agree(&versions.input));
                if let Err(error) = agreed.and(ours.facts.agree(&versions.facts)) {
                    warn!(peer = %id, "{error}");
                    return self.remove_peer(id).await;
                }
                if let Some(peer) = self.peers.get_mut(&id) {
                    peer.greeted = true;
                    peer.transport.send_control(&ToPage::Hello { versions: ours });
                }
                if self.is_player(id) {
                    self.pipeline.greeted(versions.control.has(challenge::FEATURE));
                }
                self.tell_begins(id);
                self.introduce(id);
            }
            // Pages scale; a picture smaller than the title's is for slow paths and machines.
            FromPage::Display { width, height, refresh_hz } => {
                info!(peer = %id, width, height, refresh_hz, "the player's display");
                if let Some(peer) = self.peers.get_mut(&id) {
                    peer.wants.display_hz = Some(refresh_hz);
                }
            }
            FromPage::ReceiptSignature { sequence, signature } => {
                self.tell(FromWorker::Signed { sequence, signature }).await;
            }
            FromPage::Hidden { hidden } => {
                if self.phase_peer() == Some(id) {
                    self.pipeline.set_hidden(hidden);
                }
            }
            FromPage::Keyboard { layout, variant } => {
                if self.phase_peer() == Some(id) {
                    self.pipeline.tell(PlayerWish::Keyboard { layout, variant });
                }
            }
            FromPage::Clipboard { text } => {
                if text.len() <= MAX_CLIPBOARD_BYTES && self.is_player(id) {
                    self.pipeline.tell(PlayerWish::Clipboard(text));
                }
            }
            FromPage::DataCap { kbps } => {
                if let Some(peer) = self.peers.get_mut(&id) {
                    peer.wants.cap(kbps);
                    self.apply_bitrate();
                }
            }
            FromPage::Decoders { decoders, on_battery, hdr } => {
                if let Some(peer) = self.peers.get_mut(&id) {
                    peer.wants.decoders = decoders.into_iter().take(VideoCodec::ALL.len()).collect();
                    (peer.wants.on_battery, peer.wants.hdr) = (on_battery, hdr);
                    self.review_codec(Instant::now());
                }
            }
            FromPage::Microphone { on } => {
                if let Some(peer) = self.peers.get_mut(&id) {
                    peer.microphone = on && peer.transport.seat().is_player();
                    self.choose_voice();
                }
            }
            FromPage::Leave => {
                if self.is_player(id) {
                    self.end(EndReason::PlayerLeft, "the player pressed Leave");
                }
            }
        }
    }

    /// Passes on what the title has for the page.
    pub(super) fn notice(&mut self, notice: TitleNotice) {
        let (message, lasts) = match notice {
            TitleNotice::Rumble(rumble) => {
                let message = ToPage::Rumble {
                    pad: rumble.pad,
                    strong: rumble.strong,
                    weak: rumble.weak,
                    duration_ms: rumble.duration_ms,
                };
                for peer in self.peers.values().filter(|peer| peer.transport.seat() == rumble.seat) {
                    peer.transport.send_control(&message);
                }
                return;
            }
            TitleNotice::Cursor(cursor) => (ToPage::Cursor { cursor }, true),
            TitleNotice::PointerLocked(locked) => (ToPage::PointerLocked { locked }, true),
            TitleNotice::TextInput(active) => (ToPage::TextInput { active }, true),
            TitleNotice::Clipboard(text) => (ToPage::Clipboard { text }, false),
        };
        for peer in self.peers.values().filter(|peer| peer.transport.seat().is_player()) {
            peer.transport.send_control(&message);
        }
        if lasts {
            self.shown.insert(discriminant(&message), message);
        }
    }

    /// Tells the players of something that is wrong.
    pub(super) fn warn_players(&self, text: &str) {
        let warning = ToPage::Warning { text: text.to_owned() };
        for peer in self.peers.values().filter(|peer| peer.transport.seat().is_player()) {
            peer.transport.send_control(&warning);
        }
    }

    /// Tells a greeted peer from which frame on it sees the title.
    pub(super) fn tell_begins(&self, id: PeerId) {
        let (Some(rtp_timestamp), Some(peer)) = (self.begins, self.peers.get(&id)) else { return };
        if peer.greeted {
            peer.transport.send_control(&ToPage::Begins { rtp_timestamp });
        }
    }

    fn is_player(&self, id: PeerId) -> bool {
        self.peers.get(&id).is_some_and(|peer| peer.transport.seat().is_player())
    }

    /// Tells a greeted peer what runs, once the title is open.
    pub(super) fn introduce(&self, id: PeerId) {
        let (Some(info), Some(peer)) = (&self.info, self.peers.get(&id)) else { return };
        if !peer.greeted {
            return;
        }
        peer.transport.send_control(&ToPage::Session {
            seat: peer.transport.seat(),
            title: self.manifest.name.clone(),
            kind: self.manifest.run.kind,
            width: info.whole.width,
            height: info.whole.height,
            fps: info.whole.fps,
            encoder: info.encoder.name.clone(),
            adapter: info.adapter.clone(),
            conversion: info.conversion.clone(),
        });
        for notice in self.shown.values() {
            peer.transport.send_control(notice);
        }
        self.tell_quality(id);
    }
}
