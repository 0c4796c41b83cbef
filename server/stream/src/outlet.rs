//! The last thing before a packet leaves: SSRC, numbers and header extensions.

use crate::config::SenderConfig;
use crate::history::SendHistory;
use crate::pacer::{Queued, Stream};
use crate::retransmit::rtx_ids;
use crate::rtp::{ExtensionIds, PacketKind, RtpPacket, Seed, StreamIds};
use bytes::Bytes;
use std::time::Instant;

/// Minimum and maximum of 0: show each frame as soon as it is decoded. Above 0 the receiver would space
/// frames out.
const PLAYOUT_DELAY_ZERO: Bytes = Bytes::from_static(&[0, 0, 0]);

#[derive(Debug)]
struct Port {
    ids: StreamIds,
    extensions: ExtensionIds,
    rtx_sequence: u64,
}

/// Labels packets and remembers when each left.
#[derive(Debug)]
pub(crate) struct Outlet {
    video: Port,
    audio: Port,
    pub(crate) history: SendHistory,
}

impl Outlet {
    pub(crate) fn new(config: &SenderConfig, seed: &mut Seed) -> Self {
        let mut port = |ids, extensions| Port { ids, extensions, rtx_sequence: seed.first_sequence() };
        let video = port(config.video, config.extensions);
        let audio = port(config.audio, config.audio_extensions);
        Self { video, audio, history: SendHistory::new(seed.first_sequence()) }
    }

    /// The packet as it leaves now, as part of `probe` where one runs.
    pub(crate) fn label(&mut self, now: Instant, queued: &Queued, probe: Option<u32>) -> RtpPacket {
        let port = match queued.stream {
            Stream::Video => &mut self.video,
            Stream::Audio => &mut self.audio,
        };
        let mut packet = port.address(queued);
        if let Some(id) = port.extensions.transport_cc {
            packet.extensions.push((id, Bytes::from_static(&[0; 2])));
            let media = queued.kind != PacketKind::Probe;
            let number = self.history.stamp(now, packet.wire_len(), probe, media);
            if let Some((_, content)) = packet.extensions.last_mut() {
                *content = Bytes::copy_from_slice(&number.to_be_bytes());
            }
        }
        packet
    }
}

impl Port {
    /// Puts SSRC, payload type, sequence number and payload on a packet.
    fn address(&mut self, queued: &Queued) -> RtpPacket {
        let again = matches!(queued.kind, PacketKind::Retransmission | PacketKind::Probe);
        let stored = &queued.packet;
        let (ssrc, payload_type, sequence, payload) = match rtx_ids(&self.ids).filter(|_| again) {
            Some((ssrc, payload_type)) => {
                let sequence = self.rtx_sequence as u16;
                self.rtx_sequence += 1;
                (ssrc, payload_type, sequence, stored.data.clone())
            }
            None => (self.ids.ssrc, self.ids.payload_type, stored.sequence as u16, stored.payload()),
        };
        let playout_delay = self.extensions.playout_delay.map(|id| (id, PLAYOUT_DELAY_ZERO));
        RtpPacket {
            payload_type,
            marker: stored.marker,
            sequence,
            timestamp: stored.timestamp,
            ssrc,
            extensions: playout_delay.into_iter().collect(),
            payload,
            kind: queued.kind,
        }
    }
}
