//! NAL units → RTP payloads, as H.264 (RFC 6184) and HEVC (RFC 7798) both do it.
//!
//! Parameter sets and small NAL units at the front share one packet, other small ones travel alone, large ones as
//! fragments. The two differ in headers alone.

use crate::annex_b::nal_units;
use crate::payload::{PayloadWriter, fragments};
use bytes::Bytes;

/// The first and the last fragment of a NAL unit, in the byte that both formats have for it.
pub(crate) const FU_START: u8 = 0x80;
/// See [`FU_START`].
pub(crate) const FU_END: u8 = 0x40;

/// What one format's headers look like.
pub(crate) trait NalFormat {
    /// In front of a NAL unit, and of a packet that several share.
    type Header: AsRef<[u8]>;
    /// In front of a fragment.
    type FragmentHeader: AsRef<[u8]>;

    /// Length of [`Self::Header`]; a fragment's is one byte longer.
    const HEADER_LEN: usize;

    /// Whether receivers need it; delimiters and filler are not sent.
    fn is_sent(nal: &[u8]) -> bool;
    /// Of a packet that these share; each is preceded by its length there.
    fn shared(nals: &[&[u8]]) -> Self::Header;
    /// Of a fragment; `place` has [`FU_START`] and [`FU_END`].
    fn fragment(nal: &[u8], place: u8) -> Self::FragmentHeader;
}

/// Splits NAL units in Annex B form. Each result starts with the big-endian sequence number `first_sequence + i`,
/// followed by at most `max_payload` bytes of payload. Without any NAL unit there is no packet.
pub(crate) fn packetize<F: NalFormat>(stream: &[u8], max_payload: usize, first_sequence: u64) -> Vec<Bytes> {
    let units = nal_units(stream).map(|range| &stream[range]);
    let nals: Vec<&[u8]> = units.filter(|nal| nal.len() >= F::HEADER_LEN && F::is_sent(nal)).collect();
    let mut writer = PayloadWriter::new(stream.len(), max_payload, first_sequence);
    let shared = fitting::<F>(&nals, max_payload);
    match shared {
        0 => {}
        1 => writer.payload(&[nals[0]]),
        _ => share::<F>(&mut writer, &nals[..shared]),
    }
    for nal in &nals[shared..] {
        if nal.len() <= max_payload {
            writer.payload(&[nal]);
        } else {
            fragment::<F>(&mut writer, nal, max_payload);
        }
    }
    writer.finish()
}

/// How many NAL units at the front fit into one packet.
fn fitting<F: NalFormat>(nals: &[&[u8]], max_payload: usize) -> usize {
    let mut len = F::HEADER_LEN;
    nals.iter()
        .take_while(|nal| {
            len += 2 + nal.len();
            len <= max_payload
        })
        .count()
}

fn share<F: NalFormat>(writer: &mut PayloadWriter, nals: &[&[u8]]) {
    writer.begin();
    writer.put(F::shared(nals).as_ref());
    for nal in nals {
        writer.put(&(nal.len() as u16).to_be_bytes());
        writer.put(nal);
    }
    writer.end();
}

fn fragment<F: NalFormat>(writer: &mut PayloadWriter, nal: &[u8], max_payload: usize) {
    let parts = fragments(&nal[F::HEADER_LEN..], max_payload - F::HEADER_LEN - 1);
    let last = parts.len() - 1;
    for (i, part) in parts.enumerate() {
        let start = if i == 0 { FU_START } else { 0 };
        let end = if i == last { FU_END } else { 0 };
        writer.payload(&[F::fragment(nal, start | end).as_ref(), part]);
    }
}
