//! One encoder gives way to the next within the same stream.

mod common;

use common::exported::Exported;
use common::stand_in::StandIn;
use common::{Clip, request};
use nearframe_encode::{
    Codec, EncodeError, EncoderChain, FrameRequest, VideoBackend, VideoEncoder, VideoOptions,
    VideoPreference, VideoSettings, nvenc_devices, video_backends,
};
use nearframe_gpu::{DeviceUuid, Layout};
use std::time::Duration;

const SETTINGS: VideoSettings =
    VideoSettings { codec: Codec::H264, width: 320, height: 192, fps: 60, bitrate_bps: 2_000_000 };

fn options(stand_in: &StandIn, preference: VideoPreference) -> VideoOptions {
    VideoOptions { preference, nvenc: stand_in.options(), near: None, hdr: None }
}

/// The encoder that takes over from NVENC on this machine, and how many were passed over for it.
fn after_nvenc() -> (VideoBackend, usize) {
    let facts = video_backends();
    let next = facts.iter().skip(1).position(|facts| facts.state.is_ok());
    let next = next.expect("OpenH264 is built in");
    (facts[next + 1].backend, next + 1)
}

#[test]
fn the_picture_that_failed_is_the_next_encoders_keyframe_whatever_its_layout() {
    for (fault, limit) in [("fail-at=3", 200), ("lost-at=3", 200), ("hang-at=3", 1_000)] {
        let stand_in = StandIn::with_faults(fault);
        let mut chain = EncoderChain::open(SETTINGS, options(&stand_in, VideoPreference::Best)).unwrap();
        assert_eq!((chain.backend(), chain.capabilities().layout), (VideoBackend::Nvenc, Layout::Nv12));
        assert!(chain.take_changes().is_empty());
        let mut decoder = openh264::decoder::Decoder::new().unwrap();
        let clips =
            [Layout::Nv12, Layout::I420].map(|layout| Clip::of(layout, SETTINGS.width, SETTINGS.height));
        for frame in 0..10 {
            // The converter follows two frames after the change.
            let clip = &clips[usize::from(frame > 5)];
            let request = FrameRequest { budget_bytes: Some(8_000), ..request(frame, 60, false) };
            let unit = chain.encode(&clip.draw(frame), request).unwrap().expect("no picture is lost");
            assert_eq!((unit.frame, unit.keyframe), (frame, frame == 0 || frame == 3), "{fault}");
            decoder.decode(&unit.data).unwrap().expect("the stream goes on");
        }
        let changes = chain.take_changes();
        assert!(changes[0].from == VideoBackend::Nvenc && changes[0].took < Duration::from_millis(limit));
        assert_eq!((chain.backend(), changes.len()), after_nvenc(), "{fault}: {changes:?}");
    }
}

#[test]
fn what_lies_in_the_lost_gpu_is_left_out_and_the_next_picture_begins() {
    let stand_in = StandIn::with_faults("lost-at=2");
    let mut chain = EncoderChain::open(SETTINGS, options(&stand_in, VideoPreference::Best)).unwrap();
    let clip = Clip::of(Layout::Nv12, SETTINGS.width, SETTINGS.height);
    let size = (SETTINGS.width, SETTINGS.height);
    let lost = chain.capabilities().device.unwrap();
    let mut ring = Exported::new(lost, size, true);
    for frame in 0..4 {
        let surface = ring.take();
        ring.draw(&clip.draw(frame));
        let unit = chain.encode(&surface, request(frame, 60, false)).unwrap();
        assert_eq!(unit.is_some(), frame < 2, "frame {frame}");
    }
    assert_ne!(chain.capabilities().device, Some(lost), "whoever converts has to follow");
    let unit = chain.encode(&clip.draw(4), request(4, 60, false)).unwrap().unwrap();
    assert!(unit.keyframe);
}

#[test]
fn settings_of_the_moment_go_over_to_the_next_encoder() {
    let stand_in = StandIn::with_faults("fail-at=1");
    let mut chain = EncoderChain::open(SETTINGS, options(&stand_in, VideoPreference::Best)).unwrap();
    chain.encode(&Clip::of(Layout::Nv12, 320, 192).draw(0), request(0, 60, false)).unwrap();
    chain.set_size(256, 144).unwrap();
    chain.set_frame_rate(30).unwrap();
    chain.set_bitrate(1_000_000).unwrap();
    let unit = chain.encode(&Clip::of(Layout::Nv12, 256, 144).draw(1), request(1, 60, false)).unwrap();
    assert!(unit.unwrap().keyframe && chain.backend() == after_nvenc().0);
    let wrong = chain.encode(&Clip::of(Layout::Nv12, 320, 192).draw(2), request(2, 60, false));
    assert!(matches!(wrong, Err(EncodeError::WrongSurface { .. })), "no failure of an encoder");
}

#[test]
fn a_failure_can_be_ordered_to_see_what_it_costs() {
    let stand_in = StandIn::new();
    let mut chain = EncoderChain::open(SETTINGS, options(&stand_in, VideoPreference::Best)).unwrap();
    let clip = Clip::of(Layout::Nv12, 320, 192);
    chain.encode(&clip.draw(0), request(0, 60, false)).unwrap();
    chain.fail("ordered by the test");
    let unit = chain.encode(&clip.draw(1), request(1, 60, false)).unwrap().unwrap();
    assert!(unit.keyframe && chain.backend() == after_nvenc().0);
    let changes = chain.take_changes();
    assert!(
        changes[0].why.contains("ordered by the test") && changes[0].took > Duration::ZERO,
        "{changes:?}"
    );
}

#[test]
fn another_codec_begins_with_a_keyframe_and_falls_back_to_h264_with_its_encoder() {
    let stand_in = StandIn::with_faults("fail-at=4 codecs=3");
    let mut chain = EncoderChain::open(SETTINGS, options(&stand_in, VideoPreference::Best)).unwrap();
    let clip = Clip::of(Layout::Nv12, 320, 192);
    let next = |chain: &mut EncoderChain, frame| {
        chain.encode(&clip.draw(frame), request(frame, 60, false)).unwrap().unwrap().keyframe
    };
    assert!(next(&mut chain, 0) && !next(&mut chain, 1));
    chain.set_codec(Codec::Av1).unwrap();
    assert_eq!((chain.backend(), chain.capabilities().codec), (VideoBackend::Nvenc, Codec::Av1));
    assert!(next(&mut chain, 2) && !next(&mut chain, 3));
    assert!(next(&mut chain, 4), "it was to fail");
    assert_eq!((chain.backend(), chain.capabilities().codec), (after_nvenc().0, Codec::H264));
    assert!(matches!(chain.set_codec(Codec::Av1), Err(EncodeError::Unsupported { .. })));
    assert!(!next(&mut chain, 5), "after a refusal all is as before");
}

#[test]
fn another_codec_is_had_where_one_session_is_all_that_is_allowed() {
    let stand_in = StandIn::with_faults("sessions=1");
    let mut chain = EncoderChain::open(SETTINGS, options(&stand_in, VideoPreference::Best)).unwrap();
    let clip = Clip::of(Layout::Nv12, 320, 192);
    let next = |chain: &mut EncoderChain, frame| {
        chain.encode(&clip.draw(frame), request(frame, 60, false)).unwrap().unwrap().keyframe
    };
    assert!(next(&mut chain, 0));
    chain.set_codec(Codec::Av1).unwrap();
    assert!(next(&mut chain, 1) && chain.capabilities().codec == Codec::Av1);
    // Nothing opens any more: the stream goes on with the next encoder, in what every receiver takes.
    stand_in.order("sessions=0");
    assert!(matches!(chain.set_codec(Codec::H264), Err(EncodeError::Unavailable { .. })));
    assert!(next(&mut chain, 2));
    assert_eq!((chain.backend(), chain.capabilities().codec), (after_nvenc().0, Codec::H264));
}

#[test]
fn an_encoder_that_cannot_be_opened_is_passed_over_with_its_reason() {
    let stand_in = StandIn::with_faults("sessions=0");
    let mut chain = EncoderChain::open(SETTINGS, options(&stand_in, VideoPreference::Best)).unwrap();
    let changes = chain.take_changes();
    assert_eq!((chain.backend(), changes.len()), after_nvenc());
    assert!(changes[0].why.contains("no free encoder session"), "{}", changes[0].why);
    let only = options(&stand_in, VideoPreference::Only(VideoBackend::Nvenc));
    assert!(matches!(EncoderChain::open(SETTINGS, only), Err(EncodeError::Unavailable { .. })));
}

#[test]
fn the_encoder_beside_the_pictures_is_used_before_a_less_busy_one() {
    let stand_in = StandIn::with_faults("devices=2 load=70:4,0:0");
    let devices = nvenc_devices(&stand_in.options().libraries).unwrap();
    let [busy, idle] = [0, 1].map(|at| devices[at].uuid);
    let used = |near| {
        let options = VideoOptions { near, ..options(&stand_in, VideoPreference::Best) };
        EncoderChain::open(SETTINGS, options).unwrap().capabilities().device
    };
    assert_eq!((used(None), used(busy)), (idle, busy));
    assert_eq!(used(Some(DeviceUuid([7; 16]))), idle, "pictures of a GPU without an encoder go to any");
}
