//! Whatever parses has exactly one byte form.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nearframe_protocol::auction::Bid;
use nearframe_protocol::check::CheckReport;
use nearframe_protocol::facts::FactsMessage;
use nearframe_protocol::input::InputPacket;
use nearframe_protocol::receipt::Receipt;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(packet) = InputPacket::parse(bytes) {
        let mut again = Vec::new();
        packet.write(&mut again);
        assert_eq!(again, bytes);
    }
    if let Ok(message) = FactsMessage::parse(bytes) {
        assert_eq!(message.to_bytes(), bytes);
    }
    if let Ok(receipt) = Receipt::parse(bytes) {
        assert_eq!(receipt.canonical(), bytes);
    }
    if let Ok(bid) = Bid::parse(bytes) {
        assert_eq!(bid.canonical(), bytes);
    }
    if let Ok(report) = CheckReport::parse(bytes) {
        assert_eq!(report.canonical(), bytes);
    }
});
