//! What a page's offer says of formats, where the library that negotiates it does not tell.

use nearframe_encode::h264::ProfileLevelId;
use nearframe_protocol::VideoCodec;
use nearframe_stream::{OtherCodecs, PayloadTypes};

/// Payload types of RTP that are not taken for RTCP (RFC 5761 §4), where both share a port.
const MAX_TYPE: u8 = 127;

/// `a=rtpmap:63 red/48000/2`: the payload type of RED for stereo audio.
pub(super) fn red(offer: &str) -> Option<u8> {
    formats(offer).find(|format| format.name == "red/48000/2").map(|format| format.payload_type)
}

/// The codecs of video beside H.264 that the page receives. Answers take the offer's payload types over.
pub(super) fn other_codecs(offer: &str) -> OtherCodecs {
    let find = |codec| {
        let format = formats(offer).find(|format| is(offer, format, codec))?;
        Some(PayloadTypes { media: format.payload_type, rtx: rtx_of(offer, format.payload_type) })
    };
    OtherCodecs { hevc: find(VideoCodec::Hevc), hevc10: find(VideoCodec::Hevc10), av1: find(VideoCodec::Av1) }
}

/// The answer with the level that is sent, where the library repeats the page's: of what is only sent, a description says
/// what it is (RFC 6184 §8.2.2). Browsers stop at no level; what the device decodes in time, the page says by itself.
pub(super) fn with_level(answer: &str) -> String {
    const KEY: &str = "profile-level-id=";
    let mut said = String::with_capacity(answer.len());
    let mut rest = answer;
    while let Some(at) = rest.find(KEY) {
        let (before, value) = rest.split_at(at + KEY.len());
        said.push_str(before);
        let old = value.get(..6).and_then(|text| text.parse::<ProfileLevelId>().ok());
        let agreed = ProfileLevelId::AGREED;
        rest = match old.filter(|old| agreed.allows(&ProfileLevelId { level_idc: 0, ..*old })) {
            Some(_) => {
                said.push_str(&agreed.to_string());
                &value[6..]
            }
            None => value,
        };
    }
    said.push_str(rest);
    said
}

struct Format<'a> {
    payload_type: u8,
    /// Such as `AV1/90000`.
    name: &'a str,
}

fn formats(offer: &str) -> impl Iterator<Item = Format<'_>> {
    let maps = offer.lines().filter_map(|line| line.trim().strip_prefix("a=rtpmap:"));
    maps.filter_map(|map| map.split_once(' ')).filter_map(|(payload_type, name)| {
        let payload_type = payload_type.parse().ok().filter(|&number: &u8| number <= MAX_TYPE)?;
        Some(Format { payload_type, name })
    })
}

/// A parameter of a format (`a=fmtp:`).
fn parameter<'a>(offer: &'a str, payload_type: u8, key: &str) -> Option<&'a str> {
    let start = format!("a=fmtp:{payload_type} ");
    let line = offer.lines().find_map(|line| line.trim().strip_prefix(start.as_str()))?;
    let mut pairs = line.split(';').filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value)
}

/// Whether a format is this codec in the profile that is used of it: RFC 7798 §7.1, and section 7.2 of AV1's.
fn is(offer: &str, format: &Format<'_>, codec: VideoCodec) -> bool {
    let profile = |key, default| parameter(offer, format.payload_type, key).unwrap_or(default);
    let named = |name: &str| format.name.eq_ignore_ascii_case(name);
    match codec {
        VideoCodec::H264 => named("H264/90000"),
        VideoCodec::Hevc => named("H265/90000") && profile("profile-id", "1") == "1",
        VideoCodec::Hevc10 => named("H265/90000") && profile("profile-id", "1") == "2",
        VideoCodec::Av1 => named("AV1/90000") && profile("profile", "0") == "0",
    }
}

/// `a=fmtp:… apt=`: who carries retransmissions of a format (RFC 4588 §8.1).
fn rtx_of(offer: &str, payload_type: u8) -> Option<u8> {
    let wanted = payload_type.to_string();
    let mut repeats = formats(offer).filter(|format| format.name.eq_ignore_ascii_case("rtx/90000"));
    repeats
        .find(|format| parameter(offer, format.payload_type, "apt") == Some(wanted.as_str()))
        .map(|format| format.payload_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 103 45 46 49 50 51\r\n\
        a=rtpmap:103 H264/90000\r\na=fmtp:103 packetization-mode=1;profile-level-id=42e01f\r\n\
        a=rtpmap:104 rtx/90000\r\na=fmtp:104 apt=103\r\n\
        a=rtpmap:45 AV1/90000\r\na=fmtp:45 level-idx=5;profile=1;tier=0\r\n\
        a=rtpmap:47 AV1/90000\r\na=fmtp:47 level-idx=5;profile=0;tier=0\r\n\
        a=rtpmap:48 rtx/90000\r\na=fmtp:48 apt=47\r\n\
        a=rtpmap:49 H265/90000\r\na=fmtp:49 level-id=180;profile-id=1;tier-flag=0;tx-mode=SRST\r\n\
        a=rtpmap:50 rtx/90000\r\na=fmtp:50 apt=49\r\n\
        a=rtpmap:51 H265/90000\r\na=fmtp:51 level-id=180;profile-id=2;tier-flag=0\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111 63\r\na=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\n";

    #[test]
    fn codecs_are_found_by_their_profile_with_who_repeats_them() {
        let types = |media, rtx| Some(PayloadTypes { media, rtx });
        let found = other_codecs(OFFER);
        assert_eq!(
            found,
            OtherCodecs { hevc: types(49, Some(50)), hevc10: types(51, None), av1: types(47, Some(48)) }
        );
        assert_eq!(red(OFFER), Some(63));
    }

    #[test]
    fn the_level_that_is_sent_takes_the_place_of_the_pages_own_in_the_agreed_profile_alone() {
        let told =
            with_level("a=fmtp:109 profile-level-id=42e01f;x=1\r\na=fmtp:39 profile-level-id=64001f\r\n");
        assert_eq!(told, "a=fmtp:109 profile-level-id=42e034;x=1\r\na=fmtp:39 profile-level-id=64001f\r\n");
        for odd in ["", "profile-level-id=", "profile-level-id=42e", "profile-level-id=42eü1f", "a=ice-lite"]
        {
            assert_eq!(with_level(odd), odd);
        }
    }

    #[test]
    fn what_is_not_offered_or_is_no_offer_is_nothing() {
        assert_eq!(other_codecs("a=rtpmap:300 AV1/90000\na=rtpmap:x AV1/90000"), OtherCodecs::default());
        assert_eq!((other_codecs(""), red("a=rtpmap: red/48000/2")), (OtherCodecs::default(), None));
        let plain = other_codecs("a=rtpmap:98 h265/90000");
        assert_eq!(
            plain.hevc,
            Some(PayloadTypes { media: 98, rtx: None }),
            "main is what is meant without a word"
        );
    }
}
