//! What every video encoder of this house keeps to.

mod common;

use common::{Clip, emitted, request, run};
use nearframe_encode::h264::{NalKind, SliceHeader, SliceKind, Sps, nals};
use nearframe_encode::rate::window_rates;
use nearframe_encode::{
    AccessUnit, Codec, EncodeError, Invalidation, VideoBackend, VideoEncoder, VideoPreference, VideoSettings,
    open_video, probe_frame, video_backends,
};
use nearframe_gpu::{Layout, SurfaceRing};

const BACKENDS: [VideoBackend; 2] = [VideoBackend::OpenH264, VideoBackend::Probe];
const SETTINGS: VideoSettings = VideoSettings { width: 640, height: 360, fps: 60, bitrate_bps: 4_000_000 };

fn open(backend: VideoBackend, settings: VideoSettings) -> Box<dyn VideoEncoder> {
    open_video(settings, VideoPreference::Only(backend)).expect("it is built in")
}

fn kinds(unit: &AccessUnit) -> Vec<NalKind> {
    nals(&unit.data).map(|nal| nal.kind()).collect()
}

fn sps_of(unit: &AccessUnit) -> Sps {
    nals(&unit.data).find_map(|nal| Sps::parse(&nal)).expect("keyframes carry a sequence parameter set")
}

fn slices(unit: &AccessUnit, sps: &Sps) -> Vec<SliceHeader> {
    nals(&unit.data).filter_map(|nal| SliceHeader::parse(&nal, sps)).collect()
}

#[test]
fn a_stream_begins_with_a_keyframe_and_has_more_only_on_request() {
    let clip = Clip::new(SETTINGS.width, SETTINGS.height);
    for backend in BACKENDS {
        let units = run(&mut *open(backend, SETTINGS), &clip, 0..90, |frame| frame == 50);
        let keyframes: Vec<_> = units.iter().filter(|unit| unit.keyframe).map(|unit| unit.frame).collect();
        assert_eq!(keyframes, [0, 50], "{backend:?}");
    }
}

#[test]
fn parameter_sets_precede_the_slices_of_every_keyframe() {
    let clip = Clip::new(SETTINGS.width, SETTINGS.height);
    for backend in BACKENDS {
        for unit in run(&mut *open(backend, SETTINGS), &clip, 0..40, |frame| frame == 20) {
            let kinds = kinds(&unit);
            if unit.keyframe {
                assert_eq!(kinds[..2], [NalKind::Sps, NalKind::Pps], "{backend:?} {}", unit.frame);
                assert!(kinds[2..].iter().all(|kind| *kind == NalKind::IdrSlice), "{backend:?}: {kinds:?}");
            } else {
                assert!(kinds.iter().all(|kind| *kind == NalKind::Slice), "{backend:?}: {kinds:?}");
            }
        }
    }
}

#[test]
fn nothing_is_reordered_and_decoders_are_told_so() {
    let clip = Clip::new(SETTINGS.width, SETTINGS.height);
    for backend in BACKENDS {
        let units = run(&mut *open(backend, SETTINGS), &clip, 0..30, |_| false);
        let sps = sps_of(&units[0]);
        assert_eq!((sps.pic_order_cnt_type, sps.max_reorder_frames), (2, Some(0)), "{backend:?}");
        for (index, unit) in units.iter().enumerate() {
            let slices = slices(unit, &sps);
            assert!(!slices.is_empty() && slices[0].first_macroblock == 0, "{backend:?} {index}");
            assert!(slices.iter().all(|slice| matches!(slice.kind, SliceKind::P | SliceKind::I)));
            assert!(slices.iter().all(|slice| slice.frame_num as usize == index), "{backend:?} {index}");
        }
    }
}

#[test]
fn the_stream_says_what_it_is() {
    let clip = Clip::new(642, 362);
    let settings = VideoSettings { width: 642, height: 362, ..SETTINGS };
    for backend in BACKENDS {
        let mut encoder = open(backend, settings);
        assert_eq!(
            (encoder.capabilities().codec, encoder.capabilities().layout),
            (Codec::H264, Layout::I420)
        );
        let sps = sps_of(&run(&mut *encoder, &clip, 0..1, |_| false)[0]);
        assert_eq!((sps.width, sps.height), (642, 362), "{backend:?}");
        assert_eq!((sps.profile_idc, sps.constraints >> 6 & 1), (66, 1), "constrained baseline, {backend:?}");
        assert_eq!(sps.level_idc, 31, "{backend:?}");
        let colour = sps.colour.expect("browsers guess where colours are not described");
        assert_eq!((colour.full_range, colour.primaries, colour.transfer, colour.matrix), (false, 1, 1, 1));
    }
}

#[test]
fn no_slice_is_larger_than_a_packet() {
    let clip = Clip::new(SETTINGS.width, SETTINGS.height);
    for backend in BACKENDS {
        for unit in run(&mut *open(backend, SETTINGS), &clip, 0..20, |_| false) {
            let largest = nals(&unit.data).map(|nal| nal.bytes.len()).max().unwrap();
            assert!(largest <= 1_200, "{backend:?}: {largest} bytes");
        }
    }
}

#[test]
fn the_bitrate_changes_without_a_keyframe() {
    let clip = Clip::new(SETTINGS.width, SETTINGS.height);
    for backend in BACKENDS {
        let mut encoder = open(backend, SETTINGS);
        run(&mut *encoder, &clip, 0..90, |_| false);
        encoder.set_bitrate(2_000_000).unwrap();
        let settling = run(&mut *encoder, &clip, 90..150, |_| false);
        let units = run(&mut *encoder, &clip, 150..270, |_| false);
        assert!(settling.iter().chain(&units).all(|unit| !unit.keyframe), "{backend:?}");
        let rates = window_rates(&emitted(&units, 60)).unwrap();
        assert!(
            rates.highest_bps <= 2_200_000.0 && rates.lowest_bps >= 1_700_000.0,
            "{backend:?}: {rates:?}"
        );
    }
}

#[test]
fn every_second_of_a_busy_clip_keeps_to_the_target() {
    let clip = Clip::new(SETTINGS.width, SETTINGS.height);
    for backend in BACKENDS {
        let units = run(&mut *open(backend, SETTINGS), &clip, 0..240, |frame| frame == 150);
        let rates = window_rates(&emitted(&units, 60)).unwrap();
        let target = f64::from(SETTINGS.bitrate_bps);
        assert!(
            rates.highest_bps <= 1.1 * target && rates.lowest_bps >= 0.9 * target,
            "{backend:?}: {rates:?}"
        );
        assert!(units.len() >= 238, "{backend:?} left out {}", 240 - units.len());
    }
}

#[test]
fn the_same_calls_give_the_same_bytes() {
    let clip = Clip::new(SETTINGS.width, SETTINGS.height);
    for backend in BACKENDS {
        let stream = || -> Vec<Vec<u8>> {
            let units = run(&mut *open(backend, SETTINGS), &clip, 0..10, |_| false);
            units.into_iter().map(|unit| unit.data).collect()
        };
        assert!(stream() == stream(), "{backend:?}");
    }
}

#[test]
fn a_surface_of_another_size_or_layout_is_refused() {
    for backend in BACKENDS {
        let mut encoder = open(backend, SETTINGS);
        for (layout, width) in [(Layout::Nv12, 640), (Layout::I420, 320)] {
            let surface = SurfaceRing::new(layout, width, 360).take().unwrap();
            let refused = encoder.encode(&surface, request(0, 60, false));
            assert!(matches!(refused, Err(EncodeError::WrongSurface { .. })), "{backend:?} {layout:?}");
        }
    }
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let wrong = [
        VideoSettings { width: 641, ..SETTINGS },
        VideoSettings { height: 361, ..SETTINGS },
        VideoSettings { width: 8, ..SETTINGS },
        VideoSettings { width: 16_384, ..SETTINGS },
        VideoSettings { fps: 0, ..SETTINGS },
        VideoSettings { bitrate_bps: 0, ..SETTINGS },
    ];
    for backend in BACKENDS {
        for settings in wrong {
            let refused = open_video(settings, VideoPreference::Only(backend));
            assert!(matches!(refused, Err(EncodeError::Unsupported { .. })), "{backend:?} {settings:?}");
        }
        assert!(open(backend, SETTINGS).set_bitrate(1).is_err(), "{backend:?}");
    }
}

#[test]
fn an_encoder_that_cannot_invalidate_says_so() {
    let clip = Clip::new(SETTINGS.width, SETTINGS.height);
    for backend in BACKENDS {
        let mut encoder = open(backend, SETTINGS);
        run(&mut *encoder, &clip, 0..5, |_| false);
        assert!(!encoder.capabilities().reference_invalidation, "{backend:?}");
        assert_eq!(encoder.invalidate(3).unwrap(), Invalidation::KeyframeNeeded, "{backend:?}");
    }
}

#[test]
fn what_openh264_emits_decodes_to_nearly_the_same_picture() {
    let clip = Clip::new(320, 180);
    let settings = VideoSettings { width: 320, height: 180, fps: 60, bitrate_bps: 8_000_000 };
    let mut encoder = open(VideoBackend::OpenH264, settings);
    let mut decoder = openh264::decoder::Decoder::new().unwrap();
    for frame in 0..40 {
        let surface = clip.draw(frame);
        let unit =
            encoder.encode(&surface, request(frame, 60, frame == 20)).unwrap().expect("nothing is left out");
        let decoded = decoder.decode(&unit.data).unwrap().expect("one picture in, one picture out");
        let psnr = luma_psnr(&surface, &decoded);
        assert!(frame < 10 || psnr >= 30.0, "frame {frame}: {psnr:.1} dB");
    }
}

fn luma_psnr(surface: &nearframe_gpu::Surface, decoded: &openh264::decoder::DecodedYUV<'_>) -> f64 {
    use openh264::formats::YUVSource;
    let width = surface.width() as usize;
    let rows = surface.luma().chunks(width).zip(decoded.y().chunks(decoded.strides().0));
    let error: f64 = rows
        .flat_map(|(sent, seen)| sent.iter().zip(seen))
        .map(|(&sent, &seen)| (f64::from(sent) - f64::from(seen)).powi(2))
        .sum();
    10.0 * (255.0 * 255.0 / (error / surface.luma().len() as f64).max(1e-9)).log10()
}

#[test]
fn probe_frames_carry_their_number_and_have_the_budgeted_size() {
    let clip = Clip::new(SETTINGS.width, SETTINGS.height);
    let units = run(&mut *open(VideoBackend::Probe, SETTINGS), &clip, 0..120, |frame| frame == 80);
    assert!(units.iter().all(|unit| probe_frame(&unit.data) == Some(unit.frame)));
    let share = 0.96 * f64::from(SETTINGS.bitrate_bps) / 60.0 / 8.0;
    for unit in units.iter().filter(|unit| !unit.keyframe) {
        let ratio = unit.data.len() as f64 / share;
        assert!((0.9..1.1).contains(&ratio), "frame {}: {} bytes", unit.frame, unit.data.len());
    }
    assert_eq!(probe_frame(b"no stream"), None);
}

#[test]
fn the_doctor_is_told_which_encoders_open_here() {
    let facts = video_backends();
    assert_eq!(facts[0].backend, VideoBackend::OpenH264);
    assert_eq!(facts[0].state.as_ref().unwrap().name, "OpenH264");
}
