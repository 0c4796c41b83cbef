//! What a journal needs of a disk: one file that grows, and files that are written once.

use std::io::Result;

/// Pieces of a file, in order; `None` after the last.
pub type Chunks<'a> = dyn FnMut() -> Result<Option<Vec<u8>>> + 'a;

/// The seam. [`crate::Folder`] is the real one; tests have one that dies at a chosen write.
pub trait Storage {
    /// Adds bytes to the end of the blocks. Not safe from a crash before [`Storage::sync`].
    fn append(&mut self, bytes: &[u8]) -> Result<()>;
    /// Returns when everything that was appended is safe from a crash.
    fn sync(&mut self) -> Result<()>;
    /// How long the blocks are, in bytes.
    fn blocks_len(&self) -> Result<u64>;
    /// Fills `into` with the blocks' bytes from `at` on.
    fn read_blocks(&self, at: u64, into: &mut [u8]) -> Result<()>;
    /// Cuts a torn end off the blocks.
    fn truncate_blocks(&mut self, length: u64) -> Result<()>;

    /// Writes a file: whole and safe from a crash when this returns, or not there.
    fn put(&self, name: &str, chunks: &mut Chunks<'_>) -> Result<()>;
    /// The names of these files.
    fn names(&self) -> Result<Vec<String>>;
    /// How long such a file is, in bytes.
    fn len(&self, name: &str) -> Result<u64>;
    /// Fills `into` with a file's bytes from `at` on.
    fn read(&self, name: &str, at: u64, into: &mut [u8]) -> Result<()>;
    /// Removes such a file.
    fn remove(&self, name: &str) -> Result<()>;
}
