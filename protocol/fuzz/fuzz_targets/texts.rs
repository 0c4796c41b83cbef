//! Texts from outside are read or refused, never more.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nearframe_protocol::attest::Fingerprint;
use nearframe_protocol::title::TitleManifest;
use nearframe_protocol::{api, control, link, signal, worker};

fuzz_target!(|text: &str| {
    let _ = TitleManifest::parse(text);
    let _ = Fingerprint::from_sdp(text);
    let _ = serde_json::from_str::<signal::FromPage>(text);
    let _ = serde_json::from_str::<control::FromPage>(text);
    let _ = serde_json::from_str::<link::FromNode>(text);
    let _ = serde_json::from_str::<link::ToNode>(text);
    let _ = serde_json::from_str::<worker::FromWorker>(text);
    let _ = serde_json::from_str::<api::CreateSession>(text);
});
