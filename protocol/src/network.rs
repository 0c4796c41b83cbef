//! Network settings: where media may flow.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use utoipa::ToSchema;

/// A STUN or TURN server as `RTCPeerConnection` wants it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IceServer {
    /// `stun:host:port`, `turn:host:port?transport=udp`, …
    pub urls: Vec<String>,
    /// TURN REST user: expiry in Unix seconds, a colon, a pseudonym.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// TURN REST password: base64(HMAC-SHA1(secret, username)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// How a node's sessions reach players.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MediaNetwork {
    /// Addresses to bind, IPv4 or IPv6. Loopback alone unless told otherwise.
    pub bind: Vec<IpAddr>,
    /// Addresses to tell players instead of the bound ones (a NAT's outside).
    pub advertise: Vec<IpAddr>,
    /// UDP ports for media, first and last; 0–0 lets the system choose.
    pub udp_ports: (u16, u16),
    /// Also accept media over TCP (RFC 6544), for networks that block UDP.
    pub ice_tcp: bool,
}

impl Default for MediaNetwork {
    fn default() -> Self {
        Self {
            bind: vec![IpAddr::from([127, 0, 0, 1])],
            advertise: Vec::new(),
            udp_ports: (0, 0),
            ice_tcp: false,
        }
    }
}
