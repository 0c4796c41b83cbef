//! Quotes: prices that hold for a while.
//!
//! A quote names a version of the rate card and carries the proof that we gave it, so that nothing is kept: whoever comes
//! with one in time pays by that card, also where another is in force or the server started again since.

use crate::state::Shared;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nearframe_protocol::TitleId;
use serde::{Deserialize, Serialize};

/// How long a quote holds: a player reads it, decides and starts.
pub(crate) const VALID_MS: u64 = 10 * 60 * 1000;
/// Longest quote that is read, in bytes; ours have about 150.
const MAX_BYTES: usize = 1024;

/// What a quote says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Terms {
    title: TitleId,
    /// Version of the rate card.
    rate_card: u32,
    valid_until_ms: u64,
}

/// Why a quote does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum QuoteError {
    /// Forged or cut short.
    #[error("this is no quote of this server")]
    Foreign,
    /// Too old.
    #[error("the quote was valid until {0} (Unix ms)")]
    Expired(u64),
    /// Of something else.
    #[error("the quote is for another title")]
    OtherTitle,
}

/// A quote by a version of the rate card for a title, and until when it holds.
pub(crate) fn make(shared: &Shared, title: &TitleId, rate_card: u32, now_ms: u64) -> (String, u64) {
    let valid_until_ms = now_ms.saturating_add(VALID_MS);
    let terms = Terms { title: title.clone(), rate_card, valid_until_ms };
    let words = serde_json::to_vec(&terms).expect("plain fields become JSON");
    let words = URL_SAFE_NO_PAD.encode(words);
    (format!("{words}.{}", shared.quote_mac(&words)), valid_until_ms)
}

/// The version of the rate card that a quote which holds is by.
pub(crate) fn read(shared: &Shared, quote: &str, title: &TitleId, now_ms: u64) -> Result<u32, QuoteError> {
    let (words, mac) =
        quote.split_once('.').filter(|_| quote.len() <= MAX_BYTES).ok_or(QuoteError::Foreign)?;
    if !shared.is_quote_mac(words, mac) {
        return Err(QuoteError::Foreign);
    }
    let words = URL_SAFE_NO_PAD.decode(words).map_err(|_| QuoteError::Foreign)?;
    let terms: Terms = serde_json::from_slice(&words).map_err(|_| QuoteError::Foreign)?;
    if terms.title != *title {
        return Err(QuoteError::OtherTitle);
    }
    if now_ms > terms.valid_until_ms {
        return Err(QuoteError::Expired(terms.valid_until_ms));
    }
    Ok(terms.rate_card)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::state::Parts;
    use crate::store::MemoryStore;
    use std::sync::Arc;

    fn server(key: u8) -> Shared {
        Shared::new(Config::default(), Parts::alone(Arc::new(MemoryStore::new()), [key; 32]))
    }

    fn title(name: &str) -> TitleId {
        TitleId::new(name).unwrap()
    }

    #[test]
    fn a_quote_holds_for_its_time_on_every_server_with_the_secret() {
        let (quote, until_ms) = make(&server(1), &title("meteor"), 17, 1_000);
        assert_eq!(until_ms, 1_000 + VALID_MS);
        let after = server(1);
        let at = |now_ms| read(&after, &quote, &title("meteor"), now_ms);
        assert_eq!(at(until_ms), Ok(17));
        assert_eq!(at(until_ms + 1), Err(QuoteError::Expired(until_ms)));
        assert_eq!(read(&after, &quote, &title("doom"), 0), Err(QuoteError::OtherTitle));
    }

    #[test]
    fn nobody_else_makes_a_quote() {
        let ours = server(1);
        let (quote, _) = make(&ours, &title("meteor"), 17, 0);
        let (forged, _) = make(&server(2), &title("meteor"), 17, 0);
        let (words, mac) = quote.split_once('.').unwrap();
        let cheaper = URL_SAFE_NO_PAD.decode(words).unwrap();
        let cheaper = String::from_utf8(cheaper).unwrap().replace("17", "16");
        let cheaper = format!("{}.{mac}", URL_SAFE_NO_PAD.encode(cheaper));
        let long = "x".repeat(MAX_BYTES + 1);
        for wrong in ["", ".", words, &forged, &cheaper, &long, &format!("{words}."), &format!("{quote}x")] {
            assert_eq!(read(&ours, wrong, &title("meteor"), 0), Err(QuoteError::Foreign), "{wrong}");
        }
    }
}
