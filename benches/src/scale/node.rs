//! Stand-ins for nodes: a link, a hello, and nothing that plays.

use anyhow::{Context, Result, bail};
use nearframe_protocol::link::{FromNode, HeldTitle, NodeOffer, ToNode, sign_hello};
use nearframe_protocol::terms::NodeTerms;
use nearframe_protocol::title::{TitleEntry, TitleKind, TouchControls};
use nearframe_protocol::{NodeKey, TitleHash, TitleId, VersionOffer};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

/// Sessions that each of them takes: the most that a node may offer.
pub(crate) const SLOTS: u32 = 1024;
pub(crate) const TITLE: &str = "meteor";

pub(crate) type Wire = WebSocket<TcpStream>;

/// Links a new node.
pub(crate) fn link(door: SocketAddr, number: u32, code: String) -> Result<Wire> {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let [_, high, middle, low] = (number + 2).to_be_bytes();
    let own = SocketAddr::from((Ipv4Addr::new(127, high.wrapping_add(128), middle, low), 0));
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    bind(&socket, &own)?;
    connect(&socket, &door)?;
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    let (mut wire, _) = client(format!("ws://{door}/v1/nodes/link"), stream).context("opening a link")?;
    let ToNode::Challenge { nonce, .. } = hear(&mut wire)? else { bail!("no challenge came") };
    let mut seed = [7; 32];
    seed[..4].copy_from_slice(&number.to_le_bytes());
    let key = NodeKey::from_seed(seed);
    let hello = FromNode::Hello {
        versions: VersionOffer::current(),
        public_key: key.public(),
        signature: sign_hello(&key, &nonce),
        enrolment_code: Some(code),
        offer: Box::new(offer()),
        sessions: vec![],
    };
    wire.send(Message::text(serde_json::to_string(&hello)?))?;
    match hear(&mut wire)? {
        ToNode::Welcome { .. } => Ok(wire),
        other => bail!("not let in: {other:?}"),
    }
}

/// The next command.
pub(crate) fn hear(wire: &mut Wire) -> Result<ToNode> {
    loop {
        match wire.read()? {
            Message::Text(text) => return Ok(serde_json::from_str(&text)?),
            Message::Close(_) => bail!("the link was closed"),
            _ => {}
        }
    }
}

fn offer() -> NodeOffer {
    let entry = TitleEntry {
        id: TitleId::new(TITLE).expect("it is a title's id"),
        kind: TitleKind::Builtin,
        name: "Meteor".to_owned(),
        version: "1".to_owned(),
        hash: TitleHash::from_bytes([1; 32]),
        description: String::new(),
        cover: None,
        width: 1280,
        height: 720,
        fps: 60,
        controls: vec![],
        touch: TouchControls::default(),
    };
    NodeOffer {
        capability: None,
        name: "stand-in".to_owned(),
        region: "DE".to_owned(),
        slots: SLOTS,
        adapter: "none".to_owned(),
        encoders: vec![],
        titles: vec![HeldTitle { entry, cover_base64: None }],
        terms: NodeTerms::default(),
    }
}
