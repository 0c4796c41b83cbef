//! What a title writes to its standard output and error: read so that it never waits, and the end kept.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How much is kept.
const TAIL_BYTES: usize = 8 << 10;
/// Beyond this a title that floods its output waits for its pipe, instead of taking a core to be read.
const BYTES_PER_SLICE: usize = 1 << 20;
const SLICE: Duration = Duration::from_millis(100);

/// The end of a title's output.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tail(Arc<Mutex<VecDeque<u8>>>);

impl Tail {
    /// Reads `pipe` to its end in a thread of its own.
    pub(crate) fn drain(&self, pipe: OwnedFd) -> std::io::Result<JoinHandle<()>> {
        let tail = self.clone();
        std::thread::Builder::new().name("title-output".into()).spawn(move || tail.read(File::from(pipe)))
    }

    /// At most the last 8 KiB, as text.
    pub(crate) fn text(&self) -> String {
        let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(bytes.make_contiguous()).into_owned()
    }

    fn read(&self, mut pipe: impl Read) {
        let mut chunk = vec![0; 64 << 10];
        let (mut since, mut read) = (Instant::now(), 0);
        loop {
            match pipe.read(&mut chunk) {
                Ok(0) | Err(_) => return,
                Ok(count) => {
                    self.push(&chunk[..count]);
                    read += count;
                }
            }
            if read >= BYTES_PER_SLICE {
                std::thread::sleep(SLICE.saturating_sub(since.elapsed()));
            }
            if since.elapsed() >= SLICE {
                (since, read) = (Instant::now(), 0);
            }
        }
    }

    fn push(&self, bytes: &[u8]) {
        let mut tail = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = &bytes[bytes.len().saturating_sub(TAIL_BYTES)..];
        let over = (tail.len() + bytes.len()).saturating_sub(TAIL_BYTES);
        tail.drain(..over);
        tail.extend(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_the_output_is_kept() {
        let tail = Tail::default();
        let text: String = (0..5000).map(|line| format!("line {line}\n")).collect();
        tail.read(text.as_bytes());
        assert_eq!(tail.text(), text[text.len() - TAIL_BYTES..]);
        tail.read(&b"\xff and the end"[..]);
        assert!(tail.text().ends_with("\u{fffd} and the end"));
    }
}
