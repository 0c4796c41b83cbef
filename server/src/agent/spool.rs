//! Receipts on disk until the matchmaker has taken them: one file each, fsynced, so that neither a crash
//! nor an outage loses one.

use anyhow::{Context, Result};
use nearframe_protocol::receipt::SignedReceipt;
use nearframe_protocol::{Generation, SessionId};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use tracing::{error, warn};

/// Most receipts kept: 16 sessions for 17 hours. A longer outage stops being billed rather than fill the disk.
const MAX_SPOOLED: usize = 100_000;

type Name = (SessionId, Generation, u32);

/// The spool.
pub(crate) struct Spool {
    dir: PathBuf,
    receipts: BTreeMap<Name, SignedReceipt>,
}

impl Spool {
    /// Opens the folder and reads what an earlier run left.
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir.join("refused")).with_context(|| format!("creating {}", dir.display()))?;
        let mut spool = Self { dir: dir.to_owned(), receipts: BTreeMap::new() };
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                match fs::read(&path)
                    .map_err(anyhow::Error::from)
                    .and_then(|b| Ok(serde_json::from_slice(&b)?))
                {
                    Ok(receipt) => {
                        spool.receipts.insert(name_of(&receipt), receipt);
                    }
                    Err(error) => warn!("the spooled receipt {} cannot be read: {error}", path.display()),
                }
            }
        }
        Ok(spool)
    }

    /// Keeps a receipt; it is on disk when this returns.
    pub(crate) fn put(&mut self, receipt: SignedReceipt) {
        if self.receipts.len() >= MAX_SPOOLED {
            error!(
                "the receipt spool is full; time used from now on cannot be billed until the matchmaker is back"
            );
            return;
        }
        let name = name_of(&receipt);
        if let Err(error) = self.write(&name, &receipt) {
            error!("a receipt could not be written to disk and is kept in memory only: {error:#}");
        }
        self.receipts.insert(name, receipt);
    }

    /// The matchmaker has it.
    pub(crate) fn taken(&mut self, name: Name) {
        if self.receipts.remove(&name).is_some() {
            let _ = fs::remove_file(self.path(&name));
        }
    }

    /// The matchmaker will never take it: it is kept aside for the owner.
    pub(crate) fn refused(&mut self, name: Name, why: &str) {
        if self.receipts.remove(&name).is_some() {
            warn!(session = %name.0, sequence = name.2, "a receipt was refused: {why}");
            let path = self.path(&name);
            let aside = self.dir.join("refused").join(path.file_name().unwrap_or_default());
            let _ = fs::rename(path, aside);
        }
    }

    /// Everything not yet taken, oldest sequence first within a session.
    pub(crate) fn pending(&self) -> impl Iterator<Item = &SignedReceipt> {
        self.receipts.values()
    }

    fn path(&self, (session, generation, sequence): &Name) -> PathBuf {
        self.dir.join(format!("{session}-{}-{sequence:08}.json", generation.0))
    }

    fn write(&self, name: &Name, receipt: &SignedReceipt) -> Result<()> {
        let path = self.path(name);
        let draft = path.with_extension("new");
        let mut file = File::create(&draft)?;
        file.write_all(&serde_json::to_vec(receipt)?)?;
        file.sync_all()?;
        fs::rename(&draft, &path)?;
        Ok(())
    }
}

fn name_of(receipt: &SignedReceipt) -> Name {
    (receipt.receipt.session, receipt.receipt.generation, receipt.receipt.sequence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearframe_protocol::NodeKey;
    use nearframe_protocol::receipt::{Receipt, ReceiptHash};

    fn receipt(sequence: u32) -> SignedReceipt {
        let receipt = Receipt {
            session: SessionId::from_bytes([3; 16]),
            generation: Generation(0),
            sequence,
            previous: ReceiptHash::ZERO,
            duration_us: 1,
            frames: 1,
            bytes: 1,
            encoder_us: 1,
            width: 2,
            height: 2,
            rtt_us: 0,
            packets_sent: 1,
            packets_lost: 0,
        };
        SignedReceipt::sign(&NodeKey::from_seed([9; 32]), receipt)
    }

    #[test]
    fn what_is_not_taken_survives_a_restart_and_what_is_taken_does_not_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(dir.path()).unwrap();
        (0..3).for_each(|sequence| spool.put(receipt(sequence)));
        spool.taken(name_of(&receipt(1)));
        spool.refused(name_of(&receipt(2)), "test");
        fs::write(dir.path().join("rubbish.json"), b"{").unwrap();
        drop(spool);
        let spool = Spool::open(dir.path()).unwrap();
        assert_eq!(spool.pending().map(|r| r.receipt.sequence).collect::<Vec<_>>(), [0]);
        assert_eq!(fs::read_dir(dir.path().join("refused")).unwrap().count(), 1);
    }
}
