//! NAL units in a byte stream (Annex B, 7.3.1, 7.4.1).

/// The kinds a sender meets in its own stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NalKind {
    /// A slice of a picture that refers to others (type 1).
    Slice,
    /// A slice of an instantaneous decoding refresh picture (type 5).
    IdrSlice,
    /// Sequence parameter set (type 7).
    Sps,
    /// Picture parameter set (type 8).
    Pps,
    /// Any other type.
    Other(u8),
}

/// One NAL unit, without its start code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nal<'a> {
    /// Header byte and payload with emulation prevention bytes; never empty.
    pub bytes: &'a [u8],
}

impl Nal<'_> {
    /// What it is.
    pub fn kind(&self) -> NalKind {
        match self.bytes.first().map_or(0, |header| header & 31) {
            1 => NalKind::Slice,
            5 => NalKind::IdrSlice,
            7 => NalKind::Sps,
            8 => NalKind::Pps,
            other => NalKind::Other(other),
        }
    }

    /// `nal_ref_idc`: 0 says that nothing refers to it.
    pub fn ref_idc(&self) -> u8 {
        self.bytes.first().map_or(0, |header| header >> 5 & 3)
    }

    /// Up to `limit` payload bytes without header and emulation prevention bytes.
    pub fn payload(&self, limit: usize) -> Vec<u8> {
        let mut payload = Vec::with_capacity(limit.min(self.bytes.len()));
        let mut zeros = 0;
        for &byte in self.bytes.iter().skip(1) {
            if payload.len() == limit {
                break;
            }
            if zeros >= 2 && byte == 3 {
                zeros = 0;
                continue;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            payload.push(byte);
        }
        payload
    }
}

/// The NAL units of a byte stream, in order. Bytes before the first start code are passed over.
pub fn nals(stream: &[u8]) -> impl Iterator<Item = Nal<'_>> {
    let mut rest = after_start_code(stream);
    std::iter::from_fn(move || {
        loop {
            let bytes = rest?;
            let next = start_code(bytes);
            let end = next.unwrap_or(bytes.len());
            rest = next.map(|at| &bytes[at + 3..]);
            // Zeros before a start code belong to it (B.1.1), not to the NAL unit.
            let length = bytes[..end].iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
            if length > 0 {
                return Some(Nal { bytes: &bytes[..length] });
            }
        }
    })
}

/// Appends a start code, a header and the payload with emulation prevention bytes.
pub fn push_nal(stream: &mut Vec<u8>, header: u8, payload: &[u8]) {
    stream.extend_from_slice(&[0, 0, 0, 1, header]);
    let mut zeros = 0;
    for &byte in payload {
        if zeros >= 2 && byte <= 3 {
            stream.push(3);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        stream.push(byte);
    }
}

fn after_start_code(stream: &[u8]) -> Option<&[u8]> {
    start_code(stream).map(|at| &stream[at + 3..])
}

fn start_code(bytes: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, &[0, 0, 1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_stream_is_split_at_long_and_short_start_codes() {
        let stream = [9, 0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 2, 0, 0, 0, 1, 0x65, 3, 4];
        let kinds: Vec<_> = nals(&stream).map(|nal| (nal.kind(), nal.bytes.len(), nal.ref_idc())).collect();
        assert_eq!(kinds, [(NalKind::Sps, 2, 3), (NalKind::Pps, 2, 3), (NalKind::IdrSlice, 3, 3)]);
    }

    proptest! {
        #[test]
        fn a_payload_survives_the_byte_stream(
            payload in proptest::collection::vec(prop_oneof![Just(0u8), Just(1), Just(3), any::<u8>()], 0..200)
        ) {
            let mut payload = payload;
            payload.push(0x80);
            let mut stream = Vec::new();
            push_nal(&mut stream, 0x65, &payload);
            push_nal(&mut stream, 0x41, &[7]);
            let found: Vec<_> = nals(&stream).collect();
            prop_assert_eq!(found.len(), 2);
            prop_assert_eq!(found[0].payload(usize::MAX), payload);
            prop_assert_eq!(found[1].kind(), NalKind::Slice);
        }

        #[test]
        fn any_bytes_are_split_without_panic(bytes in proptest::collection::vec(0u8..4, 0..300)) {
            for nal in nals(&bytes) {
                prop_assert!(!nal.bytes.is_empty());
                nal.payload(50);
            }
        }
    }
}
