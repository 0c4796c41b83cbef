//! Frame facts: what the page cannot read from RTP (data channel 1, unordered, no retransmission).
//!
//! JavaScript sees no RTP header extensions, so for every frame the node says here what it knows of
//! it; the page matches the frame through `requestVideoFrameCallback`'s `rtpTimestamp`. What is not
//! matched is unmeasured, and said so. The page answers with clock pings and, per shown frame, how
//! long the frame lay ready before the display took it, from which the node's frame clock finds the
//! phase of the player's display.
//!
//! All little-endian, first byte version = 1, second the kind:
//! kind 1 frame (node → page, 48 bytes): flags u16 (bit 0 keyframe) · rtp_timestamp u32 ·
//! captured_us u64 · input_serial u32 · frame u32 · target_kbps u32 · size_bytes u32 · drawn_us,
//! converted_us, encoded_us, sent_us u32 each, counted from captured_us.
//! kind 2 ping (page → node, 10 bytes): t u64, the page's clock in µs.
//! kind 3 pong (node → page, 18 bytes): t u64 as sent · node_us u64.
//! kind 4 shown (page → node, 14 bytes): rtp_timestamp u32 · wait_us i32 (display callback −
//! decoded) · decode_us u32.

use crate::wire::{Reader, WireError};

/// The only version spoken by this release.
pub const FACTS_VERSION: u8 = 1;

/// What the node knows of one frame. The µs fields are the frame's trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameFacts {
    /// A keyframe needs no other frame.
    pub keyframe: bool,
    /// 90 kHz, as in the frame's RTP packets.
    pub rtp_timestamp: u32,
    /// Node clock (monotonic, µs) when drawing began: the frame's age counts from here.
    pub captured_us: u64,
    /// Serial of the newest input event that the title had seen when it drew.
    pub input_serial: u32,
    /// 0, 1, 2, …
    pub frame: u32,
    /// What the congestion controller allows, in kbit/s.
    pub target_kbps: u32,
    /// Encoded size.
    pub size_bytes: u32,
    /// The title had drawn it.
    pub drawn_us: u32,
    /// It was composited and converted.
    pub converted_us: u32,
    /// It was encoded.
    pub encoded_us: u32,
    /// Its first packet was handed to the socket queue.
    pub sent_us: u32,
}

/// A message of the facts channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactsMessage {
    /// Node → page, once per frame.
    Frame(FrameFacts),
    /// Page → node.
    Ping {
        /// The page's clock, µs.
        t: u64,
    },
    /// Node → page.
    Pong {
        /// As it came.
        t: u64,
        /// The node's clock, µs.
        node_us: u64,
    },
    /// Page → node, once per shown frame.
    Shown {
        /// Which frame.
        rtp_timestamp: u32,
        /// How long it lay decoded before the display's callback.
        wait_us: i32,
        /// From reception of its last packet until decoded.
        decode_us: u32,
    },
}

impl FactsMessage {
    /// The byte form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(48);
        out.push(FACTS_VERSION);
        match self {
            Self::Frame(f) => {
                out.push(1);
                out.extend(u16::from(f.keyframe).to_le_bytes());
                out.extend(f.rtp_timestamp.to_le_bytes());
                out.extend(f.captured_us.to_le_bytes());
                for field in [
                    f.input_serial,
                    f.frame,
                    f.target_kbps,
                    f.size_bytes,
                    f.drawn_us,
                    f.converted_us,
                    f.encoded_us,
                    f.sent_us,
                ] {
                    out.extend(field.to_le_bytes());
                }
            }
            Self::Ping { t } => {
                out.push(2);
                out.extend(t.to_le_bytes());
            }
            Self::Pong { t, node_us } => {
                out.push(3);
                out.extend(t.to_le_bytes());
                out.extend(node_us.to_le_bytes());
            }
            Self::Shown { rtp_timestamp, wait_us, decode_us } => {
                out.push(4);
                out.extend(rtp_timestamp.to_le_bytes());
                out.extend(wait_us.to_le_bytes());
                out.extend(decode_us.to_le_bytes());
            }
        }
        out
    }

    /// Reads one message.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let mut r = Reader::new(bytes);
        let version = r.u8()?;
        if version != FACTS_VERSION {
            return Err(WireError::Version(version));
        }
        let message = match r.u8()? {
            1 => {
                let flags = r.u16()?;
                if flags > 1 {
                    return Err(WireError::Range("flags"));
                }
                Self::Frame(FrameFacts {
                    keyframe: flags == 1,
                    rtp_timestamp: r.u32()?,
                    captured_us: r.u64()?,
                    input_serial: r.u32()?,
                    frame: r.u32()?,
                    target_kbps: r.u32()?,
                    size_bytes: r.u32()?,
                    drawn_us: r.u32()?,
                    converted_us: r.u32()?,
                    encoded_us: r.u32()?,
                    sent_us: r.u32()?,
                })
            }
            2 => Self::Ping { t: r.u64()? },
            3 => Self::Pong { t: r.u64()?, node_us: r.u64()? },
            4 => Self::Shown { rtp_timestamp: r.u32()?, wait_us: r.i32()?, decode_us: r.u32()? },
            _ => return Err(WireError::Range("kind")),
        };
        r.end()?;
        Ok(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_and_whatever_parses_has_one_byte_form(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(message) = FactsMessage::parse(&bytes) {
                prop_assert_eq!(message.to_bytes(), bytes);
            }
        }
    }
}
