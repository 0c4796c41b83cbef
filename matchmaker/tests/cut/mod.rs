//! A line to a PostgreSQL server that is cut at a chosen question: before it arrives, or after it was answered and before
//! the answer comes. While it is cut, nobody gets through.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// What PostgreSQL calls its socket.
const SOCKET: &str = ".s.PGSQL.5432";
/// Within this, a question that arrived is answered.
const ANSWERED: Duration = Duration::from_secs(5);

/// What is lost with the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The server never hears it.
    Question,
    /// The server did what was asked, and nobody hears of it.
    Answer,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Whole,
    /// Questions until it is cut, and what is lost then.
    CutAfter(u32, Lost),
    /// A question is being lost; whoever mends the line meanwhile mends it for all but the one who asked.
    Cutting,
    Cut,
}

#[derive(Debug)]
struct Cuts {
    state: Mutex<State>,
    /// Counts up with each cut.
    count: watch::Sender<u64>,
}

/// The line, in a folder of its own.
pub(crate) struct Line {
    folder: TempDir,
    server: PathBuf,
    cuts: Arc<Cuts>,
    served: JoinHandle<()>,
}

impl Line {
    /// To the server whose socket is in this folder.
    pub(crate) fn to(server: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(SOCKET)).unwrap();
        let cuts = Arc::new(Cuts { state: Mutex::default(), count: watch::Sender::new(0) });
        let (line, to) = (Arc::clone(&cuts), server.join(SOCKET));
        let served = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (line, to) = (Arc::clone(&line), to.clone());
                tokio::spawn(async move {
                    let count = line.count.subscribe();
                    if !matches!(*line.state.lock().unwrap(), State::Cut)
                        && let Ok(far) = UnixStream::connect(to).await
                    {
                        line.carry(near, far, count).await;
                    }
                });
            }
        });
        Self { folder, server: server.to_owned(), cuts, served }
    }

    /// A database's address, over this line.
    pub(crate) fn address(&self, direct: &str) -> String {
        let (server, folder) = (self.server.display().to_string(), self.folder.path().display().to_string());
        assert!(direct.contains(&server), "{direct}");
        direct.replace(&server, &folder)
    }

    /// Cuts it at the question after so many.
    pub(crate) fn cut_after(&self, questions: u32, lost: Lost) {
        *self.cuts.state.lock().unwrap() = State::CutAfter(questions, lost);
    }

    /// Mends it; whether it had been cut.
    pub(crate) fn mend(&self) -> bool {
        matches!(std::mem::take(&mut *self.cuts.state.lock().unwrap()), State::Cutting | State::Cut)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.served.abort();
    }
}

impl Cuts {
    /// What becomes of the next question.
    fn next(&self) -> Option<Lost> {
        let mut state = self.state.lock().unwrap();
        match *state {
            State::CutAfter(0, lost) => {
                *state = State::Cutting;
                Some(lost)
            }
            State::CutAfter(left, lost) => {
                *state = State::CutAfter(left - 1, lost);
                None
            }
            State::Whole | State::Cutting | State::Cut => None,
        }
    }

    /// Cuts it for everybody, unless it was mended before.
    fn cut(&self) {
        let mut state = self.state.lock().unwrap();
        if matches!(*state, State::Cutting) {
            *state = State::Cut;
            self.count.send_modify(|count| *count += 1);
        }
    }

    async fn carry(&self, mut near: UnixStream, mut far: UnixStream, mut count: watch::Receiver<u64>) {
        let (mut up, mut down) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
        loop {
            tokio::select! {
                biased;
                _ = count.changed() => return,
                asked = near.read(&mut up) => {
                    let Ok(length @ 1..) = asked else { return };
                    let lost = self.next();
                    if lost != Some(Lost::Question) && far.write_all(&up[..length]).await.is_err() {
                        return;
                    }
                    if lost == Some(Lost::Answer) {
                        // Whatever it says, it was said to nobody.
                        let _ = timeout(ANSWERED, far.read(&mut down)).await;
                    }
                    if lost.is_some() {
                        return self.cut();
                    }
                }
                answered = far.read(&mut down) => {
                    let Ok(length @ 1..) = answered else { return };
                    if near.write_all(&down[..length]).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}
