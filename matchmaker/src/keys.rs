//! The secrets of API keys: their form, not their rights.
//!
//! `nf_live_`, 43 characters of 62 drawn at random (256 bits), and 6 that check all before them, so that a typo is told
//! from a key that was revoked, and a scanner that looks for leaked keys finds no others.

use crate::random;

/// What every key begins with.
const PREFIX: &str = "nf_live_";
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BODY: usize = 43;
const CHECK: usize = 6;
/// Characters of the random part that are shown to tell keys apart; the rest stays above 230 bits.
const SHOWN: usize = 4;

/// A fresh secret.
pub(crate) fn fresh() -> String {
    let mut text = PREFIX.to_owned();
    while text.len() < PREFIX.len() + BODY {
        // Only what leaves every character equally likely.
        let drawn = random::bytes::<64>().into_iter().filter(|byte| *byte < 62 * 4);
        let room = PREFIX.len() + BODY - text.len();
        text.extend(drawn.take(room).map(|byte| char::from(ALPHABET[usize::from(byte % 62)])));
    }
    let end = check(&text);
    text + &end
}

/// How a secret is shown once it was given away.
pub(crate) fn shown(secret: &str) -> String {
    secret.chars().take(PREFIX.len() + SHOWN).collect()
}

/// Whether whoever sends this means a key; tickets and other tokens have other lengths.
pub(crate) fn is_meant(text: &str) -> bool {
    text.starts_with("nf_") && (text.starts_with(PREFIX) || text.len() != 43)
}

/// Whether it is whole: the form and the check are right.
pub(crate) fn is_whole(text: &str) -> bool {
    let fits = text.len() == PREFIX.len() + BODY + CHECK && text.is_ascii() && text.starts_with(PREFIX);
    fits && {
        let (all, end) = text.split_at(PREFIX.len() + BODY);
        check(all) == end
    }
}

/// The first 32 bits of BLAKE3, in base 62, the lowest digit first.
fn check(text: &str) -> String {
    let hash = blake3::hash(text.as_bytes());
    let first = hash.as_bytes().first_chunk().expect("a hash has 32 bytes");
    let mut rest = u32::from_le_bytes(*first);
    let digit = |_| {
        let digit = char::from(ALPHABET[(rest % 62) as usize]);
        rest /= 62;
        digit
    };
    (0..CHECK).map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_whole_and_no_typo_of_it_is() {
        let secret = fresh();
        assert_eq!(secret.len(), 57);
        assert!(is_whole(&secret) && is_meant(&secret), "{secret}");
        for at in PREFIX.len()..secret.len() {
            let mut typo = secret.clone().into_bytes();
            typo[at] = if typo[at] == b'x' { b'y' } else { b'x' };
            assert!(!is_whole(&String::from_utf8(typo).unwrap()), "at {at}");
        }
        let (mut swapped, at) = (secret.clone().into_bytes(), PREFIX.len());
        swapped.swap(at, at + 1);
        assert!(swapped == secret.as_bytes() || !is_whole(&String::from_utf8(swapped).unwrap()));
        for wrong in ["", "nf_live_", &secret[1..], &format!("{secret}0"), &"é".repeat(57)] {
            assert!(!is_whole(wrong), "{wrong}");
        }
    }

    #[test]
    fn keys_differ_and_show_little_of_themselves() {
        let (one, other) = (fresh(), fresh());
        assert_ne!(one, other);
        assert_eq!(shown(&one), &one[..12]);
    }

    #[test]
    fn a_ticket_is_not_taken_for_a_key() {
        let ticket = format!("nf_{}", "a".repeat(40));
        assert!(!is_meant(&ticket) && !is_meant("0.abc"));
        assert!(is_meant("nf_live_short") && is_meant("nf_test_abc"));
    }
}
