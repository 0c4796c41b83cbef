//! Challenge frames: a few frames at the start of a session that only a worker which lives and hears the player can
//! draw. The page keeps its loading screen before them.
//!
//! 16 bytes, shown as blocks in the place of the testcard's stamp: serial of the newest input event that the frame
//! knows u32 · frame u32 · first 8 bytes of SHA-256 over `"nearframe/challenge/v1\0"` · the session's nonce (32) · serial
//! u32 · frame u32 · x u16 · y u16, where (x, y) is the last position that the first player pointed at, 0..=65535 over
//! the picture (0, 0 before the first); all little-endian.
//!
//! It tells a picture that was recorded, or is made where the input arrives late. It does not tell who drew the frames
//! after it: a host that changes its worker can answer the challenge and then show what it likes.

use crate::key::Nonce;
use sha2::{Digest, Sha256};

const DOMAIN: &[u8] = b"nearframe/challenge/v1\0";
/// Feature of the control channel: this side knows challenge frames.
pub const FEATURE: &str = "challenge";
/// Frames of the challenge after the first player's page has greeted.
pub const FRAMES: u32 = 5;
/// Frames that wait for that greeting at most: 400 ms at 60 Hz.
pub const MOST_FRAMES: u32 = 24;

/// What a frame of the challenge answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Serial of the newest input event of the first player.
    pub input_serial: u32,
    /// Which frame it is; grows by one or more.
    pub frame: u32,
    /// Where the first player pointed last.
    pub pointer: (u16, u16),
}

/// What such a frame shows.
pub fn answer(nonce: &Nonce, heard: Heard) -> [u8; 16] {
    let mut hasher = Sha256::new();
    hasher.update(DOMAIN);
    hasher.update(nonce.as_bytes());
    hasher.update(heard.input_serial.to_le_bytes());
    hasher.update(heard.frame.to_le_bytes());
    hasher.update(heard.pointer.0.to_le_bytes());
    hasher.update(heard.pointer.1.to_le_bytes());
    let proof = hasher.finalize();
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&heard.input_serial.to_le_bytes());
    bytes[4..8].copy_from_slice(&heard.frame.to_le_bytes());
    bytes[8..].copy_from_slice(&proof[..8]);
    bytes
}

/// The input serial that shown bytes answer, if they do: `pointer` tells where the player pointed as of a serial.
pub fn serial_of(
    shown: &[u8; 16],
    nonce: &Nonce,
    pointer: impl Fn(u32) -> Option<(u16, u16)>,
) -> Option<u32> {
    let [s0, s1, s2, s3, f0, f1, f2, f3, ..] = *shown;
    let (input_serial, frame) = (u32::from_le_bytes([s0, s1, s2, s3]), u32::from_le_bytes([f0, f1, f2, f3]));
    let heard = Heard { input_serial, frame, pointer: pointer(input_serial)? };
    (answer(nonce, heard) == *shown).then_some(input_serial)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_nonce_the_input_and_the_frame_give_the_answer() {
        let nonce = Nonce::from_bytes([7; 32]);
        let heard = Heard { input_serial: 3, frame: 9, pointer: (100, 65_000) };
        let shown = answer(&nonce, heard);
        let at = |serial| (serial == 3).then_some((100, 65_000));
        assert_eq!(serial_of(&shown, &nonce, at), Some(3));
        assert_eq!(serial_of(&shown, &Nonce::from_bytes([8; 32]), at), None, "another session's");
        assert_eq!(serial_of(&shown, &nonce, |_| Some((100, 65_001))), None, "another input");
        assert_eq!(serial_of(&shown, &nonce, |_| None), None, "an input that was never sent");
        for bit in 0..128 {
            let mut damaged = shown;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(serial_of(&damaged, &nonce, |_| Some((100, 65_000))), None, "bit {bit}");
        }
        let next = answer(&nonce, Heard { frame: 10, ..heard });
        assert_ne!(next[8..], shown[8..], "a frame that is shown again answers nothing");
    }
}
