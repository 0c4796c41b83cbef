//! Frames get lost for good, and the stream goes on from what the receiver has.

mod common;

use common::{Clip, open, request};
use nearframe_encode::h264::{NalKind, SliceHeader, Sps, nals};
use nearframe_encode::{
    AccessUnit, Codec, FrameRequest, Invalidated, VideoBackend, VideoEncoder, VideoSettings,
};
use openh264::decoder::Decoder;
use openh264::formats::YUVSource;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const SETTINGS: VideoSettings =
    VideoSettings { codec: Codec::H264, width: 192, height: 112, fps: 60, bitrate_bps: 3_000_000 };

/// Chances that something happens, the same for the same seed.
struct Chance(u64);

impl Chance {
    fn percent(&mut self, percent: u32) -> bool {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % 100 < u64::from(percent)
    }
}

/// A receiver at the other end of a lossy link, with a decoder that only gets what it can decode, and one
/// beside it that gets everything: its pictures are the encoder's own.
struct Receiver {
    decoder: Decoder,
    whole: Decoder,
    decodable: BTreeSet<u32>,
    sps: Option<Sps>,
}

fn luma(decoder: &mut Decoder, unit: &AccessUnit) -> Vec<u8> {
    let decoded =
        decoder.decode(&unit.data).expect("the stream is whole").expect("one picture for each unit");
    let (width, height) = decoded.dimensions();
    decoded.y().chunks(decoded.strides().0).take(height).flat_map(|row| &row[..width]).copied().collect()
}

impl Receiver {
    fn new() -> Self {
        Self {
            decoder: Decoder::new().expect("it works"),
            whole: Decoder::new().expect("it works"),
            decodable: BTreeSet::new(),
            sps: None,
        }
    }

    /// Takes a frame that arrived or was lost. True: it can be decoded, and its picture is right.
    fn take(&mut self, unit: &AccessUnit, arrived: bool) -> bool {
        self.check_slices(unit);
        let encoders = luma(&mut self.whole, unit);
        let has_reference = unit.refers_to.is_none_or(|frame| self.decodable.contains(&frame));
        if !arrived || !has_reference {
            return false;
        }
        assert!(luma(&mut self.decoder, unit) == encoders, "the picture of frame {} is wrong", unit.frame);
        self.decodable.insert(unit.frame);
        true
    }

    /// All slices of a picture say the same.
    fn check_slices(&mut self, unit: &AccessUnit) {
        self.sps = nals(&unit.data).find_map(|nal| Sps::parse(&nal)).or_else(|| self.sps.take());
        let sps = self.sps.as_ref().expect("a stream begins with parameters");
        assert!(sps.frame_num_gaps, "a stream with lost frames says so");
        let coded = nals(&unit.data).filter(|nal| matches!(nal.kind(), NalKind::Slice | NalKind::IdrSlice));
        let headers: Vec<_> = coded
            .map(|nal| SliceHeader::parse(&nal, sps).expect("slices can be read"))
            .map(|header| (header.frame_num, header.reference, header.marking))
            .collect();
        assert!(headers.windows(2).all(|pair| pair[0] == pair[1]), "{headers:?}");
        assert_eq!(headers[0].1.is_none(), unit.keyframe);
    }
}

/// What comes back from the receiver, after a while.
enum Report {
    Has(u32),
    Lost { newest_good: Option<u32> },
}

#[derive(Debug, Default, PartialEq)]
struct Outcome {
    recoveries: u32,
    keyframes: u32,
    needed: u32,
    decodable: u32,
}

/// A link with this loss, burst length and delay of reports, in frames.
#[derive(Clone, Copy, Debug)]
struct Link {
    loss_percent: u32,
    burst: u32,
    delay: u32,
    ack_loss_percent: u32,
    /// Frames between two cuts of the clip.
    cut_every: u32,
}

/// Plays `frames` over the link, checking every picture.
fn play(encoder: &mut dyn VideoEncoder, clip: &Clip, frames: u32, link: Link, seed: u64) -> Outcome {
    let mut receiver = Receiver::new();
    let mut chance = Chance(seed | 1);
    let mut reports: BTreeMap<u32, VecDeque<Report>> = BTreeMap::new();
    let mut outcome = Outcome::default();
    let (mut promised, mut keyframe) = (None, false);
    let (mut lost, mut reported_loss) = (0, false);
    for frame in 0..frames {
        for report in reports.remove(&frame).unwrap_or_default() {
            match report {
                Report::Has(frame) => encoder.acknowledge(frame).expect("it works"),
                Report::Lost { newest_good: Some(newest_good) } => {
                    promised = Some((newest_good, encoder.invalidate(newest_good).expect("it works")));
                }
                Report::Lost { newest_good: None } => keyframe = true,
            }
        }
        let asked = std::mem::take(&mut keyframe);
        let Some(unit) = encoder
            .encode(&clip.draw(frame + frame / link.cut_every * 1_000), request(frame, 60, asked))
            .expect("it works")
        else {
            keyframe = asked;
            continue;
        };
        if asked {
            outcome.needed += 1;
            reported_loss = false;
        }
        assert_eq!(unit.keyframe, unit.refers_to.is_none());
        outcome.keyframes += u32::from(unit.keyframe);
        if let Some((newest_good, promise)) = promised.take() {
            reported_loss = false;
            match promise {
                Invalidated::Refers { frame } => {
                    outcome.recoveries += 1;
                    assert!(unit.keyframe || unit.refers_to == Some(frame), "{promise:?}: {unit:?}");
                    assert!(frame <= newest_good && receiver.decodable.contains(&frame), "{promise:?}");
                }
                Invalidated::KeyframeNeeded => {
                    outcome.needed += 1;
                    assert!(unit.keyframe, "frame {frame}");
                }
            }
        }
        lost = if lost > 0 { lost - 1 } else { link.burst * u32::from(chance.percent(link.loss_percent)) };
        let due = frame + link.delay;
        if receiver.take(&unit, lost == 0) {
            outcome.decodable += 1;
            if !chance.percent(link.ack_loss_percent) {
                reports.entry(due).or_default().push_back(Report::Has(frame));
            }
        } else if !reported_loss {
            reported_loss = true;
            let newest_good = receiver.decodable.last().copied();
            reports.entry(due).or_default().push_back(Report::Lost { newest_good });
        }
    }
    outcome
}

#[test]
fn a_lost_frame_is_recovered_without_a_keyframe() {
    let clip = Clip::new(SETTINGS.width, SETTINGS.height);
    let mut encoder = open(VideoBackend::OpenH264, SETTINGS);
    let link = Link { loss_percent: 3, burst: 1, delay: 2, ack_loss_percent: 0, cut_every: u32::MAX };
    let outcome = play(&mut *encoder, &clip, 1_500, link, 0x5eed);
    assert!(outcome.recoveries > 30, "{outcome:?}");
    assert_eq!((outcome.keyframes, outcome.needed), (1, 0), "{outcome:?}");
}

#[test]
fn pictures_are_right_after_the_numbers_of_frames_have_started_over() {
    let clip = Clip::new(64, 64);
    let settings = VideoSettings { width: 64, height: 64, bitrate_bps: 300_000, ..SETTINGS };
    let mut encoder = open(VideoBackend::OpenH264, settings);
    let link = Link { loss_percent: 1, burst: 2, delay: 3, ack_loss_percent: 10, cut_every: u32::MAX };
    // `frame_num` has 15 bits.
    let outcome = play(&mut *encoder, &clip, 34_000, link, 0xf00d);
    assert!(outcome.recoveries > 200 && outcome.keyframes <= 1 + outcome.needed, "{outcome:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn no_picture_is_ever_wrong_whatever_is_lost(
        loss_percent in 0u32..30,
        burst in 1u32..12,
        delay in 1u32..12,
        ack_loss_percent in 0u32..100,
        cut_every in 10u32..200,
        bitrate_bps in 200_000u32..4_000_000,
        seed in any::<u64>(),
        on_stand_in in any::<bool>()
    ) {
        let clip = Clip::new(SETTINGS.width, SETTINGS.height);
        let backend = if on_stand_in { VideoBackend::Nvenc } else { VideoBackend::OpenH264 };
        let mut encoder = open(backend, VideoSettings { bitrate_bps, ..SETTINGS });
        let link = Link { loss_percent, burst, delay, ack_loss_percent, cut_every };
        let outcome = play(&mut *encoder, &clip, 250, link, seed);
        prop_assert!(outcome.decodable > 0, "{link:?}: {outcome:?}");
    }

    #[test]
    fn nothing_that_a_receiver_says_breaks_the_stream(
        words in proptest::collection::vec((0u8..12, any::<u32>(), 0u32..80), 80),
        on_stand_in in any::<bool>()
    ) {
        let clips = [(192, 112), (96, 64)].map(|(width, height)| Clip::new(width, height));
        let mut clip = &clips[0];
        let backend = if on_stand_in { VideoBackend::Nvenc } else { VideoBackend::OpenH264 };
        let mut encoder = open(backend, SETTINGS);
        let mut whole = Decoder::new().unwrap();
        let mut forbidden = BTreeSet::new();
        let mut sent = BTreeSet::new();
        for (frame, (word, any, back)) in (0u32..).zip(words) {
            let recent = frame.saturating_sub(back % 20);
            match word {
                0 => encoder.acknowledge(any).unwrap(),
                1 | 2 => encoder.acknowledge(recent).unwrap(),
                3 => drop(encoder.invalidate(any).unwrap()),
                4 => {
                    encoder.invalidate(recent).unwrap();
                    forbidden.extend(sent.iter().copied().filter(|sent| *sent > recent));
                }
                5 => {
                    clip = &clips[any as usize % 2];
                    let surface = clip.draw(0);
                    encoder.set_size(surface.width(), surface.height()).unwrap();
                }
                6 => encoder.set_frame_rate(1 + any % 240).unwrap(),
                _ => {}
            }
            let budget_bytes = (back < 10).then_some(back * 300);
            let request = FrameRequest { budget_bytes, ..request(frame, 60, back == 79) };
            let Some(unit) = encoder.encode(&clip.draw(frame), request).unwrap() else { continue };
            luma(&mut whole, &unit);
            prop_assert_eq!(unit.keyframe, unit.refers_to.is_none());
            if let Some(reference) = unit.refers_to {
                prop_assert!(sent.contains(&reference) && !forbidden.contains(&reference));
            }
            sent.insert(frame);
        }
    }
}
