//! What a datagram is answered with. No socket and no clock: both come in.
//!
//! **Architecture invariant:** an answer goes to the sender alone, is never longer than what was asked, and only
//! whoever knows a ticket's password gets one.

use super::limits::Limits;
use nearframe_protocol::measure::{ReflectorSecret, Ticket};
use rtc::crypto::RTCCryptoProvider;
use rtc::stun::attributes::ATTR_USERNAME;
use rtc::stun::fingerprint::FINGERPRINT;
use rtc::stun::integrity::MessageIntegrity;
use rtc::stun::message::{
    BINDING_REQUEST, BINDING_SUCCESS, CLASS_INDICATION, METHOD_BINDING, Message, MessageType, Setter,
    TransactionId,
};
use rtc::stun::xoraddr::XorMappedAddress;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// A check has about 120 bytes; nothing of use is longer (RFC 8489, section 6.1: below every path's MTU).
pub(super) const MAX_DATAGRAM_BYTES: usize = 548;

/// Answers ICE connectivity checks (RFC 8445, section 7.3) as an agent that never sends any: RFC 8445's lite one.
pub(super) struct Answerer {
    pub(super) secret: ReflectorSecret,
    pub(super) crypto: Arc<dyn RTCCryptoProvider>,
    pub(super) limits: Limits,
}

impl Answerer {
    /// The answer to `datagram`, if it deserves one. `now_s`: Unix s by the matchmaker's clock.
    pub(super) fn answer(
        &mut self,
        datagram: &[u8],
        from: SocketAddr,
        now: Instant,
        now_s: u64,
    ) -> Option<Vec<u8>> {
        if datagram.len() > MAX_DATAGRAM_BYTES {
            return None;
        }
        let mut request = Message::new();
        request.unmarshal_binary(datagram).ok()?;
        if request.typ != BINDING_REQUEST {
            return None;
        }
        let username = String::from_utf8(request.get(ATTR_USERNAME).ok()?).ok()?;
        let (ours, _) = username.split_once(':')?;
        let ticket = Ticket::read(&self.secret, ours, now_s)?;
        // Before anything that costs time: whoever may not be answered is not calculated for either.
        if !self.limits.take(from.ip(), now) {
            return None;
        }
        let key = ticket.password.as_bytes();
        MessageIntegrity::check(&mut request, key, self.crypto.crypto()).ok()?;
        let answer = self.success(&request, from, key)?;
        (answer.len() <= datagram.len()).then_some(answer)
    }

    fn success(&self, request: &Message, to: SocketAddr, key: &[u8]) -> Option<Vec<u8>> {
        let mut answer = Message::new();
        let mapped = XorMappedAddress { ip: to.ip().to_canonical(), port: to.port() };
        let integrity = MessageIntegrity::new_raw_integrity_with_provider(key, self.crypto.crypto());
        answer
            .build(&[
                Box::new(BINDING_SUCCESS),
                Box::new(request.transaction_id),
                Box::new(mapped),
                Box::new(integrity),
                Box::new(FINGERPRINT),
            ])
            .ok()?;
        Some(answer.raw)
    }
}

/// A packet that asks for nothing (RFC 8489, section 6.3.2): it only opens the way back through a NAT.
pub(super) fn indication() -> Option<Vec<u8>> {
    let mut message = Message::new();
    let kind = MessageType { method: METHOD_BINDING, class: CLASS_INDICATION };
    let parts: [Box<dyn Setter>; 3] = [Box::new(kind), Box::new(TransactionId::new()), Box::new(FINGERPRINT)];
    message.build(&parts).ok()?;
    Some(message.raw)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rtc::crypto::RTCCrypto;
    use rtc::stun::attributes::{ATTR_ICE_CONTROLLING, ATTR_PRIORITY, RawAttribute};
    use rtc::stun::message::Getter;
    use std::time::Duration;

    const NOW_S: u64 = 1_000;

    fn secret() -> ReflectorSecret {
        ReflectorSecret::from_bytes([7; 32])
    }

    fn provider() -> Arc<dyn RTCCryptoProvider> {
        rtc::crypto::default_provider().unwrap()
    }

    fn answerer() -> Answerer {
        Answerer { secret: secret(), crypto: provider(), limits: Limits::new() }
    }

    fn attribute(typ: rtc::stun::attributes::AttrType, value: &[u8]) -> Box<dyn Setter> {
        Box::new(RawAttribute { typ, length: value.len() as u16, value: value.to_vec() })
    }

    /// A connectivity check as Chromium sends it.
    fn check(ticket: &Ticket, password: &str, crypto: &dyn RTCCrypto) -> Vec<u8> {
        let mut message = Message::new();
        let key = password.as_bytes();
        message
            .build(&[
                Box::new(BINDING_REQUEST),
                Box::new(TransactionId::new()),
                attribute(ATTR_USERNAME, format!("{}:pAge", ticket.ufrag).as_bytes()),
                attribute(ATTR_ICE_CONTROLLING, &[1; 8]),
                attribute(ATTR_PRIORITY, &[0x6e; 4]),
                Box::new(MessageIntegrity::new_raw_integrity_with_provider(key, crypto)),
                Box::new(FINGERPRINT),
            ])
            .unwrap();
        message.raw
    }

    fn page() -> SocketAddr {
        "192.0.2.9:4711".parse().unwrap()
    }

    fn ticket() -> Ticket {
        Ticket::new(&secret(), NOW_S as u32 + 60, [3; 8])
    }

    #[test]
    fn whoever_has_a_ticket_is_told_its_address_in_no_more_bytes_than_it_sent() {
        let provider = provider();
        let crypto = provider.crypto();
        let mut answerer = answerer();
        let asked = check(&ticket(), &ticket().password, crypto);
        let answer = answerer.answer(&asked, page(), Instant::now(), NOW_S).unwrap();
        assert!(answer.len() <= asked.len(), "{} for {}", answer.len(), asked.len());
        let mut read = Message::new();
        read.unmarshal_binary(&answer).unwrap();
        assert_eq!(read.typ, BINDING_SUCCESS);
        assert_eq!(read.transaction_id.0, asked[8..20]);
        let mut mapped = XorMappedAddress::default();
        mapped.get_from(&read).unwrap();
        assert_eq!(SocketAddr::new(mapped.ip, mapped.port), page());
        MessageIntegrity::check(&mut read, ticket().password.as_bytes(), crypto).unwrap();
        FINGERPRINT.check(&read).unwrap();
    }

    #[test]
    fn nobody_else_hears_anything() {
        let provider = provider();
        let crypto = provider.crypto();
        let mut answerer = answerer();
        let mut silent = |datagram: &[u8], now_s: u64, why: &str| {
            assert_eq!(answerer.answer(datagram, page(), Instant::now(), now_s), None, "{why}");
        };
        let good = check(&ticket(), &ticket().password, crypto);
        silent(&good, NOW_S + 61, "a ticket that is too old");
        silent(&check(&ticket(), "guessed", crypto), NOW_S, "without the password");
        let other = Ticket::new(&ReflectorSecret::from_bytes([8; 32]), NOW_S as u32 + 60, [3; 8]);
        silent(&check(&other, &other.password, crypto), NOW_S, "another node's ticket");
        silent(&indication().unwrap(), NOW_S, "an indication");
        silent(&[0; 600], NOW_S, "too long");
        silent(b"", NOW_S, "nothing");
        silent(b"\x16\xfe\xfd DTLS", NOW_S, "another protocol");
    }

    #[test]
    fn no_rubbish_makes_it_fail() {
        let provider = provider();
        let crypto = provider.crypto();
        let mut answerer = answerer();
        let good = check(&ticket(), &ticket().password, crypto);
        let start = Instant::now();
        let mut seed = 1_u64;
        for round in 0..20_000_u64 {
            let mut datagram = good.clone();
            for _ in 0..=round % 4 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let at = (seed >> 33) as usize % datagram.len();
                datagram[at] ^= (seed >> 20) as u8 | 1;
            }
            datagram.truncate(good.len() - (seed >> 50) as usize % 8);
            // A second apart, so that no limit hides what is read.
            let now = start + Duration::from_secs(round);
            if let Some(answer) = answerer.answer(&datagram, page(), now, NOW_S) {
                assert!(answer.len() <= datagram.len());
            }
        }
    }
}
