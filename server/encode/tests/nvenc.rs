//! NVENC against the stand-in for NVIDIA's driver: our side of the contract, not the hardware's.

mod common;

use common::exported::Exported;
use common::stand_in::StandIn;
use common::{Clip, request};
use nearframe_encode::{
    AccessUnit, Codec, EncodeError, FrameRequest, Invalidated, NvencEncoder, NvencOptions, NvencPreset,
    NvidiaLibraries, VideoEncoder, VideoSettings, nvenc_devices,
};
use nearframe_gpu::{DeviceUuid, Layout, Surface, SurfaceRing};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const SETTINGS: VideoSettings =
    VideoSettings { codec: Codec::H264, width: 320, height: 192, fps: 60, bitrate_bps: 2_000_000 };

const SIZE: (u32, u32) = (SETTINGS.width, SETTINGS.height);

fn open(options: &NvencOptions) -> NvencEncoder {
    NvencEncoder::open(SETTINGS, options).expect("the stand-in opens")
}

fn encode(encoder: &mut dyn VideoEncoder, surface: &Surface, frame: u32) -> AccessUnit {
    let unit = encoder.encode(surface, request(frame, 60, false));
    unit.expect("the encoder works").expect("NVENC leaves nothing out")
}

fn why(refused: Result<NvencEncoder, EncodeError>) -> String {
    match refused {
        Err(error) => error.to_string(),
        Ok(_) => panic!("it opened"),
    }
}

/// Bytes of a part of a picture, whether it is the last, and when it came.
type Part = (Vec<u8>, bool, Instant);

#[test]
fn a_machine_without_driver_says_so() {
    let nowhere = tempfile::tempdir().unwrap();
    let libraries = NvidiaLibraries::inside(nowhere.path());
    let options = NvencOptions { libraries, ..Default::default() };
    let text = why(NvencEncoder::open(SETTINGS, &options));
    assert!(text.contains("no NVIDIA driver") && text.contains("530.41.03"), "{text}");
    assert!(nvenc_devices(&options.libraries).is_err());
}

#[test]
fn a_driver_without_its_encoder_is_told_from_none() {
    let stand_in = StandIn::new();
    let mut options = stand_in.options();
    options.libraries.encode = "/nowhere/libnvidia-encode.so.1".into();
    let text = why(NvencEncoder::open(SETTINGS, &options));
    assert!(text.contains("NVIDIA_DRIVER_CAPABILITIES"), "{text}");
}

#[test]
fn an_old_driver_is_told_the_version_that_is_needed() {
    for (faults, says) in [("version=120", "12.0"), ("version=111", "11.1")] {
        let stand_in = StandIn::with_faults(faults);
        let text = why(NvencEncoder::open(SETTINGS, &stand_in.options()));
        assert!(text.contains("too old") && text.contains(says) && text.contains("12.1"), "{text}");
        assert!(text.contains("530.41.03"), "{text}");
        stand_in.assert_clean(faults);
    }
}

#[test]
fn every_way_in_which_opening_fails_is_said_and_leaves_nothing() {
    for (faults, says) in [
        ("devices=0", "no NVIDIA GPU is visible"),
        ("encoders=0", "this GPU has no encoder"),
        ("sessions=0", "no free encoder session"),
        ("memory=0", "no free encoder session or no GPU memory"),
        ("codecs=0", "nothing on this GPU"),
        ("size=160", "160"),
    ] {
        let stand_in = StandIn::with_faults(faults);
        let text = why(NvencEncoder::open(SETTINGS, &stand_in.options()));
        assert!(text.contains(says), "{faults}: {text}");
        stand_in.assert_clean(faults);
    }
}

#[test]
fn a_codec_that_this_gpu_lacks_is_refused_with_those_it_has() {
    let stand_in = StandIn::with_faults("codecs=1");
    let settings = VideoSettings { codec: Codec::Av1, ..SETTINGS };
    let text = why(NvencEncoder::open(settings, &stand_in.options()));
    assert!(text.contains("AV1: allowed is H.264"), "{text}");
    stand_in.assert_clean("codec");
}

#[test]
fn the_end_of_sessions_is_an_error_and_a_freed_one_can_be_had_again() {
    let stand_in = StandIn::with_faults("sessions=2");
    let options = stand_in.options();
    let (first, _second) = (open(&options), open(&options));
    assert!(why(NvencEncoder::open(SETTINGS, &options)).contains("offer fewer slots"));
    drop(first);
    open(&options);
}

#[test]
fn every_preset_and_codec_keeps_to_the_drivers_rules() {
    for codec in Codec::ALL {
        for preset in NvencPreset::ALL {
            let stand_in = StandIn::new();
            let options = NvencOptions {
                preset,
                intra_refresh_frames: Some(30),
                slices: if preset == NvencPreset::P4 { 4 } else { 1 },
                ..stand_in.options()
            };
            let mut encoder = NvencEncoder::open(VideoSettings { codec, ..SETTINGS }, &options).unwrap();
            let layout = encoder.capabilities().layout;
            assert_eq!(layout, if codec == Codec::Hevc10 { Layout::P010 } else { Layout::Nv12 });
            let ring = SurfaceRing::new(layout, SETTINGS.width, SETTINGS.height);
            for frame in 0..4 {
                let surface = Surface::from(ring.take().unwrap());
                let request = FrameRequest { keyframe: frame == 2, ..request(frame, 60, false) };
                let unit = encoder.encode(&surface, request).unwrap().unwrap();
                assert_eq!(unit.keyframe, frame.is_multiple_of(2), "{codec} {preset:?} {frame}");
                assert!(!unit.data.is_empty());
            }
            drop(encoder);
            stand_in.assert_clean(&format!("{codec} {preset:?}"));
        }
    }
}

#[test]
fn hevc_and_av1_go_around_lost_frames_and_change_size_and_rate() {
    for codec in [Codec::Hevc, Codec::Hevc10, Codec::Av1] {
        let stand_in = StandIn::new();
        let settings = VideoSettings { codec, ..SETTINGS };
        let mut encoder = NvencEncoder::open(settings, &stand_in.options()).unwrap();
        let layout = encoder.capabilities().layout;
        let ring = SurfaceRing::new(layout, SETTINGS.width, SETTINGS.height);
        let next = |encoder: &mut NvencEncoder, frame| {
            encode(encoder, &Surface::from(ring.take().expect("one at a time")), frame)
        };
        (0..6).for_each(|frame| drop(next(&mut encoder, frame)));
        encoder.acknowledge(3).unwrap();
        assert_eq!(encoder.invalidate(3).unwrap(), Invalidated::Refers { frame: 3 }, "{codec}");
        let recovery = next(&mut encoder, 6);
        assert_eq!((recovery.refers_to, recovery.keyframe), (Some(3), false), "{codec}");
        encoder.set_bitrate(1_000_000).unwrap();
        encoder.set_frame_rate(30).unwrap();
        let unit = next(&mut encoder, 7);
        assert!(!unit.keyframe && unit.data.len() < 5_000, "{codec}: {} bytes", unit.data.len());
        encoder.set_size(256, 144).unwrap();
        let smaller = Surface::from(SurfaceRing::new(layout, 256, 144).take().unwrap());
        assert!(encode(&mut encoder, &smaller, 8).keyframe, "{codec}");
        drop(encoder);
        stand_in.assert_clean(&codec.to_string());
    }
}

#[test]
fn the_gpu_with_the_least_busy_encoder_is_chosen_and_one_without_encoder_passed_over() {
    let stand_in = StandIn::with_faults("devices=3 load=70:4,30:1,10:0");
    let devices = nvenc_devices(&stand_in.options().libraries).unwrap();
    assert_eq!(devices.len(), 3);
    assert_eq!(devices[1].load.map(|load| (load.percent, load.sessions)), Some((30, 1)));
    assert_eq!(open(&stand_in.options()).capabilities().device, devices[2].uuid);
    stand_in.order("devices=3 load=70:4,30:1,10:0 encoders=2");
    assert_eq!(open(&stand_in.options()).capabilities().device, devices[1].uuid);
    let fixed = NvencOptions { device: devices[0].uuid, ..stand_in.options() };
    assert_eq!(open(&fixed).capabilities().device, devices[0].uuid);
    let other = NvencOptions { device: Some(DeviceUuid([7; 16])), ..stand_in.options() };
    assert!(why(NvencEncoder::open(SETTINGS, &other)).contains("no NVIDIA GPU of this driver"));
    stand_in.assert_clean("choice");
}

#[test]
fn what_fails_in_the_middle_is_an_error_and_nothing_is_left() {
    let clip = Clip::of(Layout::Nv12, SETTINGS.width, SETTINGS.height);
    for (fault, says) in [
        ("fail-at=5", "NV_ENC_ERR_GENERIC (20)"),
        ("lost-at=5", "the GPU was lost"),
        ("hang-at=5", "has not finished it within 500ms"),
    ] {
        let stand_in = StandIn::with_faults(fault);
        let mut encoder = open(&stand_in.options());
        (0..5).for_each(|frame| drop(encode(&mut encoder, &clip.draw(frame), frame)));
        let called = Instant::now();
        let failed = encoder.encode(&clip.draw(5), request(5, 60, false)).expect_err("it was ordered");
        assert!(called.elapsed() < Duration::from_secs(1), "{fault} took {:?}", called.elapsed());
        assert!(
            matches!(failed, EncodeError::Backend { .. }) && failed.to_string().contains(says),
            "{failed}"
        );
        drop(encoder);
        assert_eq!(stand_in.violations(), "", "{fault}");
        if !fault.starts_with("hang") {
            stand_in.order("");
            assert_eq!(stand_in.left(), 0, "{fault}");
        }
    }
}

#[test]
fn a_larger_picture_gets_a_session_of_its_own_where_one_session_is_all() {
    for faults in ["sessions=1", "sessions=1 resize=0"] {
        let stand_in = StandIn::with_faults(faults);
        let mut encoder = open(&stand_in.options());
        for (frame, (width, height)) in (0..).zip([(320, 192), (640, 360), (160, 96), (640, 360)]) {
            encoder.set_size(width, height).unwrap();
            let clip = Clip::of(Layout::Nv12, width, height);
            assert!(encode(&mut encoder, &clip.draw(frame), frame).keyframe, "{faults} {frame}");
        }
        drop(encoder);
        stand_in.assert_clean(faults);
    }
}

#[test]
fn slices_come_before_the_picture_is_whole_and_are_the_picture() {
    let stand_in = StandIn::new();
    let mut encoder = open(&NvencOptions { slices: 4, ..stand_in.options() });
    let clip = Clip::of(Layout::Nv12, SETTINGS.width, SETTINGS.height);
    let parts: Arc<Mutex<Vec<Part>>> = Arc::default();
    let sink = Arc::clone(&parts);
    let take = move |slice: nearframe_encode::Slice<'_>| {
        sink.lock().unwrap().push((slice.data.to_vec(), slice.last, Instant::now()));
    };
    encode(&mut encoder, &clip.draw(0), 0);
    encoder.stream_slices(Some(Box::new(take))).unwrap();
    let unit = encode(&mut encoder, &clip.draw(1), 1);
    let done = Instant::now();
    let taken = || std::mem::take(&mut *parts.lock().unwrap());
    let parts = taken();
    assert_eq!(parts.iter().flat_map(|(data, ..)| data).copied().collect::<Vec<_>>(), unit.data);
    assert!(parts.len() >= 2 && parts.last().is_some_and(|(_, last, _)| *last), "{} parts", parts.len());
    assert!(parts[0].2 < done && parts[0].0.len() < unit.data.len());
    let keyframe = encoder.encode(&clip.draw(2), request(2, SETTINGS.fps, true)).unwrap().unwrap();
    assert!(keyframe.keyframe);
    let mut whole = open(&stand_in.options());
    assert!(matches!(whole.stream_slices(None), Err(EncodeError::Unsupported { .. })));
    drop((encoder, whole));
    stand_in.assert_clean("slices");
}

#[test]
fn exported_memory_gives_the_very_stream_that_a_copy_gives() {
    let clip = Clip::of(Layout::Nv12, SETTINGS.width, SETTINGS.height);
    for (faults, with_timeline) in [("", true), ("streams=0", true), ("", false)] {
        let (copied, exported) = (StandIn::new(), StandIn::with_faults(faults));
        let (mut by_copy, mut by_export) = (open(&copied.options()), open(&exported.options()));
        let mut ring = Exported::new(by_export.capabilities().device.unwrap(), SIZE, with_timeline);
        for frame in 0..12 {
            let picture = clip.draw(frame);
            let expected = encode(&mut by_copy, &picture, frame).data;
            let surface = ring.take();
            if with_timeline {
                // Drawn while the encoder already waits for it.
                std::thread::scope(|scope| {
                    scope.spawn(|| {
                        std::thread::sleep(Duration::from_millis(3));
                        ring.draw(&picture);
                    });
                    assert!(encode(&mut by_export, &surface, frame).data == expected, "{faults} {frame}");
                });
                assert_eq!(ring.reached(), ring.value, "the slot was given back");
            } else {
                ring.draw(&picture);
                assert!(encode(&mut by_export, &surface, frame).data == expected, "{faults} {frame}");
            }
            drop(surface);
            assert_eq!(ring.free.lock().unwrap().len() as u32, frame + 1);
        }
        drop((by_copy, by_export));
        copied.assert_clean("copied");
        exported.assert_clean("exported");
    }
}

#[test]
fn slots_of_a_ring_that_is_gone_are_let_go_and_foreign_ones_refused() {
    let clip = Clip::of(Layout::Nv12, SETTINGS.width, SETTINGS.height);
    let stand_in = StandIn::new();
    let mut encoder = open(&stand_in.options());
    let device = encoder.capabilities().device.unwrap();
    let mut alive = 0;
    for frame in 0..4 {
        let mut ring = Exported::new(device, SIZE, true);
        let surface = ring.take();
        ring.draw(&clip.draw(frame));
        encode(&mut encoder, &surface, frame);
        let left = stand_in.left();
        assert!(frame < 2 || left == alive, "rings pile up: {left} after {alive}");
        alive = left;
    }
    let mut foreign = Exported::new(DeviceUuid([9; 16]), SIZE, true);
    let refused = encoder.encode(&foreign.take(), request(9, 60, false));
    assert!(matches!(refused, Err(EncodeError::WrongSurface { .. })));
    drop(encoder);
    stand_in.assert_clean("rings");
}

#[test]
fn a_picture_that_is_never_drawn_fails_within_a_second() {
    let stand_in = StandIn::with_faults("streams=0");
    let mut encoder = open(&stand_in.options());
    let mut ring = Exported::new(encoder.capabilities().device.unwrap(), SIZE, true);
    let called = Instant::now();
    let failed = encoder.encode(&ring.take(), request(0, 60, false)).expect_err("nobody draws");
    assert!(failed.to_string().contains("not drawn within"), "{failed}");
    assert!(called.elapsed() < Duration::from_secs(1), "{:?}", called.elapsed());
}
