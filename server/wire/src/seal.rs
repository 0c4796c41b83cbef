//! SRTP with AES-GCM (RFC 7714), the sender's side.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use std::fmt;

/// Length of the tag behind each packet.
pub const TAG_LEN: usize = 16;
const NONCE_LEN: usize = 12;
/// Fixed part of an RTP header (RFC 3550 §5.1).
const HEADER_LEN: usize = 12;
/// Second bytes of RTCP (RFC 5761 §4).
const RTCP_TYPES: std::ops::RangeInclusive<u8> = 192..=223;
/// Streams of one sender: video, audio, and their repairs. More are refused.
const MAX_STREAMS: usize = 16;

/// The ciphers that were agreed on for SRTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// `SRTP_AEAD_AES_128_GCM`.
    Aes128Gcm,
    /// `SRTP_AEAD_AES_256_GCM`.
    Aes256Gcm,
}

/// Why a packet or a key is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// A key of another length than the algorithm's.
    #[error("an SRTP key has the wrong length; derive it for the profile that was agreed on")]
    Key,
    /// Not an RTP packet, or one of too many streams.
    #[error("only RTP packets of at most {MAX_STREAMS} streams can be encrypted")]
    Packet,
    /// Every packet number of the stream has been used.
    #[error("a stream has used up its packet numbers; connect anew for a fresh key")]
    Exhausted,
    /// The library refused.
    #[error("the cipher refused a packet; close the connection")]
    Cipher,
}

/// Encrypts the RTP packets of one sender.
///
/// Invariant: whoever sends with this key sends through this value, because only it knows how often each
/// stream's 16-bit numbers have started over, and a number used twice gives the key away.
pub struct Sealer {
    key: LessSafeKey,
    salt: [u8; NONCE_LEN],
    /// SSRC, and the newest packet's number with its rollovers (RFC 3711 §3.3.1).
    streams: Vec<(u32, u64)>,
}

impl Sealer {
    /// From the session's key and salt (RFC 3711 §4.3), before any packet was sent.
    pub fn new(algorithm: Algorithm, key: &[u8], salt: [u8; NONCE_LEN]) -> Result<Self, SealError> {
        let algorithm = match algorithm {
            Algorithm::Aes128Gcm => &AES_128_GCM,
            Algorithm::Aes256Gcm => &AES_256_GCM,
        };
        let key = UnboundKey::new(algorithm, key).map_err(|_| SealError::Key)?;
        Ok(Self { key: LessSafeKey::new(key), salt, streams: Vec::new() })
    }

    /// The salt with which a packet's `nonce` was made, if it is the first of its stream's numbers.
    pub fn salt_of(nonce: &[u8], header: &[u8]) -> Option<[u8; NONCE_LEN]> {
        let (ssrc, sequence) = identify(header)?;
        Some(masked(nonce.try_into().ok()?, ssrc, u64::from(sequence)))
    }

    /// Whether these authenticated bytes are an RTP header: not RTCP, and not a record of DTLS.
    pub fn is_rtp(header: &[u8]) -> bool {
        identify(header).is_some()
    }

    /// Encrypts `payload` in place under its header, extensions included; returns the tag that follows it.
    pub fn seal(&mut self, header: &[u8], payload: &mut [u8]) -> Result<[u8; TAG_LEN], SealError> {
        let (ssrc, sequence) = identify(header).ok_or(SealError::Packet)?;
        let index = self.index(ssrc, sequence)?;
        let nonce = Nonce::assume_unique_for_key(masked(self.salt, ssrc, index));
        let tag = self.key.seal_in_place_separate_tag(nonce, Aad::from(header), payload);
        let tag = tag.map_err(|_| SealError::Cipher)?;
        tag.as_ref().try_into().map_err(|_| SealError::Cipher)
    }

    /// The packet's number with its rollovers: the one nearest to the newest packet's.
    fn index(&mut self, ssrc: u32, sequence: u16) -> Result<u64, SealError> {
        let Some((_, newest)) = self.streams.iter_mut().find(|(known, _)| *known == ssrc) else {
            if self.streams.len() >= MAX_STREAMS {
                return Err(SealError::Packet);
            }
            self.streams.push((ssrc, u64::from(sequence)));
            return Ok(u64::from(sequence));
        };
        let ahead = i64::from(sequence.wrapping_sub(*newest as u16) as i16);
        let index = newest.checked_add_signed(ahead).filter(|index| index >> 48 == 0);
        let index = index.ok_or(SealError::Exhausted)?;
        *newest = index.max(*newest);
        Ok(index)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("streams", &self.streams).finish_non_exhaustive()
    }
}

/// SSRC and sequence number of an RTP packet.
fn identify(header: &[u8]) -> Option<(u32, u16)> {
    let fixed: &[u8; HEADER_LEN] = header.first_chunk()?;
    let is_rtp = fixed[0] >> 6 == 2 && !RTCP_TYPES.contains(&fixed[1]);
    let ssrc = u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]);
    is_rtp.then(|| (ssrc, u16::from_be_bytes([fixed[2], fixed[3]])))
}

/// RFC 7714 §8.1: zeros, SSRC, rollovers and number, over the salt. Its own inverse.
fn masked(salt: [u8; NONCE_LEN], ssrc: u32, index: u64) -> [u8; NONCE_LEN] {
    let mut nonce = salt;
    let number = ssrc.to_be_bytes().into_iter().chain(index.to_be_bytes().into_iter().skip(2));
    nonce[2..].iter_mut().zip(number).for_each(|(byte, mask)| *byte ^= mask);
    nonce
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7714 §16.
    const SALT: [u8; NONCE_LEN] = *b"Quid pro quo";
    const HEADER: [u8; HEADER_LEN] = [0x80, 0x40, 0xf1, 0x7b, 0x80, 0x41, 0xf8, 0xd3, 0x55, 0x01, 0xa0, 0xb2];

    fn sealer() -> Sealer {
        let key: [u8; 16] = std::array::from_fn(|i| i as u8);
        Sealer::new(Algorithm::Aes128Gcm, &key, SALT).unwrap()
    }

    fn packet(ssrc: u8, sequence: u16) -> [u8; HEADER_LEN] {
        let mut header = HEADER;
        header[2..4].copy_from_slice(&sequence.to_be_bytes());
        header[11] = ssrc;
        header
    }

    #[test]
    fn the_example_of_rfc_7714_comes_out_as_printed() {
        let mut payload = *b"Gallia est omnis divisa in partes tres";
        let tag = sealer().seal(&HEADER, &mut payload).unwrap();
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let printed = "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833";
        assert_eq!(hex(&payload), printed);
        assert_eq!(hex(&tag), "899d7f27beb16a9152cf765ee4390cce");
    }

    #[test]
    fn a_number_that_starts_over_counts_on_and_older_packets_find_their_place() {
        let mut sealer = sealer();
        let mut index = |sequence| sealer.index(7, sequence).unwrap();
        assert_eq!(index(65_534), 65_534);
        assert_eq!(index(1), 65_537);
        assert_eq!(index(65_535), 65_535);
        assert_eq!(index(2), 65_538);
        assert_eq!(sealer.index(8, 2), Ok(2), "each stream counts by itself");
    }

    #[test]
    fn the_same_number_a_round_later_is_encrypted_otherwise() {
        let mut sealer = sealer();
        let mut seal = |sequence| {
            let mut payload = [0; 8];
            sealer.seal(&packet(1, sequence), &mut payload).unwrap();
            payload
        };
        let first = seal(5);
        for sequence in (0..=65_000).step_by(20_000) {
            seal(sequence + 5);
        }
        assert_ne!(seal(5), first);
    }

    #[test]
    fn the_salt_of_a_first_packet_is_found() {
        let nonce = masked(SALT, 0x5501_a0b2, 0xf17b);
        assert_eq!(Sealer::salt_of(&nonce, &HEADER), Some(SALT));
        assert_eq!(Sealer::salt_of(&nonce[1..], &HEADER), None);
    }

    #[test]
    fn what_is_no_rtp_is_refused_and_nothing_grows_without_bound() {
        let mut sealer = sealer();
        let rtcp = [0x80, 200, 0, 6, 0, 0, 0, 1, 0x80, 0, 0, 1];
        let dtls = [0, 1, 0, 0, 0, 0, 0, 5, 23, 254, 253, 0, 60];
        for header in [&rtcp[..], &dtls, &HEADER[..11], &[]] {
            assert!(!Sealer::is_rtp(header));
            assert_eq!(sealer.seal(header, &mut []), Err(SealError::Packet));
        }
        for ssrc in 0..MAX_STREAMS as u8 {
            sealer.seal(&packet(ssrc, 0), &mut []).unwrap();
        }
        assert_eq!(sealer.seal(&packet(99, 0), &mut []), Err(SealError::Packet));
        assert_eq!(Sealer::new(Algorithm::Aes256Gcm, &[0; 16], SALT).unwrap_err(), SealError::Key);
    }
}
