//! `facts.json`: the frame facts channel.

use crate::golden;
use nearframe_protocol::facts::{FactsMessage, FrameFacts};
use serde_json::{Value, json};

fn value(message: &FactsMessage) -> Value {
    match message {
        FactsMessage::Frame(f) => json!({
            "kind": "frame", "keyframe": f.keyframe, "rtp_timestamp": f.rtp_timestamp,
            "captured_us": f.captured_us, "input_serial": f.input_serial, "frame": f.frame,
            "target_kbps": f.target_kbps, "size_bytes": f.size_bytes, "drawn_us": f.drawn_us,
            "converted_us": f.converted_us, "encoded_us": f.encoded_us, "sent_us": f.sent_us,
        }),
        FactsMessage::Ping { t } => json!({"kind": "ping", "t": t}),
        FactsMessage::Pong { t, node_us } => json!({"kind": "pong", "t": t, "node_us": node_us}),
        FactsMessage::Shown { rtp_timestamp, wait_us, decode_us } => json!({
            "kind": "shown", "rtp_timestamp": rtp_timestamp, "wait_us": wait_us, "decode_us": decode_us,
        }),
    }
}

fn messages() -> Vec<(&'static str, FactsMessage)> {
    let delta = FrameFacts {
        keyframe: false,
        rtp_timestamp: 0xfeed_beef,
        captured_us: 1_234_567_890_123,
        input_serial: 41,
        frame: 3600,
        target_kbps: 12_000,
        size_bytes: 24_817,
        drawn_us: 2100,
        converted_us: 3350,
        encoded_us: 6900,
        sent_us: 7040,
    };
    let key = FrameFacts { keyframe: true, frame: 0, size_bytes: 65_536, ..delta };
    // 2^53 − 1: the largest integer that a JSON number carries exactly into JavaScript.
    let late = FrameFacts {
        captured_us: 9_007_199_254_740_991,
        input_serial: u32::MAX,
        frame: u32::MAX,
        sent_us: u32::MAX,
        ..delta
    };
    vec![
        ("a delta frame", FactsMessage::Frame(delta)),
        ("a keyframe", FactsMessage::Frame(key)),
        ("a frame with the largest fields", FactsMessage::Frame(late)),
        ("a frame of zeros", FactsMessage::Frame(FrameFacts::default())),
        ("a ping", FactsMessage::Ping { t: 5_000_001 }),
        ("a pong", FactsMessage::Pong { t: 5_000_001, node_us: 77_000_000_777 }),
        (
            "a frame shown after waiting",
            FactsMessage::Shown { rtp_timestamp: 90_000, wait_us: 3125, decode_us: 1900 },
        ),
        (
            "a frame shown late",
            FactsMessage::Shown { rtp_timestamp: u32::MAX, wait_us: -1250, decode_us: 12_000 },
        ),
    ]
}

fn refused() -> Vec<Value> {
    let ping = FactsMessage::Ping { t: 1 }.to_bytes();
    let frame = FactsMessage::Frame(FrameFacts::default()).to_bytes();
    let with = |bytes: &[u8], at: usize, value: u8| {
        let mut bytes = bytes.to_vec();
        bytes[at] = value;
        bytes
    };
    [
        ("nothing", vec![]),
        ("a version from the future", with(&ping, 0, 2)),
        ("an unknown kind", with(&ping, 1, 5)),
        ("an unknown flag", with(&frame, 2, 2)),
        ("a ping cut short", ping[..9].to_vec()),
        ("a ping with a byte too many", [&ping[..], &[0]].concat()),
    ]
    .iter()
    .map(|(name, bytes)| golden::refused(name, bytes, FactsMessage::parse))
    .collect()
}

#[test]
fn frame_facts_have_these_bytes() {
    let good = messages().into_iter().map(|(name, message)| {
        let bytes = message.to_bytes();
        assert_eq!(FactsMessage::parse(&bytes), Ok(message), "{name}");
        json!({"name": name, "hex": hex::encode(bytes), "value": value(&message)})
    });
    golden::check("facts.json", &good.chain(refused()).collect());
}
