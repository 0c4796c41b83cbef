//! What every video encoder of this house keeps to.

mod common;

use common::{Clip, open, request, try_open};
use nearframe_encode::h264::{NalKind, ProfileLevelId, SliceHeader, SliceKind, Sps, nals};
use nearframe_encode::rate::window_rates;
use nearframe_encode::{
    AccessUnit, Codec, EncodeError, FrameRequest, Invalidated, VideoBackend, VideoEncoder, VideoSettings,
    probe_frame, video_backends,
};
use nearframe_gpu::{Layout, Surface, SurfaceRing};
use std::ops::Range;
use std::time::Duration;

/// NVENC runs on a stand-in for NVIDIA's driver: this proves our side of that contract alone.
const BACKENDS: [VideoBackend; 3] = [VideoBackend::OpenH264, VideoBackend::Nvenc, VideoBackend::Probe];
/// Those whose pictures can be looked at.
const REAL: [VideoBackend; 2] = [VideoBackend::OpenH264, VideoBackend::Nvenc];
/// Those that encode with the CPU.
const ON_CPU: [VideoBackend; 2] = [VideoBackend::OpenH264, VideoBackend::Probe];
const SETTINGS: VideoSettings =
    VideoSettings { codec: Codec::H264, width: 640, height: 360, fps: 60, bitrate_bps: 4_000_000 };

/// Share of the target that every second of a busy clip uses. How well hardware fills its buffer is not for the
/// stand-in to show: the encoder inside aims lower, so that no frame is larger.
fn least(backend: VideoBackend) -> f64 {
    if backend == VideoBackend::Nvenc { 0.7 } else { 0.9 }
}

/// Encodes frames at 60 a second, asking for keyframes where told; what was left out is missing.
fn run(
    encoder: &mut dyn VideoEncoder,
    clip: &Clip,
    frames: Range<u32>,
    keyframe: impl Fn(u32) -> bool,
) -> Vec<AccessUnit> {
    frames
        .filter_map(|frame| {
            let unit = encoder.encode(&clip.draw(frame), request(frame, 60, keyframe(frame)));
            unit.expect("the encoder works")
        })
        .collect()
}

/// When each unit was drawn, and its size.
fn emitted(units: &[AccessUnit], fps: u32) -> Vec<(Duration, usize)> {
    units.iter().map(|unit| (request(unit.frame, fps, false).at, unit.data.len())).collect()
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
        let layout = if ON_CPU.contains(&backend) { Layout::I420 } else { Layout::Nv12 };
        assert_eq!((encoder.capabilities().codec, encoder.capabilities().layout), (Codec::H264, layout));
        let sps = sps_of(&run(&mut *encoder, &clip, 0..1, |_| false)[0]);
        assert_eq!((sps.width, sps.height), (642, 362), "{backend:?}");
        assert_eq!(sps.level_idc, 31, "{backend:?}");
        let colour = sps.colour.expect("browsers guess where colours are not described");
        assert_eq!((colour.full_range, colour.primaries, colour.transfer, colour.matrix), (false, 1, 1, 1));
    }
}

/// Every keyframe's, whatever changes between them: what a player negotiated is what comes.
#[test]
fn every_stream_is_of_the_profile_that_is_negotiated_and_no_higher_level() {
    for backend in BACKENDS {
        let mut encoder = open(backend, SETTINGS);
        for (frame, (width, height)) in (0..).zip([(640, 360), (1280, 720), (642, 362)]) {
            encoder.set_size(width, height).unwrap();
            encoder.set_frame_rate(60 - frame).unwrap();
            let unit = encode(&mut *encoder, &Clip::new(width, height), frame);
            let sets: Vec<_> = nals(&unit.data).filter_map(|nal| ProfileLevelId::of(&nal)).collect();
            assert!(!sets.is_empty(), "{backend:?}");
            for said in sets {
                assert!(ProfileLevelId::AGREED.allows(&said), "{backend:?}: {said}");
            }
        }
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
            rates.highest_bps <= 2_200_000.0 && rates.lowest_bps >= least(backend) * 1_900_000.0,
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
            rates.highest_bps <= 1.1 * target && rates.lowest_bps >= least(backend) * target,
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
        let taken = encoder.capabilities().layout;
        for (layout, width) in [(Layout::P010, 640), (taken, 320)] {
            let surface = Surface::from(SurfaceRing::new(layout, width, 360).take().unwrap());
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
        VideoSettings { codec: Codec::Av1, ..SETTINGS },
    ];
    for backend in BACKENDS {
        for settings in wrong {
            if backend == VideoBackend::Nvenc && settings.codec != Codec::H264 {
                continue;
            }
            let refused = try_open(backend, settings);
            assert!(matches!(refused, Err(EncodeError::Unsupported { .. })), "{backend:?} {settings:?}");
        }
        assert!(open(backend, SETTINGS).set_bitrate(1).is_err(), "{backend:?}");
    }
}

/// Encodes one frame with a budget, so that it is not left out.
fn encode(encoder: &mut dyn VideoEncoder, clip: &Clip, frame: u32) -> AccessUnit {
    let request = FrameRequest { budget_bytes: Some(12_000), ..request(frame, 60, false) };
    let unit = encoder.encode(&clip.draw(frame), request);
    unit.expect("the encoder works").expect("nothing is left out")
}

/// As a link without loss would report: every frame is acknowledged two frames later.
fn run_acknowledged(encoder: &mut dyn VideoEncoder, clip: &Clip, frames: Range<u32>) {
    for frame in frames {
        encode(encoder, clip, frame);
        if let Some(arrived) = frame.checked_sub(2) {
            encoder.acknowledge(arrived).expect("the encoder works");
        }
    }
}

#[test]
fn frames_say_what_they_were_predicted_from() {
    let clip = Clip::new(SETTINGS.width, SETTINGS.height);
    for backend in BACKENDS {
        let mut encoder = open(backend, SETTINGS);
        for unit in run(&mut *encoder, &clip, 0..30, |frame| frame == 20) {
            let before = (!unit.keyframe).then(|| unit.frame - 1);
            assert_eq!((unit.refers_to, unit.over_budget), (before, false), "{backend:?}");
        }
        assert!(encoder.capabilities().reference_invalidation, "{backend:?}");
    }
}

#[test]
fn a_lost_frame_is_gone_around_from_an_acknowledged_one() {
    let clip = Clip::new(SETTINGS.width, SETTINGS.height);
    for backend in BACKENDS {
        let mut encoder = open(backend, SETTINGS);
        run_acknowledged(&mut *encoder, &clip, 0..40);
        // 38 was lost.
        let Invalidated::Refers { frame: reference } = encoder.invalidate(37).unwrap() else {
            panic!("{backend:?}: a frame was acknowledged just before")
        };
        assert!((30..=37).contains(&reference), "{backend:?}: {reference}");
        let recovery = encode(&mut *encoder, &clip, 40);
        assert_eq!((recovery.refers_to, recovery.keyframe), (Some(reference), false), "{backend:?}");
        assert_eq!(encode(&mut *encoder, &clip, 41).refers_to, Some(40), "{backend:?}");
        // The recovery frame is lost too: the same reference is still good.
        assert_eq!(encoder.invalidate(37).unwrap(), Invalidated::Refers { frame: reference }, "{backend:?}");
        assert_eq!(encode(&mut *encoder, &clip, 42).refers_to, Some(reference), "{backend:?}");
    }
}

#[test]
fn where_nothing_was_lost_the_stream_goes_on() {
    let clip = Clip::new(SETTINGS.width, SETTINGS.height);
    for backend in BACKENDS {
        let mut encoder = open(backend, SETTINGS);
        run_acknowledged(&mut *encoder, &clip, 0..20);
        assert_eq!(encoder.invalidate(19).unwrap(), Invalidated::Refers { frame: 19 }, "{backend:?}");
        assert_eq!(encode(&mut *encoder, &clip, 20).refers_to, Some(19), "{backend:?}");
    }
}

#[test]
fn without_a_good_reference_a_keyframe_follows() {
    let clip = Clip::new(SETTINGS.width, SETTINGS.height);
    for backend in BACKENDS {
        let mut encoder = open(backend, SETTINGS);
        assert_eq!(
            encoder.invalidate(0).unwrap(),
            Invalidated::KeyframeNeeded,
            "{backend:?}: before any frame"
        );
        run_acknowledged(&mut *encoder, &clip, 0..50);
        assert_eq!(encoder.invalidate(5).unwrap(), Invalidated::KeyframeNeeded, "{backend:?}: too old");
        let keyframe = encode(&mut *encoder, &clip, 50);
        assert!(keyframe.keyframe && keyframe.refers_to.is_none(), "{backend:?}");
        run(&mut *encoder, &clip, 51..55, |_| false);
        assert_eq!(
            encoder.invalidate(49).unwrap(),
            Invalidated::KeyframeNeeded,
            "{backend:?}: the keyframe is lost"
        );
        assert!(encode(&mut *encoder, &clip, 55).keyframe, "{backend:?}");
        run(&mut *encoder, &clip, 56..58, |_| false);
        assert_eq!(encoder.invalidate(55).unwrap(), Invalidated::Refers { frame: 55 }, "{backend:?}");
        assert_eq!(encode(&mut *encoder, &clip, 58).refers_to, Some(55), "{backend:?}");
    }
}

#[test]
fn what_was_lost_is_never_referred_to_whatever_is_said_later() {
    let clip = Clip::new(SETTINGS.width, SETTINGS.height);
    for backend in BACKENDS {
        let mut encoder = open(backend, SETTINGS);
        run_acknowledged(&mut *encoder, &clip, 0..40);
        encoder.invalidate(36).unwrap();
        (37..40).for_each(|frame| encoder.acknowledge(frame).unwrap());
        let recovery = encode(&mut *encoder, &clip, 40);
        assert!(recovery.refers_to.is_some_and(|frame| frame <= 36), "{backend:?}: {:?}", recovery.refers_to);
        // Told to go back further than it just promised.
        encoder.invalidate(30).unwrap();
        let again = encode(&mut *encoder, &clip, 41);
        assert!(again.refers_to.is_none_or(|frame| frame <= 30), "{backend:?}: {:?}", again.refers_to);
    }
}

#[test]
fn acknowledgements_of_nothing_change_nothing() {
    let clip = Clip::new(SETTINGS.width, SETTINGS.height);
    for backend in BACKENDS {
        let stream = |confused: bool| -> Vec<Vec<u8>> {
            let mut encoder = open(backend, SETTINGS);
            (0..12)
                .map(|frame| {
                    if confused {
                        for never in [frame, frame + 7, u32::MAX] {
                            encoder.acknowledge(never).unwrap();
                        }
                    }
                    encode(&mut *encoder, &clip, frame).data
                })
                .collect()
        };
        assert!(stream(true) == stream(false), "{backend:?}");
    }
}

/// Encodes with budgets, acknowledging as a good link would; every frame is sent.
fn run_budgeted(
    encoder: &mut dyn VideoEncoder,
    clip: &Clip,
    frames: Range<u32>,
    budget: impl Fn(u32) -> u32,
    scene: impl Fn(u32) -> u32,
) -> Vec<AccessUnit> {
    let mut encode = |frame: u32| {
        let request = FrameRequest { budget_bytes: Some(budget(frame)), ..request(frame, 60, false) };
        let unit = encoder.encode(&clip.draw(scene(frame)), request).expect("the encoder works");
        if let Some(arrived) = frame.checked_sub(3) {
            encoder.acknowledge(arrived).expect("the encoder works");
        }
        unit.expect("a frame with a budget is never left out")
    };
    frames.map(&mut encode).collect()
}

#[test]
fn frames_keep_to_budgets_of_their_own() {
    let clip = Clip::new(SETTINGS.width, SETTINGS.height);
    for backend in BACKENDS {
        let budget = |frame: u32| 7_000 + frame % 5 * 1_000;
        let units = run_budgeted(&mut *open(backend, SETTINGS), &clip, 0..240, budget, |frame| frame);
        let share = |unit: &&AccessUnit| unit.data.len() as f64 / f64::from(budget(unit.frame));
        let over = units.iter().filter(|unit| share(unit) > 1.1).count();
        assert!(over <= 5, "{backend:?}: {over} of 240 frames are more than a tenth over their budget");
        let used = units.iter().map(|unit| share(&unit)).sum::<f64>() / 240.0;
        assert!(used >= 0.75, "{backend:?}: frames use {used:.2} of their budgets");
        assert_eq!(units.iter().filter(|unit| unit.keyframe).count(), 1, "{backend:?}");
    }
}

#[test]
fn a_quarter_of_the_capacity_is_met_by_the_very_next_frame() {
    let clip = Clip::new(SETTINGS.width, SETTINGS.height);
    for backend in BACKENDS {
        let budget = |frame: u32| if (frame / 60).is_multiple_of(2) { 16_000 } else { 4_000 };
        let units = run_budgeted(&mut *open(backend, SETTINGS), &clip, 0..240, budget, |frame| frame);
        for first in [60, 180] {
            let bytes = units[first].data.len();
            assert!(bytes <= 4_400, "{backend:?}: {bytes} bytes in frame {first}, for 4000");
        }
    }
}

#[test]
fn a_cut_is_fitted_into_its_budget_without_a_keyframe() {
    let clip = Clip::new(SETTINGS.width, SETTINGS.height);
    for backend in BACKENDS {
        let cuts = |frame: u32| frame + frame / 40 * 10_000;
        let units = run_budgeted(&mut *open(backend, SETTINGS), &clip, 0..200, |_| 8_000, cuts);
        for cut in [40, 80, 120, 160] {
            let unit = &units[cut];
            assert!(unit.data.len() <= 12_000 && !unit.keyframe, "{backend:?} {cut}: {}", unit.data.len());
        }
    }
}

#[test]
fn a_budget_that_cannot_be_met_is_said() {
    let clip = Clip::new(SETTINGS.width, SETTINGS.height);
    for backend in REAL {
        let mut encoder = open(backend, SETTINGS);
        let units = run_budgeted(&mut *encoder, &clip, 0..40, |_| 200, |frame| frame);
        assert!(units.iter().skip(5).all(|unit| unit.over_budget && unit.data.len() > 200), "{backend:?}");
        let units = run_budgeted(&mut *encoder, &clip, 40..80, |_| 20_000, |frame| frame);
        assert!(units.iter().all(|unit| !unit.over_budget), "{backend:?}");
    }
}

#[test]
fn the_frame_rate_changes_without_losing_a_frame() {
    let clip = Clip::new(SETTINGS.width, SETTINGS.height);
    for backend in BACKENDS {
        let mut encoder = open(backend, SETTINGS);
        run(&mut *encoder, &clip, 0..30, |_| false);
        encoder.set_frame_rate(30).unwrap();
        for frame in 0..90 {
            let at = Duration::from_millis(500) + Duration::from_secs(1) * frame / 30;
            let request = FrameRequest { at, ..request(30 + frame, 60, false) };
            let unit = encoder.encode(&clip.draw(30 + frame), request).unwrap().expect("none is left out");
            assert!(!unit.keyframe, "{backend:?}: a lower rate needs no keyframe");
        }
        assert!(encoder.set_frame_rate(0).is_err() && encoder.set_frame_rate(1_000).is_err(), "{backend:?}");
    }
}

#[test]
fn a_rate_beyond_the_declared_level_begins_with_a_keyframe() {
    let (width, height) = (1280, 720);
    let clip = Clip::new(width, height);
    for backend in BACKENDS {
        let mut encoder = open(backend, VideoSettings { width, height, fps: 30, ..SETTINGS });
        assert_eq!(sps_of(&encode(&mut *encoder, &clip, 0)).level_idc, 31, "{backend:?}");
        encode(&mut *encoder, &clip, 1);
        encoder.set_frame_rate(60).unwrap();
        let unit = encode(&mut *encoder, &clip, 2);
        assert_eq!((unit.keyframe, sps_of(&unit).level_idc), (true, 32), "{backend:?}");
        assert!(!encode(&mut *encoder, &clip, 3).keyframe, "{backend:?}");
    }
}

#[test]
fn the_size_changes_without_losing_a_frame() {
    let sizes = [(640, 360), (320, 180), (854, 480)];
    for backend in BACKENDS {
        let mut encoder = open(backend, SETTINGS);
        let mut decoder = openh264::decoder::Decoder::new().unwrap();
        for (part, (width, height)) in (0..).zip(sizes) {
            encoder.set_size(width, height).unwrap();
            let clip = Clip::new(width, height);
            for frame in part * 20..part * 20 + 20 {
                let surface = clip.draw(frame);
                // The first frame of a size comes at once even without a budget of its own.
                let budget_bytes = (frame % 20 > 0).then_some(12_000);
                let request = FrameRequest { budget_bytes, ..request(frame, 60, false) };
                let unit = encoder.encode(&surface, request).unwrap();
                let unit = unit.unwrap_or_else(|| panic!("{backend:?} leaves out {frame}"));
                assert_eq!(unit.keyframe, frame == part * 20, "{backend:?}: frame {frame}");
                if unit.keyframe {
                    let sps = sps_of(&unit);
                    assert_eq!((sps.width, sps.height), (width, height), "{backend:?}");
                }
                if REAL.contains(&backend) {
                    let decoded = decoder.decode(&unit.data).unwrap().expect("a picture for each unit");
                    let psnr = luma_psnr(&surface, &decoded);
                    assert!(psnr > 22.0, "frame {frame}: {psnr:.1} dB");
                }
            }
            let smaller = Surface::from(SurfaceRing::new(Layout::I420, 160, 90).take().unwrap());
            let refused = encoder.encode(&smaller, request(999, 60, false));
            assert!(matches!(refused, Err(EncodeError::WrongSurface { .. })), "{backend:?}");
            assert!(encoder.set_size(161, 90).is_err(), "{backend:?}");
        }
    }
}

#[test]
fn refresh_pictures_that_follow_each_other_have_ids_of_their_own() {
    let clips = [Clip::new(640, 360), Clip::new(320, 180)];
    for backend in BACKENDS {
        let mut encoder = open(backend, SETTINGS);
        let mut ids = Vec::new();
        for frame in 0..6 {
            let clip = &clips[frame as usize % 2];
            let surface = clip.draw(frame);
            encoder.set_size(surface.width(), surface.height()).unwrap();
            let request = FrameRequest { budget_bytes: Some(20_000), ..request(frame, 60, true) };
            let unit = encoder.encode(&surface, request).unwrap().expect("budgets are never left out");
            ids.push(slices(&unit, &sps_of(&unit))[0].idr_pic_id.expect("it is a keyframe"));
        }
        assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "{backend:?}: {ids:?}");
    }
}

#[test]
fn what_is_emitted_decodes_to_nearly_the_same_picture() {
    let clip = Clip::new(320, 192);
    let settings = VideoSettings { width: 320, height: 192, bitrate_bps: 8_000_000, ..SETTINGS };
    for backend in REAL {
        let mut encoder = open(backend, settings);
        let mut decoder = openh264::decoder::Decoder::new().unwrap();
        for frame in 0..40 {
            let surface = clip.draw(frame);
            let unit = encoder.encode(&surface, request(frame, 60, frame == 20)).unwrap();
            let unit = unit.expect("nothing is left out");
            let decoded = decoder.decode(&unit.data).unwrap().expect("one picture in, one picture out");
            let psnr = luma_psnr(&surface, &decoded);
            assert!(frame < 10 || psnr >= 30.0, "{backend:?}, frame {frame}: {psnr:.1} dB");
        }
    }
}

fn luma_psnr(surface: &Surface, decoded: &openh264::decoder::DecodedYUV<'_>) -> f64 {
    use openh264::formats::YUVSource;
    let surface = surface.as_cpu().expect("the clip is drawn by the CPU");
    let width = surface.width() as usize;
    let rows = surface.luma().chunks(width).zip(decoded.y().chunks(decoded.strides().0));
    let error: f64 = rows
        .flat_map(|(sent, seen)| sent.iter().zip(seen))
        .map(|(&sent, &seen)| (f64::from(sent) - f64::from(seen)).powi(2))
        .sum();
    10.0 * (255.0 * 255.0 / (error / surface.luma().len() as f64).max(1e-9)).log10()
}

#[test]
fn each_frame_comes_out_as_it_goes_in() {
    let clip = Clip::new(SETTINGS.width, SETTINGS.height);
    for backend in BACKENDS {
        let mut encoder = open(backend, SETTINGS);
        for frame in 0..20 {
            assert_eq!(
                encode(&mut *encoder, &clip, frame).frame,
                frame,
                "{backend:?}: no frame is held back"
            );
        }
        drop(encoder);
        // An encoder that ended before its first frame ends as well.
        drop(open(backend, SETTINGS));
    }
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
    let tried: Vec<_> = facts.iter().map(|facts| facts.backend).collect();
    assert_eq!(tried, VideoBackend::BEST_FIRST);
    assert_eq!(facts[2].state.as_ref().unwrap().name, "OpenH264");
    // With a driver they open; without, the reason says what to do.
    for (facts, name) in facts.iter().zip(["NVENC", "Vulkan Video"]) {
        if let Err(why) = &facts.state {
            let begins = why.starts_with(&format!("{name} cannot be used here: "));
            assert!(begins && (why.contains("driver") || why.contains("install")), "{why}");
        }
    }
}
