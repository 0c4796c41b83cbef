//! Header extensions of one packet (RFC 8285 §4.2), as they are on the wire: nothing is allocated for them.

use bytes::BufMut;
use std::fmt;

/// Says that extensions of the one-byte form follow.
const ONE_BYTE_FORM: u16 = 0xbede;
/// Ids, lengths and contents together; ours take 16.
const MAX_LEN: usize = 32;
/// Longest content that the one-byte form can say.
const MAX_CONTENT_LEN: usize = 16;

/// Extensions in the order in which they were added.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Extensions {
    bytes: [u8; MAX_LEN],
    len: u8,
}

impl Extensions {
    /// Adds one with an id of 1 to 14 and a content of 1 to 16 bytes; what does not fit is left out.
    pub fn push(&mut self, id: u8, content: &[u8]) {
        let start = usize::from(self.len);
        let end = start + 1 + content.len();
        if content.is_empty() || content.len() > MAX_CONTENT_LEN || !(1..=14).contains(&id) || end > MAX_LEN {
            return;
        }
        self.bytes[start] = id << 4 | (content.len() - 1) as u8;
        self.bytes[start + 1..end].copy_from_slice(content);
        self.len = end as u8;
    }

    /// Ids and contents.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &[u8])> {
        let mut rest = &self.bytes[..usize::from(self.len)];
        std::iter::from_fn(move || {
            let (&first, tail) = rest.split_first()?;
            let (content, tail) = tail.split_at_checked(usize::from(first & 0x0f) + 1)?;
            rest = tail;
            Some((first >> 4, content))
        })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Overwrites the end of the newest one's content.
    pub(crate) fn finish(&mut self, content: &[u8]) {
        let end = usize::from(self.len);
        if let Some(start) = end.checked_sub(content.len()) {
            self.bytes[start..end].copy_from_slice(content);
        }
    }

    /// Length of the block in a packet, in bytes.
    pub(crate) fn block_len(&self) -> usize {
        if self.is_empty() { 0 } else { 4 + usize::from(self.len).next_multiple_of(4) }
    }

    /// Appends the block, padded to whole words.
    pub(crate) fn write_block(&self, out: &mut Vec<u8>) {
        if self.is_empty() {
            return;
        }
        let padded = usize::from(self.len).next_multiple_of(4);
        out.put_u16(ONE_BYTE_FORM);
        out.put_u16((padded / 4) as u16);
        out.put_slice(&self.bytes[..padded]);
    }
}

impl<C: AsRef<[u8]>> FromIterator<(u8, C)> for Extensions {
    fn from_iter<I: IntoIterator<Item = (u8, C)>>(all: I) -> Self {
        let mut extensions = Self::default();
        all.into_iter().for_each(|(id, content)| extensions.push(id, content.as_ref()));
        extensions
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_found_again_and_padded_to_words() {
        let mut extensions: Extensions =
            [(4, &[0, 0, 0][..]), (6, &[1; 8]), (5, &[0, 0])].into_iter().collect();
        extensions.finish(&[9, 8]);
        let found: Vec<_> = extensions.iter().collect();
        assert_eq!(found, [(4, &[0, 0, 0][..]), (6, &[1; 8]), (5, &[9, 8])]);
        let mut block = Vec::new();
        extensions.write_block(&mut block);
        assert_eq!((block.len(), extensions.block_len()), (20, 20));
        assert_eq!(block[..8], [0xbe, 0xde, 0, 4, 0x42, 0, 0, 0]);
    }

    #[test]
    fn what_the_form_cannot_say_is_left_out() {
        let mut extensions = Extensions::default();
        for (id, len) in [(0, 1), (15, 1), (1, 0), (1, 17)] {
            extensions.push(id, &[1; 20][..len]);
        }
        assert!(extensions.is_empty() && extensions.block_len() == 0);
        (0..9).for_each(|_| extensions.push(1, &[1; 16]));
        assert_eq!(extensions.iter().count(), 1);
    }
}
