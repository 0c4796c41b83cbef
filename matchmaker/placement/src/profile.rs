//! A node as placement reads it: its offer, graded, with what others vouch for.

use nearframe_protocol::link::NodeOffer;
use nearframe_protocol::{Currency, Money};

/// Codecs as bits.
pub mod codec {
    /// H.264.
    pub const H264: u8 = 1;
    /// H.265.
    pub const HEVC: u8 = 2;
    /// AV1.
    pub const AV1: u8 = 4;
    /// VP9.
    pub const VP9: u8 = 8;

    /// The bit of a codec's name as offers write it; 0 for an unknown one.
    pub fn bit(name: &str) -> u8 {
        match name.to_ascii_lowercase().as_str() {
            "h264" => H264,
            "h265" | "hevc" => HEVC,
            "av1" => AV1,
            "vp9" => VP9,
            _ => 0,
        }
    }
}

/// What is vouched for by somebody else than the node itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vouched {
    /// Trust tier, 0 to 3, by the operator or audits.
    pub trust: u8,
    /// Stake that the ledger holds, in micro-units.
    pub stake_micros: u64,
    /// Sessions in a thousand that the node is expected to break, from its past.
    pub failure_permille: u16,
    /// Whether round trips contradict the place it claims: its region then counts as unknown.
    pub disproved: bool,
}

/// A node's abilities, graded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Sessions at once.
    pub slots: u32,
    /// Codecs it encodes, as bits of [`codec`].
    pub codecs: u8,
    /// Pixels that it encodes in a second.
    pub pixels_per_s: u64,
    /// GPU tier as measured, 0 to 7; 0 draws with the CPU.
    pub gpu_tier: u8,
    /// Trust tier.
    pub trust: u8,
    /// Stake in micro-units.
    pub stake_micros: u64,
    /// Price of an hour in micro-units.
    pub price_micros_per_hour: u64,
    /// Sessions in a thousand that it is expected to break.
    pub failure_permille: u16,
    /// Takes work that may be interrupted.
    pub batch: bool,
    /// Where it is; empty where that is not known.
    pub region: String,
}

/// Sessions that the way to the node carries, where it was measured and is known to end there.
fn carried(offer: &NodeOffer) -> u32 {
    let uplink = offer.capability.as_ref().and_then(|signed| signed.capability.uplink);
    uplink.and_then(|uplink| uplink.sessions()).unwrap_or(u32::MAX)
}

/// What a node can encode that says nothing about it: what every release can, 720p60 in H.264.
const UNSTATED_PIXELS_PER_S: u64 = 1280 * 720 * 60;

impl Profile {
    /// Of an offer. What a node says about its own stake and place counts only as far as others vouch for it,
    /// and amounts in another currency than `currency` cannot be compared: such a price is out of reach.
    pub fn of(offer: &NodeOffer, vouched: Vouched, currency: &Currency) -> Self {
        let terms = &offer.terms;
        let named = terms.codecs.iter().fold(0, |bits, name| bits | codec::bit(name));
        let stated = u64::from(terms.max_width) * u64::from(terms.max_height) * u64::from(terms.max_fps);
        let micros = |money: &Option<Money>, other: u64| match money {
            None => 0,
            Some(money) if money.currency == *currency => u64::try_from(money.amount_micros).unwrap_or(0),
            Some(_) => other,
        };
        Self {
            slots: offer.slots.min(carried(offer)),
            codecs: if named == 0 { codec::H264 } else { named },
            pixels_per_s: if stated == 0 { UNSTATED_PIXELS_PER_S } else { stated },
            gpu_tier: terms.gpu_tier,
            trust: vouched.trust,
            stake_micros: micros(&terms.stake, 0).min(vouched.stake_micros),
            price_micros_per_hour: micros(&terms.price_per_hour, u64::MAX),
            failure_permille: vouched.failure_permille,
            batch: terms.batch,
            region: if vouched.disproved { String::new() } else { offer.region.clone() },
        }
    }
}
