//! The codec that suits the encoder, the paths and every player's browser.

use super::{Peer, Session};
use crate::worker::pipeline::EncoderInfo;
use nearframe_stream::{CodecInputs, CodecPlayer, Quality};
use std::time::{Duration, Instant};
use tracing::info;

impl Peer {
    fn as_codec_player(&self) -> CodecPlayer<'_> {
        CodecPlayer {
            negotiated: &self.codecs,
            decoders: &self.wants.decoders,
            on_battery: self.wants.on_battery,
            hdr: self.wants.hdr,
            decode: self.wants.decode,
        }
    }
}

impl Session {
    /// Looks at who is there and how pictures fare; to be called a few times a second.
    pub(super) fn review_codec(&mut self, now: Instant) {
        let (Some(info), Some(target_bps)) = (&self.info, self.slowest_bps()) else { return };
        let players: Vec<_> =
            self.peers.values().filter(|peer| peer.connected).map(Peer::as_codec_player).collect();
        let Quality { fps, .. } = self.picture.unwrap_or(info.whole);
        let inputs = CodecInputs {
            encodable: &info.encoder.codecs,
            players: &players,
            hdr: self.manifest.run.hdr.is_some(),
            narrow: !info.whole.fits(target_bps.into()),
            interval: Duration::from_secs(1) / fps.max(1),
        };
        let changed = self.agreement.update(now, &inputs);
        let agreed = self.agreement.codec();
        if changed || agreed != info.encoder.codec {
            self.pipeline.set_codec(agreed);
        }
        if changed {
            info!(codec = %agreed, "agreed on");
            self.peers.values_mut().for_each(|peer| peer.wants.decode = None);
        }
    }

    /// Another encoder, or the same for another codec: the pages are told.
    pub(super) fn encoder_is(&mut self, encoder: EncoderInfo) {
        if let Some(info) = &mut self.info {
            info.encoder = encoder;
        }
        let greeted: Vec<_> = self.peers.keys().copied().collect();
        greeted.into_iter().for_each(|id| self.introduce(id));
    }
}
