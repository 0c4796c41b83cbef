//! Profile and level as SDP names them (`profile-level-id`, RFC 6184 §8.1), and as a stream's own sets say them.

use super::bits::BitReader;
use super::nal::{Nal, NalKind, nals};
use std::fmt;
use std::str::FromStr;

/// Payload bytes of a picture parameter set that are looked at.
const SET_BYTES: usize = 32;
const BASELINE: u8 = 66;
const MAIN: u8 = 77;
const EXTENDED: u8 = 88;
const HIGH: u8 = 100;
/// `constraint_set1_flag`, which makes baseline constrained baseline.
const CONSTRAINED: u8 = 0x40;

/// The first three bytes of a sequence parameter set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProfileLevelId {
    /// 66 is baseline.
    pub profile_idc: u8,
    /// `constraint_set0_flag` in the highest bit.
    pub constraints: u8,
    /// Ten times the level.
    pub level_idc: u8,
}

/// Profiles that are told apart (RFC 6184, table 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Profile {
    ConstrainedBaseline,
    Baseline,
    Main,
    High,
    ConstrainedHigh,
}

impl ProfileLevelId {
    /// What players are promised, whichever backend encodes: constrained baseline, which every receiver decodes, up to
    /// level 5.2, the highest that an encoder declares.
    pub const AGREED: Self = Self { profile_idc: BASELINE, constraints: 0xe0, level_idc: 52 };

    /// What a sequence parameter set says; `None` for other NAL units and sets that end before.
    pub fn of(set: &Nal<'_>) -> Option<Self> {
        let payload = set.payload(3);
        match payload[..] {
            [profile_idc, constraints, level_idc] if set.kind() == NalKind::Sps => {
                Some(Self { profile_idc, constraints, level_idc })
            }
            _ => None,
        }
    }

    /// Whether a stream of `other` may be sent where this was agreed on: the same profile, no higher level.
    pub fn allows(&self, other: &Self) -> bool {
        let profile = self.profile();
        profile.is_some() && profile == other.profile() && other.level_idc <= self.level_idc
    }

    fn profile(&self) -> Option<Profile> {
        let flags = self.constraints;
        match self.profile_idc {
            BASELINE if flags & 0x4f == CONSTRAINED => Some(Profile::ConstrainedBaseline),
            MAIN if flags & 0x8f == 0x80 => Some(Profile::ConstrainedBaseline),
            EXTENDED if flags & 0xcf == 0xc0 => Some(Profile::ConstrainedBaseline),
            BASELINE if flags & 0x4f == 0 => Some(Profile::Baseline),
            EXTENDED if flags & 0xcf == 0x80 => Some(Profile::Baseline),
            MAIN if flags & 0xaf == 0 => Some(Profile::Main),
            HIGH if flags == 0 => Some(Profile::High),
            HIGH if flags == 0x0c => Some(Profile::ConstrainedHigh),
            _ => None,
        }
    }
}

impl fmt::Display for ProfileLevelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}{:02x}{:02x}", self.profile_idc, self.constraints, self.level_idc)
    }
}

impl FromStr for ProfileLevelId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is no profile-level-id: it has six hexadecimal digits, such as 42e01f");
        let digits = text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = digits.then(|| u32::from_str_radix(text, 16).ok()).flatten().ok_or_else(wrong)?;
        let [_, profile_idc, constraints, level_idc] = number.to_be_bytes();
        Ok(Self { profile_idc, constraints, level_idc })
    }
}

/// A keyframe, or parameter sets alone, in a byte stream; refused where they are not what was agreed on.
pub(crate) fn check_agreed(stream: &[u8]) -> Result<(), String> {
    let mut sets = 0;
    for nal in nals(stream) {
        match nal.kind() {
            NalKind::Sps => {
                let said = ProfileLevelId::of(&nal).ok_or("its sequence parameter set cannot be read")?;
                if !ProfileLevelId::AGREED.allows(&said) {
                    return Err(format!("it writes {said} where {} was agreed on", ProfileLevelId::AGREED));
                }
                sets += 1;
            }
            NalKind::Pps if uses_cabac(&nal) != Some(false) => {
                return Err("it writes CABAC, which constrained baseline does not have".to_owned());
            }
            _ => {}
        }
    }
    if sets > 0 { Ok(()) } else { Err("there is no sequence parameter set".to_owned()) }
}

/// `entropy_coding_mode_flag` of a picture parameter set (7.3.2.2).
fn uses_cabac(nal: &Nal<'_>) -> Option<bool> {
    let payload = nal.payload(SET_BYTES);
    let mut bits = BitReader::new(&payload);
    bits.unsigned()?;
    bits.unsigned()?;
    bits.bit()
}

/// Baseline without what constrained baseline forbids, which no hardware writes, says so (7.4.2.1.1).
pub(crate) fn say_constrained(data: &mut [u8]) {
    let start = data.as_ptr() as usize;
    let sets: Vec<_> = nals(data)
        .filter(|nal| nal.kind() == NalKind::Sps && nal.bytes.get(1) == Some(&BASELINE))
        .map(|nal| nal.bytes.as_ptr() as usize - start)
        .collect();
    for set in sets {
        if let Some(constraints) = data.get_mut(set + 2) {
            *constraints |= CONSTRAINED;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::h264::{BitWriter, Sps, push_nal};

    fn id(text: &str) -> ProfileLevelId {
        text.parse().unwrap()
    }

    /// A sequence and a picture parameter set.
    fn sets(profile_idc: u32, constraints: u32, cabac: bool) -> Vec<u8> {
        let set = Sps { profile_idc, constraints, ..Sps::constrained_baseline(1280, 720, 32) };
        let mut stream = Vec::new();
        push_nal(&mut stream, 0x67, &set.write());
        let mut picture = BitWriter::default();
        picture.unsigned(0);
        picture.unsigned(0);
        picture.bit(cabac);
        picture.bits(0, 9);
        push_nal(&mut stream, 0x68, &picture.finish());
        stream
    }

    #[test]
    fn names_are_those_of_sdp() {
        assert_eq!(ProfileLevelId::AGREED.to_string(), "42e034");
        assert_eq!(id("640c1f"), ProfileLevelId { profile_idc: 100, constraints: 12, level_idc: 31 });
        for wrong in ["", "42e0", "42e01f00", "+2e01f", "42e0ü"] {
            assert!(wrong.parse::<ProfileLevelId>().unwrap_err().contains("six hexadecimal"), "{wrong}");
        }
    }

    #[test]
    fn profiles_are_told_apart_as_receivers_do() {
        let agreed = ProfileLevelId::AGREED;
        for same in ["42e01f", "42c02a", "42401f", "4d801f", "4de034", "58f01f"] {
            assert!(agreed.allows(&id(same)), "{same}");
        }
        for other in ["42001f", "42a01f", "4d001f", "64001f", "640c1f", "58a01f", "f4001f", "42e03c"] {
            assert!(!agreed.allows(&id(other)), "{other}");
        }
        assert!(id("640c34").allows(&id("640c1f")) && !id("640c1f").allows(&id("640c34")));
        assert!(!id("ff001f").allows(&id("ff001f")), "nobody knows what that is");
    }

    #[test]
    fn a_stream_that_is_not_what_was_agreed_on_is_refused_with_the_reason() {
        assert_eq!(check_agreed(&sets(66, 0xc0, false)), Ok(()));
        let why = |stream: &[u8]| check_agreed(stream).unwrap_err();
        assert!(why(&sets(77, 0, false)).contains("4d0020 where 42e034"), "{}", why(&sets(77, 0, false)));
        assert!(why(&sets(66, 0xc0, true)).contains("CABAC"));
        assert!(why(&[0, 0, 0, 1, 0x65, 1]).contains("no sequence"));
        assert!(why(&[0, 0, 0, 1, 0x67, 66, 192]).contains("cannot be read"));
    }

    #[test]
    fn baseline_becomes_constrained_baseline_and_other_profiles_stay() {
        let mut baseline = sets(66, 0, false);
        say_constrained(&mut baseline);
        assert_eq!(check_agreed(&baseline), Ok(()));
        let (main, mut told) = (sets(77, 0, false), sets(77, 0, false));
        say_constrained(&mut told);
        assert_eq!(told, main);
    }
}
