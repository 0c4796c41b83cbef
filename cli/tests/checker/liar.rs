//! A node whose sessions are told another challenge than their own: what they show was right, for somebody else. The node
//! is a real one; a relay of the test's own stands on its link to the matchmaker.

use crate::house::{House, command};
use futures_util::{SinkExt, StreamExt};
use nearframe_protocol::key::Nonce;
use nearframe_protocol::link::{MAX_LINK_BYTES, ToNode};
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::thread;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{accept_async_with_config, client_async_with_config};

/// The node and its relay.
pub(crate) struct Liar {
    node: Child,
    _data: tempfile::TempDir,
}

impl Liar {
    pub(crate) fn start(house: &House) -> Self {
        let (told, door) = (mpsc::channel(), house.door);
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                told.0.send(listener.local_addr().unwrap()).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(relay(stream, door));
                }
            });
        });
        let relay = told.1.recv().unwrap();
        let data = tempfile::tempdir().unwrap();
        let mut node = command();
        node.args(["node", "--log", "warn", "--matchmaker", &format!("http://{relay}")]);
        node.args(["--enrolment-code", &house.code, "--data"]).arg(data.path());
        let node = node.stdout(Stdio::null()).spawn().unwrap();
        Self { node, _data: data }
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        // Ended already where it failed; then the test tells.
        let _ = self.node.kill();
        let _ = self.node.wait();
    }
}

/// Passes everything on, but for the challenges.
async fn relay(node: TcpStream, door: SocketAddr) {
    let config = || {
        let config = WebSocketConfig::default().max_message_size(Some(MAX_LINK_BYTES));
        Some(config.max_frame_size(Some(MAX_LINK_BYTES)))
    };
    let Ok(mut node) = accept_async_with_config(node, config()).await else { return };
    let stream = TcpStream::connect(door).await.unwrap();
    let address = format!("ws://{door}/v1/nodes/link");
    let (mut matchmaker, _) = client_async_with_config(address, stream, config()).await.unwrap();
    loop {
        let passed = tokio::select! {
            Some(Ok(message)) = node.next() => matchmaker.send(message).await,
            Some(Ok(message)) = matchmaker.next() => node.send(changed(message)).await,
            else => return,
        };
        if passed.is_err() {
            return;
        }
    }
}

fn changed(message: Message) -> Message {
    let Message::Text(text) = &message else { return message };
    let Ok(ToNode::Start { session, generation, title, hash, player_key, ice_servers, save, challenge }) =
        serde_json::from_str(text)
    else {
        return message;
    };
    let challenge = challenge.map(|_| Nonce::from_bytes([0x66; 32]));
    let start = ToNode::Start { session, generation, title, hash, player_key, ice_servers, save, challenge };
    Message::Text(serde_json::to_string(&start).unwrap().into())
}
