//! NVENC's HEVC, encoded by the stand-in with libx265, in a decoder of other people: libde265.

mod common;

use common::de265::{Shown, decoded};
use common::stand_in::StandIn;
use common::{Clip, request};
use nearframe_encode::h264::nals;
use nearframe_encode::{
    AccessUnit, Codec, EncoderChain, HdrMetadata, Invalidated, NvencEncoder, VideoBackend, VideoEncoder,
    VideoOptions, VideoPreference, VideoSettings,
};
use nearframe_gpu::{
    Converter, CpuPicture, Hdr10Picture, Hdr10Pixels, Layout, Picture, Surface, SurfaceRing, hdr10_code,
};

const SETTINGS: VideoSettings =
    VideoSettings { codec: Codec::Hevc, width: 320, height: 192, fps: 30, bitrate_bps: 1_500_000 };
/// Luma of a busy clip at this bitrate, in dB: well below what comes out, far above what a wrong reference leaves.
const FLOOR_DB: f64 = 26.0;
/// `SPS_NUT`.
const SEQUENCE_SET: u8 = 33;
/// `PREFIX_SEI_NUT`.
const PREFIX_SEI: u8 = 39;

fn encode(encoder: &mut NvencEncoder, surface: &Surface, frame: u32) -> AccessUnit {
    encoder
        .encode(surface, request(frame, SETTINGS.fps, false))
        .expect("it encodes")
        .expect("no frame is left out")
}

fn stream<'a>(units: impl IntoIterator<Item = &'a AccessUnit>) -> Vec<u8> {
    units.into_iter().flat_map(|unit| unit.data.clone()).collect()
}

/// Against samples of `bits` bits.
fn psnr(shown: &Shown, samples: impl Iterator<Item = u16>, bits: u32) -> f64 {
    assert_eq!((shown.width, shown.height), (SETTINGS.width as usize, SETTINGS.height as usize));
    let squares: f64 = shown.luma.iter().zip(samples).map(|(a, b)| f64::from(a.abs_diff(b)).powi(2)).sum();
    let peak = f64::from((1_u32 << bits) - 1);
    10.0 * (peak * peak * shown.luma.len() as f64 / squares.max(1.0)).log10()
}

fn luma(surface: &Surface) -> impl Iterator<Item = u16> {
    surface.as_cpu().expect("the clip lies in memory").luma().iter().map(|sample| u16::from(*sample))
}

#[test]
fn another_decoder_shows_what_was_encoded_also_around_a_loss() {
    let stand_in = StandIn::new();
    let mut encoder = NvencEncoder::open(SETTINGS, &stand_in.options()).unwrap();
    let clip = Clip::of(Layout::Nv12, SETTINGS.width, SETTINGS.height);
    let mut units: Vec<AccessUnit> =
        (0..12).map(|frame| encode(&mut encoder, &clip.draw(frame), frame)).collect();
    // Frames 10 and 11 are lost; frame 9 is the newest that the receiver has.
    encoder.acknowledge(9).unwrap();
    assert_eq!(encoder.invalidate(9).unwrap(), Invalidated::Refers { frame: 9 });
    units.truncate(10);
    encoder.set_bitrate(SETTINGS.bitrate_bps / 2).unwrap();
    units.extend((12..20).map(|frame| encode(&mut encoder, &clip.draw(frame), frame)));
    assert!(units.iter().all(|unit| unit.keyframe == (unit.frame == 0)), "no loss costs a keyframe");
    let shown = decoded(&stream(&units));
    assert_eq!(shown.len(), units.len());
    for (picture, unit) in shown.iter().zip(&units) {
        let quality = psnr(picture, luma(&clip.draw(unit.frame)), 8);
        assert!(quality > FLOOR_DB, "frame {}: {quality:.1} dB", unit.frame);
        assert_eq!(picture.colours, [0, 1, 1, 1], "BT.709, limited range");
    }
    drop(encoder);
    stand_in.assert_clean("HEVC");
}

#[test]
fn a_keyframe_on_request_can_be_begun_with() {
    let stand_in = StandIn::new();
    let mut encoder = NvencEncoder::open(SETTINGS, &stand_in.options()).unwrap();
    let clip = Clip::of(Layout::Nv12, SETTINGS.width, SETTINGS.height);
    (0..5).for_each(|frame| drop(encode(&mut encoder, &clip.draw(frame), frame)));
    let asked = encoder.encode(&clip.draw(5), request(5, SETTINGS.fps, true)).unwrap().unwrap();
    assert!(asked.keyframe && asked.refers_to.is_none());
    let next = encode(&mut encoder, &clip.draw(6), 6);
    let shown = decoded(&stream([&asked, &next]));
    assert_eq!(shown.len(), 2);
    assert!(psnr(&shown[1], luma(&clip.draw(6)), 8) > FLOOR_DB);
}

/// Ten bits in the high ones of sixteen, with values between those that eight bits have.
fn ten_bits(clip: &Clip, frame: u32) -> (Surface, Vec<u16>) {
    let eight = clip.draw(frame);
    let eight = eight.as_cpu().expect("the clip lies in memory");
    let ring = SurfaceRing::new(Layout::P010, SETTINGS.width, SETTINGS.height);
    let mut surface = ring.take().expect("a fresh ring");
    let fine = |at: usize, sample: u8| u16::from(sample) << 2 | (at % 4) as u16;
    let luma: Vec<u16> = eight.luma().iter().enumerate().map(|(at, sample)| fine(at, *sample)).collect();
    let chroma = eight.chroma().iter().enumerate().map(|(at, sample)| fine(at, *sample));
    let (to_luma, to_chroma) = surface.planes_mut();
    let fill = |to: &mut [u8], from: &mut dyn Iterator<Item = u16>| {
        for (pair, sample) in to.chunks_exact_mut(2).zip(from) {
            pair.copy_from_slice(&(sample << 6).to_le_bytes());
        }
    };
    fill(to_luma, &mut luma.iter().copied());
    fill(to_chroma, &mut chroma.into_iter());
    (surface.into(), luma)
}

#[test]
fn ten_bits_are_ten_bits_at_the_other_end() {
    let stand_in = StandIn::new();
    let settings = VideoSettings { codec: Codec::Hevc10, ..SETTINGS };
    let mut encoder = NvencEncoder::open(settings, &stand_in.options()).unwrap();
    let clip = Clip::of(Layout::Nv12, SETTINGS.width, SETTINGS.height);
    let pictures: Vec<_> = (0..6).map(|frame| ten_bits(&clip, frame)).collect();
    let units: Vec<_> =
        (0..).zip(&pictures).map(|(frame, (surface, _))| encode(&mut encoder, surface, frame)).collect();
    let shown = decoded(&stream(&units));
    assert_eq!(shown.len(), units.len());
    for (at, (picture, (_, luma))) in shown.iter().zip(&pictures).enumerate() {
        let quality = psnr(picture, luma.iter().copied(), 10);
        assert!(quality > FLOOR_DB, "frame {at}: {quality:.1} dB");
    }
}

/// Payloads of supplemental enhancement information, by their types.
fn enhancements(unit: &AccessUnit) -> Vec<(u8, Vec<u8>)> {
    let mut found = Vec::new();
    for nal in nals(&unit.data).filter(|nal| nal.bytes[0] >> 1 & 0x3f == PREFIX_SEI) {
        let payload = nal.payload(usize::MAX);
        let mut rest = &payload[1..];
        while let [kind, length, tail @ ..] = rest {
            let (content, tail) = tail.split_at(usize::from(*length));
            found.push((*kind, content.to_vec()));
            rest = if tail == [0x80] { &[] } else { tail };
        }
    }
    found
}

/// Steps of light that a picture in HDR10 shows, one column each, cd/m².
const STEPS: [f64; 8] = [0.0, 0.1, 1.0, 10.0, 100.0, 203.0, 500.0, 1000.0];

/// The steps as frames in P010.
fn steps() -> Surface {
    let (width, height) = (SETTINGS.width, SETTINGS.height);
    let columns = (0..height).flat_map(|_| 0..width);
    let light = columns.map(|x| STEPS[x as usize * STEPS.len() / width as usize]);
    let data: Vec<u8> = light
        .flat_map(|nits| {
            let code = u32::from(hdr10_code(nits));
            (code | code << 10 | code << 20 | 3 << 30).to_le_bytes()
        })
        .collect();
    let pixels = Hdr10Pixels::Cpu(CpuPicture { width, height, stride: 4 * width, data: &data });
    let mut converter = Converter::new(None, Layout::P010, width, height).expect("it needs no device");
    converter
        .convert(&Picture::Hdr10(Hdr10Picture { pixels, peak_nits: 1000 }))
        .expect("the picture is whole")
        .expect("a picture in memory is converted at once")
}

#[test]
fn hdr10_says_its_colours_and_its_light_with_every_keyframe_and_another_decoder_shows_its_levels() {
    let stand_in = StandIn::new();
    let options = VideoOptions {
        preference: VideoPreference::Only(VideoBackend::Nvenc),
        nvenc: stand_in.options(),
        near: None,
        hdr: Some(HdrMetadata { peak_nits: 1000, average_nits: 400 }),
    };
    let mut chain = EncoderChain::open(VideoSettings { codec: Codec::Hevc, ..SETTINGS }, options).unwrap();
    let clip = Clip::of(Layout::Nv12, SETTINGS.width, SETTINGS.height);
    let standard = chain.encode(&clip.draw(0), request(0, SETTINGS.fps, false)).unwrap().unwrap();
    assert!(enhancements(&standard).is_empty(), "nothing is said of standard range");
    chain.set_codec(Codec::Hevc10).unwrap();
    let picture = steps();
    let units: Vec<_> = (1..9)
        .map(|frame| chain.encode(&picture, request(frame, SETTINGS.fps, frame == 5)).unwrap().unwrap())
        .collect();
    for unit in &units {
        let said: Vec<_> = enhancements(unit).into_iter().map(|(kind, _)| kind).collect();
        let wanted: &[u8] = if unit.keyframe { &[137, 144] } else { &[] };
        assert_eq!((said.as_slice(), unit.keyframe), (wanted, unit.frame == 1 || unit.frame == 5));
    }
    let [(_, display), (_, light)] = &enhancements(&units[0])[..] else { panic!("two of them") };
    assert_eq!(display[..4], [8_500_u16.to_be_bytes(), 39_850_u16.to_be_bytes()].concat(), "green");
    assert_eq!(display[16..20], 10_000_000_u32.to_be_bytes(), "1000 cd/m², in steps of 0.0001");
    assert_eq!(light[..], [1000_u16.to_be_bytes(), 400_u16.to_be_bytes()].concat());
    let shown = decoded(&stream(&units));
    assert_eq!(shown.len(), units.len());
    for picture in &shown {
        assert_eq!(picture.colours, [0, 9, 16, 9], "BT.2020, ST 2084, limited range");
        let row = &picture.luma[96 * picture.width..][..picture.width];
        for (step, nits) in STEPS.iter().enumerate() {
            let wanted = 64.0 + 876.0 * f64::from(hdr10_code(*nits)) / 1023.0;
            let got = f64::from(row[(2 * step + 1) * picture.width / (2 * STEPS.len())]);
            assert!((got - wanted).abs() <= 4.0, "{nits} cd/m²: {got} for {wanted:.1}");
        }
    }
}

/// Profile, tier and 30 times the level of every sequence parameter set (7.3.3).
fn declared(unit: &AccessUnit) -> Vec<(u8, bool, u8)> {
    let sets = nals(&unit.data).filter(|nal| nal.bytes[0] >> 1 & 0x3f == SEQUENCE_SET);
    // Behind the header's second byte lie a byte of ids, profile and tier, ten bytes of flags, the level.
    let fields = sets.map(|nal| nal.payload(14));
    fields.map(|bytes| (bytes[2] & 31, bytes[2] >> 5 & 1 == 1, bytes[13])).collect()
}

#[test]
fn the_stream_is_of_the_profile_and_tier_that_are_negotiated() {
    // `profile-id` of the answer to a page; the tier is the main one where nothing is said.
    for (codec, profile_id) in [(Codec::Hevc, 1), (Codec::Hevc10, 2)] {
        for bitrate_bps in [1_000_000, 30_000_000] {
            let stand_in = StandIn::new();
            let settings = VideoSettings { codec, bitrate_bps, ..SETTINGS };
            let mut encoder = NvencEncoder::open(settings, &stand_in.options()).unwrap();
            let clip = Clip::of(Layout::Nv12, SETTINGS.width, SETTINGS.height);
            let surface = if codec == Codec::Hevc { clip.draw(0) } else { ten_bits(&clip, 0).0 };
            let declared = declared(&encode(&mut encoder, &surface, 0));
            assert!(!declared.is_empty());
            for (profile, high_tier, level) in declared {
                assert_eq!((profile, high_tier), (profile_id, false), "{codec} at {bitrate_bps}");
                // 4.0 carries 12 Mbit/s in the main tier, 5.1 carries 40.
                assert!(
                    if bitrate_bps > 12_000_000 { level >= 153 } else { level >= 90 },
                    "{codec}: {level}"
                );
            }
        }
    }
}
