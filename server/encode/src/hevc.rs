//! What HEVC's byte stream says of HDR10 beside the colours that its sequence parameter set declares.
//!
//! SMPTE ST 2086's mastering display and CTA-861.3's light levels, as supplemental enhancement information (H.265, D.2.28
//! and D.2.35) before the picture of every keyframe. It is written here, whatever encodes: drivers differ in whether
//! and how they take it.

use crate::h264::push_nal;

/// How bright the pictures of a title are, as displays are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HdrMetadata {
    /// The brightest pixel, cd/m².
    pub peak_nits: u16,
    /// The highest mean of a picture, cd/m².
    pub average_nits: u16,
}

/// First byte of the header of `PREFIX_SEI_NUT`; the second says the lowest layer.
const PREFIX_SEI: u8 = 39 << 1;
const LOWEST_LAYER: u8 = 1;
/// `mastering_display_colour_volume` and `content_light_level_info`, with their lengths.
const MASTERING_DISPLAY: [u8; 2] = [137, 24];
const LIGHT_LEVELS: [u8; 2] = [144, 4];
/// x and y of G, B and R of BT.2020 and of its white, in units of 0.00002.
const BT2020: [u16; 8] = [8_500, 39_850, 6_550, 2_300, 35_400, 14_600, 15_635, 16_450];
/// Units of luminance in a cd/m².
const PER_NIT: u32 = 10_000;
/// The darkest that a display can mean to show.
const DARKEST: u32 = 1;
const STOP_BIT: u8 = 0x80;
/// Types of NAL units below this hold parts of pictures.
const FIRST_NON_VCL: u8 = 32;

/// The access unit with its metadata before the first part of its picture.
pub(crate) fn with_hdr(unit: &[u8], metadata: HdrMetadata) -> Vec<u8> {
    let at = picture_start(unit).unwrap_or(unit.len());
    let mut whole = Vec::with_capacity(unit.len() + 48);
    whole.extend_from_slice(&unit[..at]);
    push_nal(&mut whole, PREFIX_SEI, &messages(metadata));
    whole.extend_from_slice(&unit[at..]);
    whole
}

/// Where the start code of the first part of a picture begins.
fn picture_start(unit: &[u8]) -> Option<usize> {
    let is_part = |window: &[u8]| window.starts_with(&[0, 0, 1]) && window[3] >> 1 & 0x3f < FIRST_NON_VCL;
    let at = unit.windows(4).position(is_part)?;
    // A byte of zero before it belongs to the start code (B.2.1).
    Some(if at > 0 && unit[at - 1] == 0 { at - 1 } else { at })
}

fn messages(metadata: HdrMetadata) -> Vec<u8> {
    let mut payload = vec![LOWEST_LAYER];
    payload.extend(MASTERING_DISPLAY);
    payload.extend(BT2020.iter().flat_map(|place| place.to_be_bytes()));
    payload.extend((u32::from(metadata.peak_nits) * PER_NIT).to_be_bytes());
    payload.extend(DARKEST.to_be_bytes());
    payload.extend(LIGHT_LEVELS);
    payload.extend(metadata.peak_nits.to_be_bytes());
    payload.extend(metadata.average_nits.to_be_bytes());
    payload.push(STOP_BIT);
    payload
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::h264::nals;

    const METADATA: HdrMetadata = HdrMetadata { peak_nits: 1000, average_nits: 400 };

    fn kinds(stream: &[u8]) -> Vec<u8> {
        nals(stream).map(|nal| nal.bytes[0] >> 1 & 0x3f).collect()
    }

    #[test]
    fn metadata_stands_between_parameter_sets_and_picture() {
        let unit =
            [0, 0, 0, 1, 0x40, 1, 5, 0, 0, 0, 1, 0x42, 1, 6, 0, 0, 1, 0x44, 1, 7, 0, 0, 0, 1, 0x26, 1, 8];
        let whole = with_hdr(&unit, METADATA);
        assert_eq!(kinds(&whole), [32, 33, 34, 39, 19]);
        let sei = nals(&whole).nth(3).unwrap().payload(usize::MAX);
        assert_eq!(sei[..3], [1, 137, 24]);
        // 1000 cd/m² in units of 0.0001.
        assert_eq!(sei[19..27], [0, 0x98, 0x96, 0x80, 0, 0, 0, 1]);
        assert_eq!(sei[27..], [144, 4, 0x03, 0xe8, 0x01, 0x90, 0x80]);
        let rest: Vec<u8> = [&whole[..20], &whole[whole.len() - 7..]].concat();
        assert_eq!(rest, unit, "nothing else is touched");
    }

    #[test]
    fn a_unit_without_a_picture_is_no_reason_to_panic() {
        for odd in [&[][..], &[0, 0, 1], &[0, 0, 1, 0x26], &[1, 2, 3, 4, 5]] {
            assert!(with_hdr(odd, METADATA).len() > odd.len());
        }
    }
}
