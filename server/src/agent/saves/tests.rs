//! Saves against a stand-in for the matchmaker's door.

use super::*;
use crate::agent::config_for_tests;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use nearframe_protocol::SaveVersion;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Mutex;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::time::timeout;

/// Nothing on loopback takes this long, however busy the machine is.
const LONG: Duration = Duration::from_secs(30);

/// What the stand-in saw and what it will answer.
#[derive(Default)]
struct Seen {
    /// Status of the next answers to packs; kept when there is none left.
    answers: VecDeque<StatusCode>,
    /// Kept packs, with what they are based on.
    kept: Vec<(Vec<u8>, Option<String>)>,
    asked: usize,
    restore: Vec<u8>,
}

/// A door that keeps packs whose hash and token are right.
struct FakeDoor {
    url: url::Url,
    seen: Arc<Mutex<Seen>>,
    server: tokio::task::JoinHandle<()>,
}

impl FakeDoor {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let seen = Arc::<Mutex<Seen>>::default();
        let shared = Arc::clone(&seen);
        let server = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let shared = Arc::clone(&shared);
                let service = service_fn(move |request| answer(Arc::clone(&shared), request));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self { url, seen, server }
    }

    fn answer_with(&self, statuses: &[u16]) {
        self.seen().answers = statuses.iter().map(|&status| StatusCode::from_u16(status).unwrap()).collect();
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }
}

impl Drop for FakeDoor {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(
    seen: Arc<Mutex<Seen>>,
    request: Request<Incoming>,
) -> Result<Response<Full<bytes::Bytes>>, Infallible> {
    let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (hash, base, token) =
        (header("nearframe-save-hash"), header("nearframe-save-based-on"), header("authorization"));
    let method = request.method().clone();
    let path = request.uri().to_string();
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let mut seen = seen.lock().unwrap();
    seen.asked += 1;
    let reply = |status: StatusCode, body: Vec<u8>| {
        let mut response = Response::new(Full::from(body));
        *response.status_mut() = status;
        Ok(response)
    };
    if token.as_deref() != Some("Bearer secret")
        || !path.starts_with(&format!("/v1/sessions/{}/save", session()))
    {
        return reply(StatusCode::UNAUTHORIZED, Vec::new());
    }
    if let Some(status) = seen.answers.pop_front() {
        return reply(status, Vec::new());
    }
    if method == Method::GET {
        assert!(path.ends_with("?version=7"), "{path}");
        let restore = seen.restore.clone();
        return reply(StatusCode::OK, restore);
    }
    if hash.as_deref() != Some(blake3::hash(&body).to_hex().as_str()) {
        return reply(StatusCode::UNPROCESSABLE_ENTITY, Vec::new());
    }
    seen.kept.push((body.to_vec(), base));
    reply(StatusCode::CREATED, b"{}".to_vec())
}

fn session() -> SessionId {
    SessionId::from_bytes([5; 16])
}
fn key() -> Key {
    (session(), Generation(0))
}

fn grant(restore: Option<&[u8]>) -> SaveGrant {
    let restore = restore.map(|pack| SaveRef {
        version: SaveVersion(7),
        hash: PackHash::from_bytes(*blake3::hash(pack).as_bytes()),
        size_bytes: pack.len() as u64,
    });
    SaveGrant { token: "secret".into(), restore }
}

struct House {
    door: FakeDoor,
    data: TempDir,
    saves: Saves,
    events: mpsc::Receiver<Event>,
}

impl House {
    async fn open() -> Self {
        let (door, data) = (FakeDoor::open().await, tempfile::tempdir().unwrap());
        let (saves, events) = reopen(&door, &data);
        Self { door, data, saves, events }
    }

    /// The agent dies and starts again on the same disk.
    async fn crash(self) -> Self {
        let Self { door, data, saves, events } = self;
        drop((saves, events));
        let (saves, events) = reopen(&door, &data);
        Self { door, data, saves, events }
    }

    fn begin(&mut self, restore: Option<&[u8]>) -> PathBuf {
        let (folder, waits) = self.saves.begin(session(), Generation(0), grant(restore)).unwrap();
        assert_eq!(waits, restore.is_some());
        folder
    }

    async fn restored(&mut self) -> Result<(), String> {
        match timeout(LONG, self.events.recv()).await.unwrap() {
            Some(Event::Save(SaveEvent::Restored(session_id, Generation(0), outcome))) => {
                assert_eq!(session_id, session());
                outcome
            }
            _ => panic!("the restore comes first"),
        }
    }

    /// Waits until nothing more is to be sent.
    async fn settled(&mut self) {
        loop {
            match timeout(LONG, self.events.recv()).await.unwrap() {
                Some(Event::Save(SaveEvent::Settled(..))) if self.saves.settle(key()) => return,
                Some(Event::Save(SaveEvent::Settled(..))) => {}
                _ => panic!("the packs are settled"),
            }
        }
    }

    fn left_on_disk(&self) -> usize {
        let files = |folder: &str| fs::read_dir(self.data.path().join("saves").join(folder)).unwrap().count();
        files("outbox") + files("sessions")
    }
}

fn reopen(door: &FakeDoor, data: &TempDir) -> (Saves, mpsc::Receiver<Event>) {
    let (events_in, events) = mpsc::channel(16);
    let config = Config { matchmaker: door.url.clone(), ..config_for_tests(data.path()) };
    (Saves::open(&config, events_in).unwrap(), events)
}

/// A worker's pack; returns what the worker would say.
fn pack(folder: &Path, number: u32, content: &[u8]) -> (PathBuf, PackHash, u64) {
    let file = folder.join(format!("{number:03}.pack"));
    fs::write(&file, content).unwrap();
    (file, PackHash::from_bytes(*blake3::hash(content).as_bytes()), content.len() as u64)
}

#[tokio::test]
async fn the_pack_to_restore_lies_in_the_folder_before_the_worker_starts() {
    let mut house = House::open().await;
    house.door.seen().restore = b"level 2".to_vec();
    house.door.answer_with(&[503, 500]);
    let folder = house.begin(Some(b"level 2"));
    house.restored().await.unwrap();
    assert_eq!(fs::read(folder.join(RESTORE_PACK)).unwrap(), b"level 2");
    assert_eq!(house.door.seen().asked, 3, "a busy matchmaker is asked again");
    assert!(!house.saves.end(key()));
    assert_eq!(house.left_on_disk(), 0);
}

#[tokio::test]
async fn a_restore_that_is_refused_or_wrong_or_endless_fails_and_leaves_no_pack() {
    for (restore, status) in [(&b"level 2"[..], Some(404)), (b"tampered", None), (&[0; 1_000_000][..], None)]
    {
        let mut house = House::open().await;
        house.door.seen().restore = restore.to_vec();
        house.door.answer_with(status.as_slice());
        let folder = house.begin(Some(b"level 2"));
        let why = house.restored().await.unwrap_err();
        assert!(!why.is_empty());
        assert!(!folder.join(RESTORE_PACK).exists(), "{why}");
    }
}

#[tokio::test]
async fn packs_reach_the_matchmaker_through_its_outages_and_nothing_stays_on_disk() {
    let mut house = House::open().await;
    house.door.seen().restore = b"old".to_vec();
    let folder = house.begin(Some(b"old"));
    house.restored().await.unwrap();
    house.door.answer_with(&[503, 429, 507]);
    let (file, hash, bytes) = pack(&folder, 0, b"new");
    house.saves.saved(key(), &file, hash, bytes);
    assert!(house.saves.end(key()), "the end is told after the save");
    house.settled().await;
    assert_eq!(house.door.seen().kept, [(b"new".to_vec(), Some("7".to_owned()))]);
    assert_eq!(house.left_on_disk(), 0);
}

#[tokio::test]
async fn a_pack_that_the_matchmaker_will_never_take_is_given_up() {
    for status in [401, 413, 422] {
        let mut house = House::open().await;
        let folder = house.begin(None);
        house.door.answer_with(&[status]);
        let (file, hash, bytes) = pack(&folder, 0, b"new");
        house.saves.saved(key(), &file, hash, bytes);
        house.saves.end(key());
        house.settled().await;
        assert_eq!((house.door.seen().kept.len(), house.left_on_disk()), (0, 0), "{status}");
    }
}

#[tokio::test]
async fn a_crash_between_pack_and_upload_loses_nothing() {
    let mut house = House::open().await;
    let folder = house.begin(None);
    house.door.answer_with(&[503; 100]);
    let (file, hash, bytes) = pack(&folder, 0, b"told");
    house.saves.saved(key(), &file, hash, bytes);
    pack(&folder, 1, b"not told");
    fs::write(folder.join("002.new"), "half").unwrap();
    let mut house = house.crash().await;
    house.door.answer_with(&[]);
    house.settled().await;
    let newest = house.door.seen().kept.last().cloned().unwrap();
    assert_eq!(newest.0, b"not told", "the newest whole pack is what is kept last");

    pack(&folder, 3, b"after the crash");
    house.saves.look_at_leftovers(Instant::now());
    house.settled().await;
    assert_eq!(house.door.seen().kept.last().unwrap().0, b"after the crash", "a worker outlived the agent");
    house.saves.look_at_leftovers(Instant::now() + LEFTOVER_TIME * 2);
    assert_eq!(house.left_on_disk(), 0);
}

#[tokio::test]
async fn a_worker_that_dies_before_it_tells_of_a_pack_loses_nothing() {
    let mut house = House::open().await;
    let folder = house.begin(None);
    pack(&folder, 0, b"first");
    pack(&folder, 1, b"second");
    assert!(house.saves.end(key()));
    house.settled().await;
    assert_eq!(house.door.seen().kept, [(b"second".to_vec(), None)]);
    assert_eq!(house.left_on_disk(), 0);
}

#[tokio::test]
async fn what_is_no_honest_pack_is_never_sent() {
    let mut house = House::open().await;
    let folder = house.begin(None);
    let secret = house.data.path().join("node.key");
    fs::write(&secret, "secret").unwrap();
    let (_, hash, _) = pack(&folder, 0, b"secret");
    fs::remove_file(folder.join("000.pack")).unwrap();
    std::os::unix::fs::symlink(&secret, folder.join("001.pack")).unwrap();
    let outside =
        [secret.clone(), folder.join("../../../node.key"), folder.join("001.pack"), folder.join("x.pack")];
    for file in outside {
        house.saves.saved(key(), &file, hash, 6);
    }
    let (file, hash, _) = pack(&folder, 2, b"longer than it says");
    house.saves.saved(key(), &file, hash, 6);
    fs::remove_file(&file).unwrap();
    let (file, _, bytes) = pack(&folder, 3, b"other content");
    house.saves.saved(key(), &file, hash, bytes);
    let large = folder.join("004.pack");
    fs::File::create(&large).unwrap().set_len(nearframe_protocol::save::MAX_PACK_BYTES + 1).unwrap();
    house.saves.saved(key(), &large, hash, nearframe_protocol::save::MAX_PACK_BYTES + 1);
    assert!(house.saves.end(key()));
    house.settled().await;
    assert_eq!((house.door.seen().kept.len(), house.left_on_disk()), (0, 0));
    assert_eq!(fs::read(&secret).unwrap(), b"secret");
}

#[tokio::test]
async fn of_many_packs_of_a_session_only_the_newest_waits() {
    let mut house = House::open().await;
    let folder = house.begin(None);
    house.door.answer_with(&[503, 503]);
    for number in 0..5 {
        let (file, hash, bytes) = pack(&folder, number, &[number as u8]);
        house.saves.saved(key(), &file, hash, bytes);
    }
    house.saves.end(key());
    house.settled().await;
    assert_eq!(house.door.seen().kept.last().unwrap().0, [4]);
    assert!(house.door.seen().kept.len() <= 2, "an upload under way, and the newest after it");
}

#[tokio::test]
async fn a_session_that_is_started_again_after_a_crash_goes_on_counting() {
    let mut house = House::open().await;
    let folder = house.begin(None);
    house.door.answer_with(&[503; 100]);
    for number in 0..3 {
        let (file, hash, bytes) = pack(&folder, number, b"before");
        house.saves.saved(key(), &file, hash, bytes);
    }
    let mut house = house.crash().await;
    let folder = house.begin(None);
    let (file, hash, bytes) = pack(&folder, 0, b"after");
    house.saves.saved(key(), &file, hash, bytes);
    house.door.answer_with(&[]);
    house.saves.end(key());
    house.settled().await;
    assert_eq!(house.door.seen().kept.last().unwrap().0, b"after");
    assert_eq!(house.left_on_disk(), 0);
}
