//! Where NAL units lie in a byte stream (H.264 and HEVC, Annex B).

use memchr::memmem;
use std::ops::Range;

/// Ranges of the NAL units between start codes trailing zeros left out, empty ones skipped.
pub(crate) fn nal_units(data: &[u8]) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut next = find_start_code(data, 0);
    std::iter::from_fn(move || {
        loop {
            let start = next? + 3;
            next = find_start_code(data, start);
            let mut end = next.unwrap_or(data.len());
            while end > start && data[end - 1] == 0 {
                end -= 1;
            }
            if end > start {
                return Some(start..end);
            }
        }
    })
}

/// Index of the next `00 00 01` at or after `from`.
fn find_start_code(data: &[u8], from: usize) -> Option<usize> {
    memmem::find(data.get(from..)?, &[0, 0, 1]).map(|at| from + at)
}
