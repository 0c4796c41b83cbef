//! The last thing before a packet leaves: SSRC, numbers and header extensions.

use crate::asking::Asking;
use crate::config::SenderConfig;
use crate::descriptor::{self, FrameRefs};
use crate::extensions::Extensions;
use crate::history::{Cargo, SendHistory};
use crate::pacer::{Queued, Stream};
use crate::retransmit::{Stored, rtx_ids};
use crate::rtp::{ExtensionIds, FecIds, PacketKind, RtpPacket, Seed, StreamIds};
use bytes::Bytes;
use std::time::Instant;

/// Minimum and maximum of 0: show each frame as soon as it is decoded. Above 0 the receiver would space
/// frames out.
const PLAYOUT_DELAY_ZERO: [u8; 3] = [0; 3];
/// HDR10: primaries of BT.2020, ST 2084, matrix of BT.2020 (ITU-T H.273), limited range with chroma amid its four
/// pixels. How bright the title is, the stream itself says: with that this would outgrow the one-byte form.
const HDR10: [u8; 4] = [9, 16, 9, 1 << 4 | 2 << 2 | 2];

#[derive(Debug)]
struct Port {
    ids: StreamIds,
    extensions: ExtensionIds,
    /// Payload type of pictures in HDR10.
    hdr10: Option<u8>,
    rtx_sequence: u64,
}

/// A packet's frame, and whether the packet is its first.
pub(crate) type Place = Option<(FrameRefs, bool)>;

/// Labels packets and remembers when each left.
#[derive(Debug)]
pub(crate) struct Outlet {
    video: Port,
    audio: Port,
    fec: Option<FecIds>,
    pub(crate) asking: Asking,
    pub(crate) history: SendHistory,
}

impl Outlet {
    pub(crate) fn new(config: &SenderConfig, seed: &mut Seed) -> Self {
        let hdr10 = config.other_codecs.hevc10.map(|types| types.media);
        let mut port = |ids, extensions| Port { ids, extensions, hdr10, rtx_sequence: seed.first_sequence() };
        let video = port(config.video, config.extensions);
        let audio_type = config.audio_red_payload_type.unwrap_or(config.audio.payload_type);
        let audio = port(StreamIds { payload_type: audio_type, ..config.audio }, config.audio_extensions);
        // One numbering for all: who takes the request for one kind of media takes it for both.
        let agreed = [video.extensions, audio.extensions].iter().all(|ids| ids.feedback_request.is_some());
        let (asking, history) = (Asking::new(agreed), SendHistory::new(seed.first_sequence()));
        Self { video, audio, fec: config.fec, asking, history }
    }

    /// The packet as it leaves now, as part of `probe` where one runs, and whether it asks for a report.
    pub(crate) fn label(
        &mut self,
        now: Instant,
        queued: &Queued,
        place: Place,
        probe: Option<u32>,
    ) -> (RtpPacket, bool) {
        self.asking.tick(now);
        let number = Number::of(&self.asking);
        let port = match queued.stream {
            Stream::Video => &mut self.video,
            Stream::Audio => &mut self.audio,
        };
        let mut packet = match (queued.kind, self.fec) {
            (PacketKind::Retransmission | PacketKind::Probe, _) => port.again(queued, place, &number),
            (PacketKind::Fec, Some(ids)) => port.parity(ids, &queued.packet, &number),
            (kind, _) => port.media(&queued.packet, kind, place, &number),
        };
        let mut asks = false;
        if port.extensions.transport_cc.is_some() {
            let media = queued.kind != PacketKind::Probe;
            let cargo = cargo(queued, packet.ssrc == port.ids.ssrc);
            let number = self.history.stamp(now, packet.wire_len(), probe, media, cargo);
            if !packet.extensions.is_empty() {
                let content = self.asking.content(now, number, queued.packet.marker);
                asks = Asking::is_question(&content);
                packet.extensions.finish(&content);
            }
        }
        (packet, asks)
    }

    /// A packet of video as it will leave, without its transport-wide number.
    pub(crate) fn unnumbered(&self, packet: &Stored, place: Place) -> RtpPacket {
        self.video.media(packet, PacketKind::Video, place, &Number::of(&self.asking))
    }
}

/// What a packet brings, on its own stream or on another.
fn cargo(queued: &Queued, own: bool) -> Cargo {
    let sequence = queued.packet.sequence;
    match (queued.stream, queued.kind) {
        (_, PacketKind::Fec) => Cargo::Fec(sequence),
        (Stream::Video, _) if own => Cargo::Video(sequence),
        (Stream::Video, _) => Cargo::Repeat(sequence),
        (Stream::Audio, _) => Cargo::Other,
    }
}

/// Which extension carries the transport-wide number, and what stands there until it is known.
struct Number {
    asks: bool,
    place: Bytes,
}

impl Number {
    fn of(asking: &Asking) -> Self {
        Self { asks: asking.is_on(), place: asking.place() }
    }

    fn extension(&self, ids: ExtensionIds) -> Option<(u8, Bytes)> {
        let id = if self.asks { ids.feedback_request } else { ids.transport_cc };
        id.map(|id| (id, self.place.clone()))
    }
}

impl Port {
    /// A packet for the first time.
    fn media(&self, stored: &Stored, kind: PacketKind, place: Place, number: &Number) -> RtpPacket {
        RtpPacket {
            payload_type: stored.types.map_or(self.ids.payload_type, |types| types.media),
            marker: stored.marker,
            sequence: stored.sequence as u16,
            timestamp: stored.timestamp,
            ssrc: self.ids.ssrc,
            extensions: self.extensions(stored, place, number),
            payload: stored.payload(),
            kind,
        }
    }

    /// A packet that left before, on the stream of retransmissions where there is one.
    fn again(&mut self, queued: &Queued, place: Place, number: &Number) -> RtpPacket {
        let packet = self.media(&queued.packet, queued.kind, place, number);
        let Some((ssrc, payload_type)) = self.repeats(&queued.packet) else { return packet };
        let sequence = self.rtx_sequence as u16;
        self.rtx_sequence += 1;
        RtpPacket { ssrc, payload_type, sequence, payload: queued.packet.data.clone(), ..packet }
    }

    /// SSRC and payload type of a packet that leaves again.
    fn repeats(&self, stored: &Stored) -> Option<(u32, u8)> {
        let (ssrc, own) = rtx_ids(&self.ids)?;
        stored.types.map_or(Some(own), |types| types.rtx).map(|payload_type| (ssrc, payload_type))
    }

    fn parity(&self, ids: FecIds, stored: &Stored, number: &Number) -> RtpPacket {
        RtpPacket {
            payload_type: ids.payload_type,
            marker: false,
            sequence: stored.sequence as u16,
            timestamp: stored.timestamp,
            ssrc: ids.ssrc,
            extensions: number.extension(self.extensions).into_iter().collect(),
            payload: stored.payload(),
            kind: PacketKind::Fec,
        }
    }

    /// The header extensions, the transport-wide number last.
    fn extensions(&self, stored: &Stored, place: Place, number: &Number) -> Extensions {
        let last = stored.marker;
        let mut extensions = Extensions::default();
        if let Some(id) = self.extensions.playout_delay {
            extensions.push(id, &PLAYOUT_DELAY_ZERO);
        }
        if let Some((id, (refs, first))) = self.extensions.dependency_descriptor.zip(place) {
            extensions.push(id, &descriptor::write(refs, first, last));
        }
        if let Some(id) = self.extensions.colour_space.filter(|_| self.says_colours(stored, place)) {
            extensions.push(id, &HDR10);
        }
        if let Some((id, content)) = number.extension(self.extensions) {
            extensions.push(id, &content);
        }
        extensions
    }

    /// Receivers look for the colours of a picture in its last packet, and keep them until the next keyframe.
    fn says_colours(&self, stored: &Stored, place: Place) -> bool {
        let wide = stored.types.is_some_and(|types| Some(types.media) == self.hdr10);
        wide && stored.marker && place.is_some_and(|(refs, _)| refs.refers_to.is_none())
    }
}
