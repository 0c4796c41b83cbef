//! NVENC's AV1, encoded by the stand-in with libaom, in a decoder of other people: dav1d.

mod common;

use common::stand_in::StandIn;
use common::{Clip, request};
use nearframe_encode::h264::BitReader;
use nearframe_encode::{AccessUnit, Codec, Invalidated, NvencEncoder, VideoEncoder, VideoSettings};
use nearframe_gpu::{Layout, Surface};
use std::process::{Command, Stdio};

const SETTINGS: VideoSettings =
    VideoSettings { codec: Codec::Av1, width: 320, height: 192, fps: 30, bitrate_bps: 1_500_000 };
/// Luma of a busy clip at this bitrate, in dB: well below what comes out, far above what a wrong reference leaves.
const FLOOR_DB: f64 = 27.0;

fn encode(encoder: &mut NvencEncoder, surface: &Surface, frame: u32) -> AccessUnit {
    encoder
        .encode(surface, request(frame, SETTINGS.fps, false))
        .expect("it encodes")
        .expect("no frame is left out")
}

/// The luma of every picture that dav1d shows of these temporal units.
fn decoded(units: &[&AccessUnit]) -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().expect("a folder for the stream");
    let (stream, shown) = (folder.path().join("stream.obu"), folder.path().join("shown.yuv"));
    let bytes: Vec<u8> = units.iter().flat_map(|unit| unit.data.clone()).collect();
    std::fs::write(&stream, bytes).expect("the stream is written");
    let run = Command::new("dav1d")
        .args(["--demuxer", "section5", "--muxer", "yuv", "--quiet", "--input"])
        .arg(&stream)
        .arg("--output")
        .arg(&shown)
        .stdout(Stdio::null())
        .output()
        .expect("dav1d is installed by scripts/setup.sh");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let samples = (SETTINGS.width * SETTINGS.height) as usize;
    let pictures = std::fs::read(&shown).expect("dav1d wrote its pictures");
    pictures.chunks_exact(samples * 3 / 2).map(|picture| picture[..samples].to_vec()).collect()
}

fn psnr(shown: &[u8], surface: &Surface) -> f64 {
    let luma = surface.as_cpu().expect("the clip lies in memory").luma();
    let squares: f64 = shown.iter().zip(luma).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum();
    10.0 * (255.0 * 255.0 * luma.len() as f64 / squares.max(1.0)).log10()
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
    let shown = decoded(&units.iter().collect::<Vec<_>>());
    assert_eq!(shown.len(), units.len());
    for (picture, unit) in shown.iter().zip(&units) {
        let quality = psnr(picture, &clip.draw(unit.frame));
        assert!(quality > FLOOR_DB, "frame {}: {quality:.1} dB", unit.frame);
    }
    drop(encoder);
    stand_in.assert_clean("AV1");
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
    let shown = decoded(&[&asked, &next]);
    assert_eq!(shown.len(), 2);
    assert!(psnr(&shown[1], &clip.draw(6)) > FLOOR_DB);
}

/// Profile and tier of the sequence header (AV1 specification, 5.5.1).
fn declared(unit: &AccessUnit) -> Option<(u32, bool)> {
    const SEQUENCE_HEADER: u8 = 1;
    let mut rest = unit.data.as_slice();
    while let Some((&header, after)) = rest.split_first() {
        assert_eq!(header & 0b111, 0b010, "OBUs have a size and no extension");
        let end = after.iter().position(|byte| byte & 0x80 == 0)?;
        let size = after[..=end].iter().rev().fold(0, |size, byte| size << 7 | usize::from(byte & 0x7f));
        let (content, next) = after[end + 1..].split_at_checked(size)?;
        if header >> 3 & 15 == SEQUENCE_HEADER {
            let mut bits = BitReader::new(content);
            let profile = bits.bits(3)?;
            // No still picture, no reduced header, no timing; a display delay may be told; one operating point.
            assert_eq!((bits.bits(2)?, bits.bit()?), (0, false));
            bits.bit()?;
            assert_eq!((bits.bits(5)?, bits.bits(12)?), (0, 0));
            let level = bits.bits(5)?;
            return Some((profile, level > 7 && bits.bit()?));
        }
        rest = next;
    }
    None
}

#[test]
fn the_stream_is_of_the_profile_and_tier_that_are_negotiated() {
    let stand_in = StandIn::new();
    for bitrate_bps in [1_000_000, 30_000_000] {
        let settings = VideoSettings { bitrate_bps, ..SETTINGS };
        let mut encoder = NvencEncoder::open(settings, &stand_in.options()).unwrap();
        let clip = Clip::of(Layout::Nv12, SETTINGS.width, SETTINGS.height);
        assert_eq!(declared(&encode(&mut encoder, &clip.draw(0), 0)), Some((0, false)), "main, tier 0");
    }
}
