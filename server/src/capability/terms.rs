//! What placement is told of a node, from what was measured there.

use nearframe_protocol::VideoCodec;
use nearframe_protocol::capability::{Capability, ConversionCapability, EncoderCapability};
use nearframe_protocol::terms::NodeTerms;

/// Share of a second that encoding may take.
const BUSY: u64 = 900_000;
/// Frames a second that can be asked for.
const MAX_FPS: u64 = 240;
/// Sessions are placed by this many frames a second at least.
const MIN_FPS: u64 = 60;
/// µs of converting a frame of 1080p on a GPU below which it is of a higher tier: an integrated one of some years
/// ago takes 4 ms, the best cards 60 µs.
const TIERS_US: [u32; 6] = [4_000, 2_000, 1_000, 500, 250, 120];

/// Codecs, the largest picture and the tier of the GPU. What a release takes for granted of every node, 720p60 in
/// H.264, is not stated smaller: pictures follow what a machine bears.
pub(crate) fn terms(capability: &Capability) -> NodeTerms {
    let (max_width, max_height, max_fps) = largest(&capability.encoders).unwrap_or_default();
    NodeTerms {
        codecs: codecs(&capability.encoders),
        max_width,
        max_height,
        max_fps,
        gpu_tier: gpu_tier(capability),
        ..NodeTerms::default()
    }
}

fn codecs(encoders: &[EncoderCapability]) -> Vec<String> {
    let known = |codec: &VideoCodec| {
        let name = codec.to_string();
        *codec == VideoCodec::H264 || encoders.iter().any(|encoder| encoder.codec == name)
    };
    // Ten bits are a profile of HEVC, no codec that placement chooses by.
    let chosen = [VideoCodec::H264, VideoCodec::Hevc, VideoCodec::Av1].into_iter().filter(known);
    chosen.map(|codec| codec.name().to_owned()).collect()
}

/// The most pixels a second at no less than 60 frames.
fn largest(encoders: &[EncoderCapability]) -> Option<(u32, u32, u32)> {
    let fps = |encoder: &EncoderCapability| (BUSY / u64::from(encoder.frame_us.max(1))).min(MAX_FPS);
    let pixels = |encoder: &EncoderCapability| u64::from(encoder.width) * u64::from(encoder.height);
    let fast = encoders.iter().filter(|encoder| fps(encoder) >= MIN_FPS);
    let best = fast.max_by_key(|encoder| pixels(encoder) * fps(encoder))?;
    Some((best.width.into(), best.height.into(), fps(best) as u32))
}

fn gpu_tier(capability: &Capability) -> u8 {
    let hardware = |name: &str| {
        let mut adapters = capability.adapters.iter();
        adapters.any(|adapter| adapter.name == name && adapter.kind != "software")
    };
    let of_1080p = |one: &&ConversionCapability| one.height == 1080 && hardware(&one.adapter);
    let fastest = capability.conversions.iter().filter(of_1080p).map(|one| one.frame_us).min();
    fastest.map_or(0, |took| 1 + TIERS_US.iter().filter(|limit| took < **limit).count() as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearframe_protocol::capability::AdapterCapability;

    fn encoder(codec: &str, (width, height): (u16, u16), frame_us: u32) -> EncoderCapability {
        EncoderCapability {
            name: "test".to_owned(),
            codec: codec.to_owned(),
            width,
            height,
            frame_us,
            sessions: 1,
        }
    }

    fn on_gpu(kind: &str, frame_us: u32) -> Capability {
        Capability {
            adapters: vec![AdapterCapability {
                name: "card".to_owned(),
                kind: kind.to_owned(),
                driver: String::new(),
                memory_mib: 0,
                exports: true,
            }],
            conversions: vec![ConversionCapability {
                adapter: "card".to_owned(),
                width: 1920,
                height: 1080,
                frame_us,
            }],
            ..Capability::default()
        }
    }

    #[test]
    fn placement_is_told_what_was_measured_and_never_less_than_every_node_does() {
        let slow =
            Capability { encoders: vec![encoder("H.264", (1280, 720), 40_000)], ..Capability::default() };
        let told = terms(&slow);
        assert_eq!(
            (told.codecs.as_slice(), told.max_width, told.max_fps),
            (["h264".to_owned()].as_slice(), 0, 0)
        );
        let fast = Capability {
            encoders: vec![
                encoder("H.264", (3840, 2160), 8_000),
                encoder("AV1", (3840, 2160), 9_000),
                encoder("HEVC", (1920, 1080), 1_000),
                encoder("HEVC 10 bit", (1920, 1080), 2_000),
            ],
            ..Capability::default()
        };
        let told = terms(&fast);
        assert_eq!(told.codecs, ["h264", "hevc", "av1"]);
        assert_eq!((told.max_width, told.max_height, told.max_fps), (3840, 2160, 112));
    }

    #[test]
    fn a_gpu_of_software_has_no_tier_and_others_one_by_their_speed() {
        let tier = |kind, frame_us| terms(&on_gpu(kind, frame_us)).gpu_tier;
        assert_eq!((tier("software", 10), tier("integrated", 9_000)), (0, 1));
        assert_eq!((tier("integrated", 3_000), tier("discrete", 300), tier("discrete", 50)), (2, 5, 7));
        assert_eq!(terms(&Capability::default()).gpu_tier, 0);
    }
}
