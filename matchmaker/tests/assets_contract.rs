//! What every keeper of assets does, whichever it is.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use axum::body::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use nearframe_matchmaker::assets::{AssetError, Assets, ByteStream, Fault, Hash, InMemory, LocalFolder};
use std::fs;
use std::io;
use std::path::Path;

const MOST: u64 = 1 << 20;

fn pieces(content: &[u8]) -> ByteStream {
    let pieces: Vec<_> = content.chunks(1000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces).boxed()
}

/// More than one piece when read, and not of one repeated byte.
fn large() -> Vec<u8> {
    (0..200_000u32).map(|n| (n / 7) as u8).collect()
}

async fn put(assets: &dyn Assets, content: &[u8]) -> Hash {
    let hash = blake3::hash(content);
    assert_eq!(assets.put(hash, pieces(content), MOST).await.unwrap(), content.len() as u64);
    hash
}

async fn read(assets: &dyn Assets, hash: Hash) -> Option<io::Result<Vec<u8>>> {
    let asset = assets.get(hash).await.unwrap()?;
    let content = asset.content.try_collect::<Vec<_>>().await.map(|pieces| pieces.concat());
    if let Ok(content) = &content {
        assert_eq!(content.len() as u64, asset.size_bytes);
    }
    Some(content)
}

async fn what_is_put_is_there_until_it_is_removed(assets: &dyn Assets) {
    for content in [large(), b"small".to_vec(), Vec::new()] {
        let hash = blake3::hash(&content);
        assert!(!assets.has(hash).await.unwrap());
        assert!(read(assets, hash).await.is_none());
        put(assets, &content).await;
        put(assets, &content).await;
        assert!(assets.has(hash).await.unwrap());
        assert_eq!(read(assets, hash).await.unwrap().unwrap(), content);
        assets.remove(hash).await.unwrap();
        assets.remove(hash).await.unwrap();
        assert!(!assets.has(hash).await.unwrap());
    }
}

async fn content_that_is_wrong_too_long_or_cut_is_not_there(assets: &dyn Assets) {
    let content = large();
    let wrong = blake3::hash(b"something else");
    let refused = assets.put(wrong, pieces(&content), MOST).await;
    assert!(
        matches!(refused, Err(AssetError::WrongHash { expected, .. }) if expected == wrong),
        "{refused:?}"
    );
    let hash = blake3::hash(&content);
    let refused = assets.put(hash, pieces(&content), content.len() as u64 - 1).await;
    assert!(matches!(refused, Err(AssetError::TooLarge { .. })), "{refused:?}");
    let cut = pieces(&content[..5000]).chain(stream::iter([Err(io::Error::other("gone"))])).boxed();
    assert!(matches!(assets.put(hash, cut, MOST).await, Err(AssetError::Cut(_))));
    assert!(!assets.has(wrong).await.unwrap() && !assets.has(hash).await.unwrap());
    assert_eq!(assets.put(hash, pieces(&content), content.len() as u64).await.unwrap(), content.len() as u64);
}

async fn one_asset_can_be_put_and_read_by_many_at_once(assets: &dyn Assets) {
    let content = large();
    let hash = blake3::hash(&content);
    let puts = (0..8).map(|_| assets.put(hash, pieces(&content), MOST));
    assert!(futures_util::future::join_all(puts).await.iter().all(Result::is_ok));
    let reads = (0..8).map(|_| read(assets, hash));
    for result in futures_util::future::join_all(reads).await {
        assert_eq!(result.unwrap().unwrap(), content);
    }
}

macro_rules! contract {
    ($($case:ident)*) => {
        mod in_memory {
            use super::*;
            $(#[tokio::test] async fn $case() { super::$case(&InMemory::new()).await; })*
        }
        mod local_folder {
            use super::*;
            $(#[tokio::test] async fn $case() {
                let folder = tempfile::tempdir().unwrap();
                let assets = LocalFolder::open(&folder.path().join("assets")).await.unwrap();
                super::$case(&assets).await;
                assert_eq!(fs::read_dir(folder.path().join("assets/drafts")).unwrap().count(), 0);
            })*
        }
    };
}

contract! {
    what_is_put_is_there_until_it_is_removed
    content_that_is_wrong_too_long_or_cut_is_not_there
    one_asset_can_be_put_and_read_by_many_at_once
}

fn file(folder: &Path, hash: Hash) -> std::path::PathBuf {
    folder.join(&hash.to_hex()[..2]).join(hash.to_hex().as_str())
}

#[tokio::test]
async fn a_folder_that_is_opened_again_holds_its_assets_and_no_drafts() {
    let folder = tempfile::tempdir().unwrap();
    let hash = put(&LocalFolder::open(folder.path()).await.unwrap(), b"kept").await;
    fs::write(folder.path().join("drafts/7"), "half").unwrap();
    let assets = LocalFolder::open(folder.path()).await.unwrap();
    assert_eq!(read(&assets, hash).await.unwrap().unwrap(), b"kept");
    assert_eq!(fs::read_dir(folder.path().join("drafts")).unwrap().count(), 0);
}

#[tokio::test]
async fn an_asset_that_is_damaged_on_disk_is_never_given_out_whole() {
    let folder = tempfile::tempdir().unwrap();
    let assets = LocalFolder::open(folder.path()).await.unwrap();
    let content = large();
    let hash = put(&assets, &content).await;
    let path = file(folder.path(), hash);
    let mut flipped = content.clone();
    flipped[123] ^= 1;
    for damaged in [&flipped[..], &content[..100_000], b""] {
        fs::write(&path, damaged).unwrap();
        let read = match assets.get(hash).await {
            Err(error) => Err(error.to_string()),
            Ok(asset) => {
                let pieces = asset.unwrap().content.try_collect::<Vec<_>>().await;
                pieces.map_err(|error| error.to_string())
            }
        };
        assert!(read.is_err());
    }
    put(&assets, &content).await;
    assert_eq!(read(&assets, hash).await.unwrap().unwrap(), content, "putting it again repairs it");
}

#[tokio::test]
async fn injected_faults_happen_once() {
    let assets = InMemory::new();
    assets.fail(Fault::Full);
    let hash = blake3::hash(b"x");
    assert!(matches!(assets.put(hash, pieces(b"x"), MOST).await, Err(AssetError::Full)));
    put(&assets, b"x").await;
    assets.fail(Fault::Flipped);
    assert!(read(&assets, hash).await.unwrap().is_err());
    assert!(read(&assets, hash).await.unwrap().is_ok());
    assets.fail(Fault::Io);
    assert!(matches!(assets.has(hash).await, Err(AssetError::Io(_))));
    assert!(assets.has(hash).await.unwrap());
}
