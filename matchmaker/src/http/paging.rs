//! Pages of a listing: each names the cursor of the next.

use super::problem::{Code, Problem};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nearframe_protocol::api::Page;
use serde::Deserialize;
use std::str::FromStr;

/// Rows of one page.
pub(crate) const ROWS: u32 = 50;

/// Where a page goes on.
#[derive(Deserialize)]
pub(crate) struct Cursor {
    cursor: Option<String>,
}

impl Cursor {
    /// `None`: from the beginning.
    pub(crate) fn read<T: FromStr>(&self) -> Result<Option<T>, Problem> {
        let bad = || Problem::new(Code::BadCursor, "Pass `next_cursor` of the page before, unchanged.");
        let read = |text: &String| String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?.parse().ok();
        self.cursor.as_ref().map(|text| read(text).ok_or_else(bad)).transpose()
    }
}

/// Of one row more than `rows`, where there are as many.
pub(crate) fn page<T>(mut items: Vec<T>, rows: u32, cursor: impl Fn(&T, usize) -> String) -> Page<T> {
    let more = items.len() > rows as usize;
    items.truncate(rows as usize);
    let next_cursor =
        items.last().filter(|_| more).map(|last| URL_SAFE_NO_PAD.encode(cursor(last, items.len())));
    Page { items, next_cursor }
}
