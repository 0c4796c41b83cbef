//! What packets say of the colours of their pictures.

use crate::world::{DESCRIPTOR_ID, VIDEO_SSRC, config};
use nearframe_protocol::VideoCodec;
use nearframe_stream::{ExtensionIds, MediaSender, OtherCodecs, PayloadTypes, RtpPacket, VideoFrame};
use std::time::{Duration, Instant};

const COLOUR_ID: u8 = 9;

/// Each packet of each picture with what it says of colours.
fn told(extensions: ExtensionIds, codec: VideoCodec) -> Vec<(u32, bool, Option<Vec<u8>>)> {
    let types = |media| Some(PayloadTypes { media, rtx: None });
    let other_codecs = OtherCodecs { hevc: types(50), hevc10: types(51), av1: types(52) };
    let mut sender = MediaSender::new(
        nearframe_stream::SenderConfig { other_codecs, extensions, ..config() },
        Instant::now(),
        5,
    );
    let mut now = Instant::now();
    let mut packets: Vec<RtpPacket> = Vec::new();
    for frame in 0..3 {
        let keyframe = frame != 1;
        // One slice of either kind, too long for a packet.
        let mut data = vec![0, 0, 0, 1, if keyframe { 19 << 1 } else { 1 << 1 }, 1];
        data.resize(3000, 7);
        let rtp_timestamp = frame;
        sender.push_video(
            now,
            VideoFrame { frame, rtp_timestamp, keyframe, refers_to: None, codec, data: &data },
        );
        for _ in 0..40 {
            packets.extend(std::iter::from_fn(|| sender.poll_packet(now)));
            now += Duration::from_millis(1);
        }
    }
    packets.retain(|packet| packet.ssrc == VIDEO_SSRC);
    let colours = |packet: &RtpPacket| {
        packet.extensions.iter().find(|(id, _)| *id == COLOUR_ID).map(|(_, content)| content.to_vec())
    };
    packets.iter().map(|packet| (packet.timestamp, packet.marker, colours(packet))).collect()
}

#[test]
fn the_last_packet_of_a_keyframe_in_hdr10_says_its_colours_and_no_other_does() {
    let with = ExtensionIds {
        dependency_descriptor: Some(DESCRIPTOR_ID),
        colour_space: Some(COLOUR_ID),
        ..config().extensions
    };
    let all = told(with, VideoCodec::Hevc10);
    assert!(all.len() >= 9 && all.iter().filter(|(_, last, _)| *last).count() == 3);
    for (frame, last, colours) in all {
        // BT.2020, ST 2084, BT.2020; limited range, chroma halfway in both directions.
        let wanted = (last && frame != 1).then(|| vec![9, 16, 9, 0x1a]);
        assert_eq!(colours, wanted, "picture {frame}");
    }
    for (extensions, codec) in
        [(with, VideoCodec::Hevc), (with, VideoCodec::H264), (config().extensions, VideoCodec::Hevc10)]
    {
        let all = told(extensions, codec);
        assert!(!all.is_empty() && all.iter().all(|(_, _, colours)| colours.is_none()), "{codec}");
    }
}
