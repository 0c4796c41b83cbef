//! A socket in a folder that leads to a door on loopback: what the client of the official SDK speaks HTTP over.

use super::house::WITHIN;
use std::net::SocketAddr;
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpStream, UnixListener};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// It leads there until it is dropped.
pub(crate) struct Socket {
    folder: TempDir,
    served: JoinHandle<()>,
}

impl Socket {
    pub(crate) fn to(door: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("door")).unwrap();
        let served = tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                tokio::spawn(async move {
                    if let Ok(Ok(mut far)) = timeout(WITHIN, TcpStream::connect(door)).await {
                        // Either end may hang up.
                        let _ = copy_bidirectional(&mut near, &mut far).await;
                    }
                });
            }
        });
        Self { folder, served }
    }

    pub(crate) fn path(&self) -> String {
        self.folder.path().join("door").to_str().unwrap().to_owned()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.served.abort();
    }
}
