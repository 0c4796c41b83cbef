//! What other programs and people read on stdout.

use std::io::{self, Write};

/// Writes one line and flushes it. A reader that has gone away is no reason to stop serving.
pub(crate) fn line(text: &str) {
    let mut out = io::stdout().lock();
    if let Err(error) = writeln!(out, "{text}").and_then(|()| out.flush()) {
        tracing::debug!(%error, "nobody reads stdout");
    }
}
