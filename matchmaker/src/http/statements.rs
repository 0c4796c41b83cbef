//! Statements: a title's month, with every receipt behind every line.
#![allow(unused_qualifications, reason = "the macro that describes a query names its type by its path")]

use super::problem::{Code, Path, Problem, Query};
use super::role::Caller;
use super::who::Books;
use crate::state::Shared;
use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use nearframe_ledger::bill::{Counted, Evidence, LeaseBill, Line};
use nearframe_ledger::settlement::Epoch;
use nearframe_protocol::{AccountId, LeaseId, TitleId, api};
use serde::Deserialize;
use std::fmt::Write;
use std::io::Error;
use std::ops::Range;
use std::sync::Arc;
use utoipa::IntoParams;

/// Leases read at once: a few hundred kilobytes of lines.
const PAGE_LEASES: u32 = 20;

pub(super) const COLUMNS: &str = "lease,session,generation,sequence,received_at_ms,duration_us,countersigned,billed_before_us,\
unsigned_before_us,billed_us,price_micros_per_hour,fee_permille,currency,host_micros,platform_micros,total_micros,node,\
node_key,player_key,receipt,receipt_sha256,node_signature,player_signature,rate_card,work,rate_region,gpu_tier\n";

/// Whose month, where an operator asks.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Whose {
    /// What this account pays for alone. Members and keys see their own account in any case.
    account: Option<AccountId>,
}

impl Whose {
    pub(super) fn books(&self, caller: &Caller) -> Result<Books, Problem> {
        match (caller.who.books()?, self.account) {
            (Books::All, Some(account)) => Ok(Books::Of(account)),
            (Books::Of(own), Some(account)) if own != account => {
                Err(Problem::new(Code::NotYours, "These are the books of another account."))
            }
            (books, _) => Ok(books),
        }
    }
}

/// A title's receipts that came in during a month in UTC, such as `2026-11`, one line each, with what each costs and
/// all that it takes to compute that again: signed bytes, signatures, keys, price. Every bill is computed from its
/// receipts when it is asked for; where one does not agree with what was posted, the answer breaks off. Where a member
/// or a key of an account asks, what the account pays for.
#[utoipa::path(get, path = "/v1/statements/{title}/{month}", tag = "money", operation_id = "statement",
    params(
        ("title" = TitleId, Path, description = "Title id"),
        ("month" = String, Path, description = "Year and month, such as 2026-11"),
        Whose,
    ),
    security(("operator" = []), ("member" = []), ("key" = [])), responses(
    (status = 200, description = "CSV (RFC 4180) with a header line", body = String, content_type = "text/csv"),
    (status = "default", description = "Any error, such as `sign_in_needed`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn csv(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path((title, month)): Path<(TitleId, String)>,
    Query(whose): Query<Whose>,
) -> Result<Response, Problem> {
    let range = month_of(&month)
        .ok_or_else(|| Problem::new(Code::BadRequest, "A month is a year and a month, such as 2026-11."))?;
    let books = whose.books(&caller)?;
    let name = format!("attachment; filename=\"{title}-{month}.csv\"");
    let head = stream::iter([Ok(Bytes::from_static(COLUMNS.as_bytes()))]);
    let pages = stream::try_unfold(None, move |after| {
        let (shared, title, range) = (Arc::clone(&shared), title.clone(), range.clone());
        async move {
            let page = page(&shared, books, &title, &range, after).await?;
            Ok::<_, Error>(page.map(|page| (Bytes::from(page.text), Some(page.last))))
        }
    });
    let body = Body::from_stream(futures_util::StreamExt::chain(head, pages));
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, name),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((headers, body).into_response())
}

/// A part of a statement.
pub(super) struct Part {
    /// Its lines.
    pub(super) text: String,
    /// What they were made from.
    pub(super) bills: Vec<(Evidence, LeaseBill)>,
    /// After which the next part begins.
    pub(super) last: LeaseId,
}

/// The lines of the next leases after one.
pub(super) async fn page(
    shared: &Shared,
    books: Books,
    title: &TitleId,
    range: &Range<u64>,
    after: Option<LeaseId>,
) -> Result<Option<Part>, Error> {
    let page = match books {
        Books::All => shared.store.evidence(Some(title), after, PAGE_LEASES).await,
        Books::Of(account) => shared.store.evidence_of_account(account, title, after, PAGE_LEASES).await,
    };
    let page = page.map_err(Error::other)?;
    let Some(last) = page.last().map(|evidence| evidence.account.lease) else { return Ok(None) };
    let mut part = Part { text: String::new(), bills: Vec::with_capacity(page.len()), last };
    for evidence in page {
        let lease = evidence.account.lease;
        let bill = evidence.recompute().map_err(|error| {
            tracing::error!(%lease, %error, "a bill does not follow from its receipts");
            Error::other(error)
        })?;
        let lines = bill.lines.iter().zip(&evidence.receipts);
        for (line, counted) in lines.filter(|(line, _)| range.contains(&line.received_at_ms)) {
            write_line(&mut part.text, &evidence, line, counted);
        }
        part.bills.push((evidence, bill));
    }
    Ok(Some(part))
}

fn write_line(out: &mut String, evidence: &Evidence, line: &Line, counted: &Counted) {
    let (account, terms) = (&evidence.account, &evidence.terms);
    let tariff = &account.tariff;
    let player_signature = counted.signed.player_signature.map(|signature| signature.to_string());
    let basis = evidence.basis.as_ref().map(|basis| {
        format!("{},{},{},{}", basis.rate_card, basis.work.as_str(), basis.region, basis.gpu_tier)
    });
    // Writing to a String cannot fail. No value holds a comma or a quote.
    let _ = writeln!(
        out,
        "{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}",
        account.lease,
        terms.session,
        terms.generation.0,
        line.sequence,
        line.received_at_ms,
        line.duration_us,
        u8::from(line.countersigned),
        line.billed_before_us,
        line.unsigned_before_us,
        line.billed_us,
        tariff.price_micros_per_hour,
        tariff.fee_permille,
        tariff.currency,
        line.host_micros,
        line.platform_micros,
        line.host_micros + line.platform_micros,
        account.node,
        terms.node_key,
        terms.player_key,
        hex::encode(counted.signed.receipt.canonical()),
        line.receipt,
        counted.signed.node_signature,
        player_signature.unwrap_or_default(),
        basis.unwrap_or_else(|| ",,,".to_owned()),
    );
}

/// From its first ms to that of the next month.
pub(super) fn month_of(text: &str) -> Option<Range<u64>> {
    let (year, month) = text.split_once('-')?;
    let digits = |part: &str, length| part.len() == length && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(year, 4) || !digits(month, 2) {
        return None;
    }
    let (year, month): (u32, u32) = (year.parse().ok()?, month.parse().ok()?);
    let (next_year, next) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    let (from, to) = (Epoch::from_date(year, month, 1)?, Epoch::from_date(next_year, next, 1)?);
    Some(from.begins_at_ms()..to.begins_at_ms())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_begin_and_end_in_utc() {
        assert_eq!(month_of("1970-01"), Some(0..31 * 86_400_000));
        assert_eq!(month_of("2024-02").map(|range| (range.end - range.start) / 86_400_000), Some(29));
        assert_eq!(month_of("2026-12").map(|range| (range.end - range.start) / 86_400_000), Some(31));
        for wrong in ["", "2026", "2026-13", "2026-00", "2026-1", "26-01", "2026-+1", "2026-01-01"] {
            assert_eq!(month_of(wrong), None, "{wrong}");
        }
    }
}
