//! What a node can do and on what terms, for placement: measured abilities, price, stake, and where it is
//! with the evidence for that.
//!
//! All of it is the node's own word. What it says about stake and place counts as far as the matchmaker's
//! records confirm it.

use crate::money::{Money, MoneyJson};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Abilities and terms of a node. A release that does not know them sends none, and is taken to encode
/// 1280 × 720 at 60 frames a second in H.264, at no price.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct NodeTerms {
    /// Codecs it encodes: `h264`, `hevc`, `av1`, `vp9`; others are ignored.
    pub codecs: Vec<String>,
    /// Largest picture it encodes at `max_fps`, width in pixels; 0 where it was not measured.
    pub max_width: u32,
    /// … height in pixels.
    pub max_height: u32,
    /// … frames per second.
    pub max_fps: u32,
    /// GPU tier as measured, 0 (draws with the CPU) to 7.
    pub gpu_tier: u8,
    /// Takes render tasks, which may be interrupted.
    pub batch: bool,
    /// Price of an hour of one slot; absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MoneyJson>)]
    pub price_per_hour: Option<Money>,
    /// What its owner put down as a pledge.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MoneyJson>)]
    pub stake: Option<Money>,
    /// Where it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
}

/// A place and where the knowledge comes from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Location {
    /// Degrees north, −90 to 90.
    pub latitude_deg: f64,
    /// Degrees east, −180 to 180.
    pub longitude_deg: f64,
    /// Autonomous system that it is reached through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asn: Option<u32>,
    /// What stands behind it.
    #[serde(default)]
    pub evidence: Evidence,
}

/// What stands behind a claimed place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// The owner says so.
    #[default]
    Declared,
    /// A database of addresses says so.
    Address,
    /// Round trips to known places agree with it.
    Measured,
}
