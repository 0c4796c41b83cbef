//! The server's files: a socket and a cookie for clients, and a folder that the server may write to.

use crate::SoundError;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use tracing::warn;

/// PulseAudio's cookies have this size.
const COOKIE_BYTES: usize = 256;

/// The folder `sound` below the session's own. Removed on drop.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    socket: PathBuf,
    cookie: PathBuf,
}

/// What a server process is started with.
#[derive(Debug)]
pub(crate) struct ServerFiles {
    /// The socket's path, which the server compares with what it is handed.
    pub(crate) socket: PathBuf,
    /// The listening socket. It is made once, so that its file, bound into a sandbox, stays the one that
    /// every later server answers on.
    pub(crate) listener: UnixListener,
    /// Where the server reads its cookie and keeps its state.
    pub(crate) dir: PathBuf,
    /// The unprivileged user that the server runs as, and to whom `dir` belongs; `None`: as this process.
    pub(crate) user: Option<u32>,
}

impl Folder {
    pub(crate) fn socket_in(dir: &Path) -> PathBuf {
        dir.join("sound/native")
    }

    pub(crate) fn cookie_in(dir: &Path) -> PathBuf {
        dir.join("sound/cookie")
    }

    /// Makes all files. What a crashed process left in the same place goes first.
    pub(crate) fn create(dir: &Path) -> Result<(Self, ServerFiles), SoundError> {
        let root = dir.join("sound");
        // The path goes into an argument of the server's, inside quotes.
        if !dir.to_str().is_some_and(|path| path.chars().all(|c| !c.is_control() && !"\"'\\".contains(c))) {
            return Err(at(dir)(std::io::ErrorKind::InvalidFilename.into()));
        }
        if root.symlink_metadata().is_ok() {
            fs::remove_dir_all(&root).map_err(at(&root))?;
        }
        DirBuilder::new().mode(0o700).create(&root).map_err(at(&root))?;
        Self::fill(dir, &root).inspect_err(|_| {
            let _ = fs::remove_dir_all(&root);
        })
    }

    fn fill(dir: &Path, root: &Path) -> Result<(Self, ServerFiles), SoundError> {
        let mut secret = [0; COOKIE_BYTES];
        getrandom::fill(&mut secret).map_err(SoundError::Random)?;
        let cookie = Self::cookie_in(dir);
        // Readable by all who are let into the folder: a sandbox may run as another user.
        write_new(&cookie, &secret, 0o644)?;
        let server = root.join("server");
        DirBuilder::new().mode(0o700).create(&server).map_err(at(&server))?;
        let own_cookie = server.join("cookie");
        write_new(&own_cookie, &secret, 0o600)?;
        let user = give_away(&server, &own_cookie)?;
        let socket = Self::socket_in(dir);
        let listener = UnixListener::bind(&socket).map_err(at(&socket))?;
        fs::set_permissions(&socket, Permissions::from_mode(0o666)).map_err(at(&socket))?;
        let files = ServerFiles { socket: socket.clone(), listener, dir: server, user };
        Ok((Self { root: root.to_owned(), socket, cookie }, files))
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    pub(crate) fn cookie(&self) -> &Path {
        &self.cookie
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.root) {
            warn!("the sound server's folder {:?} stays behind: {error}", self.root);
        }
    }
}

/// Root hands the folder to a user of this session alone, so that no server can touch another.
fn give_away(server: &Path, cookie: &Path) -> Result<Option<u32>, SoundError> {
    let Some(user) = nearframe_sandbox::helper_user() else { return Ok(None) };
    for path in [cookie, server] {
        match chown(path, Some(user), Some(user)) {
            Ok(()) => {}
            // Root of a user namespace that has no other users has no power to give up either.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) => {
                return Ok(None);
            }
            Err(source) => return Err(SoundError::Folder { path: path.to_owned(), source }),
        }
    }
    Ok(Some(user))
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), SoundError> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(at(path))?;
    file.write_all(bytes).map_err(at(path))?;
    // Whatever the umask took away.
    file.set_permissions(Permissions::from_mode(mode)).map_err(at(path))
}

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> SoundError + use<> {
    let path = path.to_owned();
    move |source| SoundError::Folder { path, source }
}
