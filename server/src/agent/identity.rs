//! A key on disk: 32 bytes, readable by its owner only.

use anyhow::{Context, Result, bail};
use nearframe_protocol::NodeKey;
use nearframe_protocol::key::Nonce;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Loads the key in the file `name` of a folder, such as `node.key`, or makes one.
///
/// # Errors
/// A file that cannot be read or written, that others can read, or that holds no key.
pub fn load_or_create(dir: &Path, name: &str) -> Result<NodeKey> {
    let path = dir.join(name);
    match fs::read(&path) {
        Ok(bytes) => {
            let mode = fs::metadata(&path)?.permissions().mode();
            if mode & 0o077 != 0 {
                bail!("{} can be read by others; run: chmod 600 {}", path.display(), path.display());
            }
            let seed: [u8; 32] = bytes.try_into().map_err(|_| {
                anyhow::anyhow!("{} is not a key; restore it or delete it to enrol anew", path.display())
            })?;
            Ok(NodeKey::from_seed(seed))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let mut seed = [0; 32];
            getrandom::fill(&mut seed).map_err(|e| anyhow::anyhow!("the system gives no randomness: {e}"))?;
            let draft = dir.join(format!("{name}.new"));
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
            file.write_all(&seed)?;
            file.sync_all()?;
            fs::rename(&draft, &path).with_context(|| format!("writing {}", path.display()))?;
            Ok(NodeKey::from_seed(seed))
        }
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

/// 32 bytes that nobody can guess.
pub(super) fn nonce() -> Nonce {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the operating system has randomness once it runs processes");
    Nonce::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_kept_private() {
        let dir = tempfile::tempdir().unwrap();
        let first = load_or_create(dir.path(), "node.key").unwrap();
        assert_eq!(load_or_create(dir.path(), "node.key").unwrap().public(), first.public());
        let path = dir.path().join("node.key");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = load_or_create(dir.path(), "node.key").unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
    }
}
