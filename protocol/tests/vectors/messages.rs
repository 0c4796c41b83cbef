//! `messages.json`: one example of every JSON message on the control channel and in signalling.

use crate::golden;
use nearframe_protocol::attest::{Attestation, Fingerprint};
use nearframe_protocol::key::Nonce;
use nearframe_protocol::network::IceServer;
use nearframe_protocol::{
    EndReason, NodeKey, PeerId, Seat, SessionId, SessionState, Signature, VersionOffer, Versions, VideoCodec,
    control, signal,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn peer() -> PeerId {
    PeerId::from_bytes([0xab; 16])
}

/// Entries for all messages of one direction; fails where a message is not read back as itself.
fn entries<M: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(
    door: &str,
    from: &str,
    kinds: &[&str],
    messages: Vec<M>,
) -> Vec<Value> {
    let mut seen = BTreeSet::new();
    let entries = messages
        .into_iter()
        .map(|message| {
            let value = serde_json::to_value(&message).unwrap();
            assert_eq!(serde_json::from_value::<M>(value.clone()).unwrap(), message);
            let kind = value["type"].as_str().unwrap().to_owned();
            let name = format!("{door} from {from}: {kind}");
            seen.insert(kind);
            json!({"name": name, "door": door, "from": from, "value": value})
        })
        .collect();
    assert_eq!(seen, kinds.iter().map(|&kind| kind.to_owned()).collect(), "{door} from {from}");
    entries
}

/// Lists a message's kinds; does not compile once a variant is added, until its example is here.
macro_rules! kinds {
    ($message:ty: $($variant:ident = $kind:literal),+ $(,)?) => {{
        fn covered(message: &$message) {
            use $message as M;
            match message { $(M::$variant { .. } => (),)+ }
        }
        let _ = covered;
        &[$($kind),+]
    }};
}

fn control_entries() -> Vec<Value> {
    use control::{FromPage, QualityLimit, ToPage};
    let from_page = vec![
        FromPage::Hello { versions: Versions::current() },
        FromPage::Display { width: 1920, height: 1080, refresh_hz: 59.5 },
        FromPage::ReceiptSignature { sequence: 7, signature: Signature::from_bytes([0x5a; 64]) },
        FromPage::Hidden { hidden: true },
        FromPage::Leave,
        FromPage::Keyboard { layout: "de".to_owned(), variant: "nodeadkeys".to_owned() },
        FromPage::Clipboard { text: "from the player".to_owned() },
        FromPage::Microphone { on: true },
        FromPage::Decoders {
            decoders: VideoCodec::ALL
                .map(|codec| control::DecoderFacts {
                    codec,
                    smooth: codec != VideoCodec::Hevc10,
                    efficient: codec == VideoCodec::H264,
                })
                .to_vec(),
            on_battery: true,
            hdr: true,
        },
        FromPage::DataCap { kbps: Some(3000) },
        FromPage::DataCap { kbps: None },
    ];
    let to_page = vec![
        ToPage::Hello { versions: Versions::current() },
        ToPage::Session {
            seat: Seat(0),
            title: "Meteor".to_owned(),
            kind: nearframe_protocol::title::TitleKind::Builtin,
            width: 1280,
            height: 720,
            fps: 60,
            encoder: "OpenH264".to_owned(),
            adapter: "llvmpipe (software)".to_owned(),
            conversion: "simd".to_owned(),
        },
        ToPage::Receipt { bytes: "TkZSQ1BUMDE=".to_owned() },
        ToPage::Rumble { pad: 0, strong: 65_535, weak: 0, duration_ms: 120 },
        ToPage::Cursor { cursor: control::Cursor::Hidden },
        ToPage::Cursor { cursor: control::Cursor::Named { name: "pointer".to_owned() } },
        ToPage::Cursor {
            cursor: control::Cursor::Picture {
                png: "iVBORw0KGgo=".to_owned(),
                hot_x: 1,
                hot_y: 2,
                width: 24,
                height: 32,
            },
        },
        ToPage::PointerLocked { locked: true },
        ToPage::Quality { width: 960, height: 540, fps: 60, limit: QualityLimit::Network },
        ToPage::Begins { rtp_timestamp: 3_000_000_001 },
        ToPage::TextInput { active: true },
        ToPage::Clipboard { text: "from the title".to_owned() },
        ToPage::Warning { text: "Your game cannot be kept at the moment.".to_owned() },
        ToPage::Ended { reason: EndReason::TitleExited, message: EndReason::TitleExited.advice().to_owned() },
    ];
    let mut all = entries(
        "control",
        "page",
        kinds!(FromPage: Hello = "hello", Display = "display", ReceiptSignature = "receipt_signature",
               Hidden = "hidden", Leave = "leave", Keyboard = "keyboard", Clipboard = "clipboard",
               Microphone = "microphone", Decoders = "decoders", DataCap = "data_cap"),
        from_page,
    );
    let kinds = kinds!(ToPage: Hello = "hello", Session = "session", Receipt = "receipt", Rumble = "rumble",
                       Cursor = "cursor", PointerLocked = "pointer_locked", TextInput = "text_input",
                       Clipboard = "clipboard", Quality = "quality", Begins = "begins", Warning = "warning", Ended = "ended");
    all.extend(entries("control", "node", kinds, to_page));
    all
}

fn signal_entries() -> Vec<Value> {
    use signal::{FromPage, ToPage};
    let nonce = Nonce::from_bytes([0x33; 32]);
    let attestation = Attestation::sign(
        &NodeKey::from_seed([0x11; 32]),
        SessionId::from_bytes([0x44; 16]),
        Fingerprint::from_bytes([0x55; 32]),
        nonce,
        1_795_000_000_000,
    );
    let candidate = "candidate:1 1 udp 2130706431 127.0.0.1 40000 typ host".to_owned();
    let from_page = vec![
        FromPage::Hello { versions: VersionOffer::current(), ticket: "a-ticket".to_owned() },
        FromPage::Offer { peer: peer(), seat: Seat(0), sdp: "v=0\r\n".to_owned(), nonce },
        FromPage::Candidate { peer: peer(), candidate: candidate.clone(), sdp_mid: Some("0".to_owned()) },
        FromPage::Candidate { peer: peer(), candidate: String::new(), sdp_mid: None },
        FromPage::Leave,
    ];
    let ice_server = IceServer {
        urls: vec!["turn:turn.example.com:3478?transport=udp".to_owned()],
        username: Some("1795000000:player".to_owned()),
        credential: Some("c2VjcmV0".to_owned()),
    };
    let stun =
        IceServer { urls: vec!["stun:stun.example.com:3478".to_owned()], username: None, credential: None };
    let to_page = vec![
        ToPage::Welcome { version: 1, ice_servers: vec![stun, ice_server] },
        ToPage::Answer { peer: peer(), sdp: "v=0\r\n".to_owned(), attestation },
        ToPage::Candidate { peer: peer(), candidate, sdp_mid: Some("0".to_owned()) },
        ToPage::Interruption { at_ms: 1_795_000_005_000 },
        ToPage::State { state: SessionState::Starting },
        ToPage::State { state: SessionState::Live },
        ToPage::State { state: SessionState::Ended },
        ToPage::Ended { reason: EndReason::NodeLost, message: EndReason::NodeLost.advice().to_owned() },
        ToPage::Error { code: "bad_ticket".to_owned(), message: "Start the game again.".to_owned() },
    ];
    let mut all = entries(
        "signal",
        "page",
        kinds!(FromPage: Hello = "hello", Offer = "offer", Candidate = "candidate", Leave = "leave"),
        from_page,
    );
    let kinds = kinds!(ToPage: Welcome = "welcome", Answer = "answer", Candidate = "candidate", State = "state",
                       Interruption = "interruption", Ended = "ended", Error = "error");
    all.extend(entries("signal", "matchmaker", kinds, to_page));
    all
}

#[test]
fn every_json_message_has_this_form() {
    let entries: Vec<Value> = control_entries().into_iter().chain(signal_entries()).collect();
    golden::check("messages.json", &entries.into());
}
