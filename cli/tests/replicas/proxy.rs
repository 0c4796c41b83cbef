//! A way between two programs that can be cut: bytes then stay where they are, as in a network that is torn.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// How often a cut is looked at.
const LOOK: Duration = Duration::from_millis(20);

#[derive(Clone, Default)]
pub(crate) struct Cut(Arc<AtomicBool>);

impl Cut {
    pub(crate) fn set(&self, cut: bool) {
        self.0.store(cut, Ordering::Relaxed);
    }

    fn wait(&self) {
        while self.0.load(Ordering::Relaxed) {
            thread::sleep(LOOK);
        }
    }
}

/// A port of loopback that leads to another one.
pub(crate) fn tcp(to: u16) -> (u16, Cut) {
    let (listener, cut) = (TcpListener::bind("127.0.0.1:0").unwrap(), Cut::default());
    let port = listener.local_addr().unwrap().port();
    let shared = cut.clone();
    thread::spawn(move || {
        for from in listener.incoming().map_while(Result::ok) {
            shared.wait();
            // Whoever dials while the other end is away is hung up on.
            let Ok(to) = TcpStream::connect(("127.0.0.1", to)) else { continue };
            let (back_from, back_to) = (to.try_clone().unwrap(), from.try_clone().unwrap());
            carry(from, to, &shared);
            carry(back_from, back_to, &shared);
        }
    });
    (port, cut)
}

/// A socket in `folder` that leads to the one of the same name in another.
pub(crate) fn postgres(folder: &Path, to: &Path) -> Cut {
    const NAME: &str = ".s.PGSQL.5432";
    let (listener, cut) = (UnixListener::bind(folder.join(NAME)).unwrap(), Cut::default());
    let (shared, to): (_, PathBuf) = (cut.clone(), to.join(NAME));
    thread::spawn(move || {
        for from in listener.incoming().map_while(Result::ok) {
            shared.wait();
            let Ok(to) = UnixStream::connect(&to) else { continue };
            let (back_from, back_to) = (to.try_clone().unwrap(), from.try_clone().unwrap());
            carry(from, to, &shared);
            carry(back_from, back_to, &shared);
        }
    });
    cut
}

trait Stream: Read + Write + Send + 'static {
    fn end(&self);
}

impl Stream for TcpStream {
    fn end(&self) {
        // It may be closed already.
        let _ = self.shutdown(std::net::Shutdown::Both);
    }
}

impl Stream for UnixStream {
    fn end(&self) {
        // It may be closed already.
        let _ = self.shutdown(std::net::Shutdown::Both);
    }
}

fn carry(mut from: impl Stream, mut to: impl Stream, cut: &Cut) {
    let cut = cut.clone();
    thread::spawn(move || {
        let mut bytes = vec![0; 16 * 1024];
        while let Ok(count) = from.read(&mut bytes)
            && count > 0
        {
            cut.wait();
            if to.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        from.end();
        to.end();
    });
}
