//! `saves.json`: what is said about saves, on the link, to the worker's agent and to the player.

use crate::golden;
use nearframe_protocol::api::Save;
use nearframe_protocol::link::ToNode;
use nearframe_protocol::save::{SaveGrant, SaveRef};
use nearframe_protocol::worker::FromWorker;
use nearframe_protocol::{Generation, NodeKey, PackHash, SaveVersion, SessionId, TitleHash, TitleId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::path::PathBuf;

fn entry<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(name: &str, value: &T) -> Value {
    let json = serde_json::to_value(value).unwrap();
    assert_eq!(&serde_json::from_value::<T>(json.clone()).unwrap(), value);
    json!({"name": name, "value": json})
}

fn start(save: Option<SaveGrant>) -> ToNode {
    ToNode::Start {
        session: SessionId::from_bytes([0x44; 16]),
        generation: Generation(1),
        title: TitleId::new("freedoom").unwrap(),
        hash: TitleHash::from_bytes([0x66; 32]),
        player_key: NodeKey::from_seed([0x22; 32]).public(),
        ice_servers: vec![],
        save,
        challenge: None,
    }
}

#[test]
fn everything_said_about_saves_has_this_form() {
    let hash = PackHash::from_bytes([0x77; 32]);
    let restore = SaveRef { version: SaveVersion(7), hash, size_bytes: 4096 };
    let grant = |restore| Some(SaveGrant { token: "1.secret".to_owned(), restore });
    let saved =
        FromWorker::Saved { file: PathBuf::from("/saves/007.pack"), hash, files: 3, bytes: 4096, last: true };
    let listed = Save {
        title: TitleId::new("freedoom").unwrap(),
        version: SaveVersion(8),
        current: true,
        based_on: Some(SaveVersion(7)),
        hash,
        size_bytes: 4096,
        title_version: "0.12.1".to_owned(),
        session: SessionId::from_bytes([0x44; 16]),
        created_at_ms: 1_795_000_000_000,
    };
    let entries = vec![
        entry("start with a save to restore", &start(grant(Some(restore)))),
        entry("start of a player's first session", &start(grant(None))),
        entry("start by a matchmaker that keeps no saves", &start(None)),
        entry("a worker's last pack", &saved),
        entry("a save as the player sees it", &listed),
        entry(
            "the first save of a title",
            &Save { based_on: None, version: SaveVersion(1), ..listed.clone() },
        ),
    ];
    golden::check("saves.json", &entries.into());
}
