//! `capability.json`: what a node can do, signed with a key from a fixed seed.

use crate::golden;
use nearframe_protocol::NodeKey;
use nearframe_protocol::capability::{
    AdapterCapability, Capability, ConversionCapability, EncoderCapability, Missing, SignedCapability,
};
use nearframe_protocol::uplink::Uplink;
use serde_json::{Value, json};

const NODE_SEED: [u8; 32] = [0x11; 32];

fn measured() -> Capability {
    let conversion = |adapter: &str, width, height, frame_us| ConversionCapability {
        adapter: adapter.to_owned(),
        width,
        height,
        frame_us,
    };
    let encoder = |name: &str, codec: &str, frame_us, sessions| EncoderCapability {
        name: name.to_owned(),
        codec: codec.to_owned(),
        width: 1920,
        height: 1080,
        frame_us,
        sessions,
    };
    Capability {
        measured_at_ms: 1_795_000_000_000,
        release: "0.1.0".to_owned(),
        sessions: 12,
        adapters: vec![AdapterCapability {
            name: "NVIDIA GeForce RTX 4070".to_owned(),
            kind: "discrete".to_owned(),
            driver: "NVIDIA 570.86".to_owned(),
            memory_mib: 12_282,
            exports: true,
        }],
        conversions: vec![
            conversion("cpu", 1280, 720, 210),
            conversion("NVIDIA GeForce RTX 4070", 3840, 2160, 190),
        ],
        encoders: vec![encoder("NVENC", "HEVC 10 bit", 2_100, 8), encoder("OpenH264", "H.264", 11_900, 3)],
        missing: vec![Missing {
            what: "Vulkan Video".to_owned(),
            why: "the driver lacks VK_KHR_video_encode_queue — update it".to_owned(),
        }],
        uplink: None,
    }
}

fn with_uplink() -> Capability {
    let uplink = Uplink { bytes: 9_830_400, elapsed_us: 1_966_080, at_least: false };
    Capability { uplink: Some(uplink), ..measured() }
}

fn entry(name: &str, capability: Capability) -> Value {
    let node = NodeKey::from_seed(NODE_SEED);
    assert_eq!(Capability::parse(&capability.canonical()).as_ref(), Ok(&capability), "{name}");
    capability.check().unwrap();
    let signed = SignedCapability::sign(&node, capability);
    signed.verify(&node.public()).unwrap();
    json!({
        "name": name,
        "hex": hex::encode(signed.capability.canonical()),
        "value": signed,
        "signed_hex": hex::encode(signed.capability.signed_bytes()),
        "node_seed": hex::encode(NODE_SEED),
        "node_key": node.public(),
    })
}

#[test]
fn reports_of_what_a_node_can_do_have_these_bytes_and_signatures() {
    let node = NodeKey::from_seed(NODE_SEED);
    let mut tampered = SignedCapability::sign(&node, measured());
    tampered.capability.sessions += 1;
    assert!(tampered.verify(&node.public()).is_err(), "a changed report passes");
    let good = measured().canonical();
    // Whether an adapter exports follows its memory.
    let memory = 12_282_u32.to_le_bytes();
    let exports = good.windows(4).position(|window| window == memory).unwrap() + 4;
    let with = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        bytes
    };
    let with_uplink = with_uplink();
    let wide = with_uplink.canonical();
    let doubtful = [&wide[..wide.len() - 1], &[2]].concat();
    let mut entries = vec![
        entry("nothing measured", Capability::default()),
        entry("a GPU host", measured()),
        entry("a GPU host with its uplink", with_uplink),
    ];
    let refused: [(&str, Vec<u8>); 7] = [
        ("no bytes", vec![]),
        ("another magic", with(7, b'3')),
        ("an uplink that is announced and not there", with(7, b'2')),
        ("a bound of 2", doubtful),
        ("a truth value of 2", with(exports, 2)),
        ("a report cut short", good[..good.len() - 1].to_vec()),
        ("a byte too many", [&good[..], &[0]].concat()),
    ];
    entries.extend(refused.iter().map(|(name, bytes)| golden::refused(name, bytes, Capability::parse)));
    golden::check("capability.json", &entries.into());
}
