//! Nodes and titles by number.

use nearframe_protocol::{NodeId, TitleHash, TitleId};

pub(crate) fn node(n: u8) -> NodeId {
    NodeId::from_random([n % 24; 16])
}

pub(crate) fn title(n: u8) -> TitleId {
    TitleId::new(&format!("title-{n}")).unwrap()
}

pub(crate) fn hash(n: u8) -> TitleHash {
    TitleHash::from_bytes([n; 32])
}
