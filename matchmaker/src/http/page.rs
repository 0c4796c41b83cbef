//! Pages of listings, and where the next one begins.

use super::problem::{Code, Problem};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nearframe_protocol::api::Page;
use serde::Deserialize;

/// Rows of a page of a listing.
pub(crate) const PAGE_ROWS: u32 = 50;

#[derive(Deserialize)]
pub(crate) struct Cursor {
    cursor: Option<String>,
}

impl Cursor {
    pub(crate) fn read(&self) -> Result<Option<String>, Problem> {
        let read = |text: &String| String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok();
        match &self.cursor {
            None => Ok(None),
            Some(text) => read(text).map(Some).ok_or_else(bad_cursor),
        }
    }
}

pub(crate) fn bad_cursor() -> Problem {
    Problem::new(Code::BadCursor, "Pass `next_cursor` of the page before, unchanged.")
}

/// Of one row more than a page has, the page; `cursor` tells where the next begins, by the last row and their number.
pub(crate) fn page<T>(mut items: Vec<T>, cursor: impl Fn(&T, usize) -> String) -> Page<T> {
    let more = items.len() > PAGE_ROWS as usize;
    items.truncate(PAGE_ROWS as usize);
    let next_cursor =
        items.last().filter(|_| more).map(|last| URL_SAFE_NO_PAD.encode(cursor(last, items.len())));
    Page { items, next_cursor }
}
