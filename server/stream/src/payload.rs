//! The payloads of one frame: slices of one buffer.
//!
//! In front of each lies its sequence number, so that the RTX payload (RFC 4588 §4: original number, then the
//! payload) is a slice as well: the encoder's bytes are copied once, however often they are sent.

use bytes::{BufMut, Bytes, BytesMut};

/// Length of the original sequence number in front of a payload.
pub(crate) const OSN_LEN: usize = 2;

/// Writes payloads one after the other.
pub(crate) struct PayloadWriter {
    buffer: BytesMut,
    ends: Vec<usize>,
    sequence: u64,
}

impl PayloadWriter {
    /// For a frame of about `len` bytes, whose first packet has this number.
    pub(crate) fn new(len: usize, max_payload: usize, first_sequence: u64) -> Self {
        let packets = len / max_payload + 8;
        Self {
            buffer: BytesMut::with_capacity(len + packets * (OSN_LEN + 3)),
            ends: Vec::with_capacity(packets),
            sequence: first_sequence,
        }
    }

    /// One payload, of these parts.
    pub(crate) fn payload(&mut self, parts: &[&[u8]]) {
        self.begin();
        parts.iter().for_each(|part| self.put(part));
        self.end();
    }

    /// A payload begins.
    pub(crate) fn begin(&mut self) {
        self.buffer.put_u16(self.sequence as u16);
        self.sequence += 1;
    }

    /// More of it.
    pub(crate) fn put(&mut self, part: &[u8]) {
        self.buffer.put_slice(part);
    }

    /// It is whole.
    pub(crate) fn end(&mut self) {
        self.ends.push(self.buffer.len());
    }

    /// The payloads, each behind its sequence number.
    pub(crate) fn finish(self) -> Vec<Bytes> {
        let whole = self.buffer.freeze();
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| whole.slice(start..end)).collect()
    }
}

/// Fragments of nearly equal length, so that the last one is not a few bytes alone.
pub(crate) fn fragments(body: &[u8], room: usize) -> impl ExactSizeIterator<Item = &[u8]> {
    let count = body.len().div_ceil(room).max(1);
    body.chunks(body.len().div_ceil(count).max(1))
}
