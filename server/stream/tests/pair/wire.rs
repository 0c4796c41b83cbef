//! What a receiver reads, written from the specifications and from nothing in the crate: RTP with one-byte
//! header extensions (RFC 3550, RFC 8285), the Dependency Descriptor (AV1 RTP specification, A.8), FlexFEC
//! (draft-ietf-payload-flexible-fec-scheme-03) and RED (RFC 2198).

use bytes::Bytes;
use nearframe_stream::{Extensions, PacketKind, RtpPacket};
use std::collections::BTreeMap;

/// An RTP packet as bytes, the extension `cleared` filled with zeros.
pub(crate) fn marshal(packet: &RtpPacket, cleared: u8) -> Vec<u8> {
    let extended = !packet.extensions.is_empty();
    let mut out = vec![0x80 | u8::from(extended) << 4, u8::from(packet.marker) << 7 | packet.payload_type];
    out.extend_from_slice(&packet.sequence.to_be_bytes());
    out.extend_from_slice(&packet.timestamp.to_be_bytes());
    out.extend_from_slice(&packet.ssrc.to_be_bytes());
    if extended {
        let mut block = Vec::new();
        for (id, content) in packet.extensions.iter() {
            block.push(id << 4 | (content.len() - 1) as u8);
            block.extend(content.iter().map(|&byte| if id == cleared { 0 } else { byte }));
        }
        block.resize(block.len().next_multiple_of(4), 0);
        out.extend_from_slice(&[0xbe, 0xde]);
        out.extend_from_slice(&((block.len() / 4) as u16).to_be_bytes());
        out.extend_from_slice(&block);
    }
    out.extend_from_slice(&packet.payload);
    out
}

/// The other direction.
pub(crate) fn unmarshal(bytes: &[u8]) -> RtpPacket {
    assert_eq!(bytes[0] & 0xef, 0x80, "version 2, no padding, no CSRC");
    let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    let mut extensions = Extensions::default();
    let mut rest = &bytes[12..];
    if bytes[0] & 0x10 != 0 {
        assert_eq!(rest[..2], [0xbe, 0xde]);
        let words = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        let (mut block, payload) = rest[4..].split_at(words * 4);
        while let Some((&first, tail)) = block.split_first() {
            if first == 0 {
                block = tail;
                continue;
            }
            let (content, tail) = tail.split_at(usize::from(first & 0x0f) + 1);
            extensions.push(first >> 4, content);
            block = tail;
        }
        rest = payload;
    }
    RtpPacket {
        payload_type: bytes[1] & 0x7f,
        marker: bytes[1] & 0x80 != 0,
        sequence: word(0) as u16,
        timestamp: word(4),
        ssrc: word(8),
        extensions,
        payload: Bytes::copy_from_slice(rest),
        kind: PacketKind::Video,
    }
}

/// What a Dependency Descriptor says of a packet's frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Descriptor {
    pub(crate) first: bool,
    pub(crate) last: bool,
    pub(crate) number: u16,
    /// How many frames back it refers; `None` for a keyframe.
    pub(crate) difference: Option<u32>,
    pub(crate) brings_structure: bool,
}

struct Bits<'a>(&'a [u8], usize);

impl Bits<'_> {
    fn take(&mut self, count: usize) -> u32 {
        (0..count).fold(0, |value, _| {
            let bit = self.0[self.1 / 8] >> (7 - self.1 % 8) & 1;
            self.1 += 1;
            value << 1 | u32::from(bit)
        })
    }
}

/// Frame differences of the templates that a keyframe brought.
#[derive(Default)]
pub(crate) struct Templates {
    offset: u32,
    differences: Vec<Vec<u32>>,
}

impl Templates {
    /// Reads one extension; learns templates from those that bring them, and knows nothing before.
    pub(crate) fn read(&mut self, content: &[u8]) -> Option<Descriptor> {
        let mut bits = Bits(content, 0);
        let (first, last) = (bits.take(1) == 1, bits.take(1) == 1);
        let template = bits.take(6);
        let number = bits.take(16) as u16;
        let mut custom = None;
        let mut brings_structure = false;
        if content.len() > 3 {
            brings_structure = bits.take(1) == 1;
            assert_eq!(bits.take(2), 0, "no active decode targets, no custom indications");
            let custom_differences = bits.take(1) == 1;
            assert_eq!(bits.take(1), 0, "no custom chains");
            if brings_structure {
                self.learn(&mut bits);
            }
            if custom_differences {
                let mut all = Vec::new();
                loop {
                    match bits.take(2) {
                        0 => break,
                        nibbles => all.push(bits.take(4 * nibbles as usize) + 1),
                    }
                }
                custom = Some(all);
            }
        }
        let index = (template + 64 - self.offset) % 64;
        let known = self.differences.get(index as usize)?;
        let differences = custom.as_ref().unwrap_or(known);
        assert!(differences.len() <= 1, "one reference at most");
        Some(Descriptor { first, last, number, difference: differences.first().copied(), brings_structure })
    }

    fn learn(&mut self, bits: &mut Bits<'_>) {
        self.offset = bits.take(6);
        assert_eq!(bits.take(5), 0, "one decode target");
        let mut count = 1;
        loop {
            match bits.take(2) {
                0 => count += 1,
                3 => break,
                other => panic!("one layer, not {other}"),
            }
        }
        (0..count).for_each(|_| assert_eq!(bits.take(2), 2, "a switch point"));
        self.differences = (0..count)
            .map(|_| std::iter::from_fn(|| (bits.take(1) == 1).then(|| bits.take(4) + 1)).collect())
            .collect();
        assert_eq!(bits.take(1), 0, "no chains");
        assert_eq!(bits.take(1), 0, "no resolutions");
    }
}

/// One parity packet, read.
pub(crate) struct Parity {
    pub(crate) ssrc: u32,
    pub(crate) covers: Vec<u16>,
    /// Recovery fields of the header, then of what follows it.
    header: [u8; 8],
    body: Vec<u8>,
}

impl Parity {
    pub(crate) fn read(payload: &[u8]) -> Self {
        assert_eq!(payload[0] & 0xc0, 0, "neither a retransmission nor a fixed mask");
        assert_eq!(payload[8..12], [1, 0, 0, 0], "one protected SSRC");
        let base = u16::from_be_bytes([payload[16], payload[17]]);
        let mut bits = Bits(&payload[18..], 0);
        let mut covers = Vec::new();
        let mut at = 0u16;
        for len in [15, 31, 63] {
            let last = bits.take(1) == 1;
            for _ in 0..len {
                if bits.take(1) == 1 {
                    covers.push(base.wrapping_add(at));
                }
                at += 1;
            }
            if last {
                break;
            }
        }
        let body = payload[18 + bits.1 / 8..].to_vec();
        let ssrc = u32::from_be_bytes(payload[12..16].try_into().unwrap());
        Self { ssrc, covers, header: payload[..8].try_into().unwrap(), body }
    }

    /// The one packet that is not among `known`, where all the others are (draft §6.3).
    pub(crate) fn restore<'a>(&self, known: impl Fn(u16) -> Option<&'a [u8]>) -> Option<Vec<u8>> {
        let mut missing = self.covers.iter().filter(|&&sequence| known(sequence).is_none());
        let (&sequence, None) = (missing.next()?, missing.next()) else { return None };
        let (mut header, mut body) = (self.header, self.body.clone());
        for packet in self.covers.iter().filter_map(|&sequence| known(sequence)) {
            let len = ((packet.len() - 12) as u16).to_be_bytes();
            let fields = [&packet[..2], &len, &packet[4..8]].concat();
            header.iter_mut().zip(fields).for_each(|(into, byte)| *into ^= byte);
            body.iter_mut().zip(&packet[12..]).for_each(|(into, byte)| *into ^= byte);
        }
        body.truncate(usize::from(u16::from_be_bytes([header[2], header[3]])));
        let mut packet = vec![header[0] & 0x3f | 0x80, header[1]];
        packet.extend_from_slice(&sequence.to_be_bytes());
        packet.extend_from_slice(&header[4..]);
        packet.extend_from_slice(&self.ssrc.to_be_bytes());
        packet.extend_from_slice(&body);
        Some(packet)
    }
}

/// Keeps what arrived and restores what it can.
#[derive(Default)]
pub(crate) struct FecDecoder {
    newest: u16,
    media: BTreeMap<u16, Vec<u8>>,
    parity: Vec<Parity>,
}

impl FecDecoder {
    pub(crate) fn media(&mut self, packet: Vec<u8>) {
        let sequence = u16::from_be_bytes([packet[2], packet[3]]);
        if self.media.is_empty() || sequence.wrapping_sub(self.newest) < 1 << 15 {
            self.newest = sequence;
        }
        self.media.insert(sequence, packet);
        // As many as libwebrtc keeps; those that are furthest behind in the ring of numbers go.
        while self.media.len() > 192 {
            let oldest = *self.media.keys().max_by_key(|&&other| self.newest.wrapping_sub(other)).unwrap();
            self.media.remove(&oldest);
        }
    }

    pub(crate) fn parity(&mut self, payload: &[u8]) {
        self.parity.push(Parity::read(payload));
        if self.parity.len() > 48 {
            self.parity.remove(0);
        }
    }

    /// All that can be restored now.
    pub(crate) fn restore(&mut self) -> Vec<Vec<u8>> {
        let mut restored = Vec::new();
        let mut at = 0;
        while at < self.parity.len() {
            let known = |sequence| self.media.get(&sequence).map(Vec::as_slice);
            let Some(packet) = self.parity[at].restore(known) else {
                at += 1;
                continue;
            };
            self.parity.remove(at);
            restored.push(packet.clone());
            self.media(packet);
            at = 0;
        }
        restored
    }
}

/// The blocks of a RED payload: payload type, timestamp and content, oldest first.
pub(crate) fn read_red(timestamp: u32, payload: &[u8]) -> Vec<(u8, u32, Vec<u8>)> {
    let mut headers = Vec::new();
    let mut at = 0;
    while payload[at] & 0x80 != 0 {
        let word = u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
        headers.push(((word >> 24 & 0x7f) as u8, word >> 10 & 0x3fff, (word & 0x3ff) as usize));
        at += 4;
    }
    let primary = payload[at];
    at += 1;
    let mut blocks = Vec::new();
    for (kind, offset, len) in headers {
        blocks.push((kind, timestamp.wrapping_sub(offset), payload[at..at + len].to_vec()));
        at += len;
    }
    blocks.push((primary, timestamp, payload[at..].to_vec()));
    blocks
}
