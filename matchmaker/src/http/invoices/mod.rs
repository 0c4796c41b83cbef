//! Invoices: an account's month on paper, title by title and session by session.
//!
//! Sums are those of the statement's lines, added up while it is read: the paper names the SHA-256 of each title's
//! statement, which has every receipt behind every line.

mod paper;

use super::problem::{Code, Path, Problem, Query};
use super::role::Caller;
use super::statements::{COLUMNS, Whose, month_of, page};
use super::who::Books;
use crate::state::Shared;
use crate::store::accounts::AccountRow;
use crate::store::billing::{UsageBy, UsageKey, UsageOf, UsageSums};
use crate::store::plans::ChargeRow;
use crate::store::stake::CreditRow;
use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use nearframe_ledger::Tariff;
use nearframe_ledger::bill::{Evidence, LeaseBill, Line};
use nearframe_protocol::plan::ChargeKind;
use nearframe_protocol::prices::Work;
use nearframe_protocol::{Currency, SessionId, TitleId, api};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::io::Error;
use std::ops::Range;
use std::sync::Arc;

/// Fees and changes of plan that are written out; whoever changes more often finds the others in the API.
const MOST_CHARGES: u32 = 200;

/// An invoice before it is paper.
#[derive(Debug)]
struct Invoice {
    /// Year and month in UTC.
    month: String,
    range: Range<u64>,
    made_at_ms: u64,
    /// Who bills, line by line.
    from: Vec<String>,
    /// Who pays; `None`: everybody.
    to: Option<AccountRow>,
    titles: Vec<TitleMonth>,
    /// Beside sessions, oldest first, save what was covered.
    charges: Vec<ChargeRow>,
    /// What is to be paid by each kind of charge, covered sessions included, in micro-units.
    charged: Vec<(ChargeKind, Currency, i128)>,
    /// What was credited in the month, oldest first.
    credits: Vec<CreditRow>,
}

/// A title's month.
#[derive(Debug)]
struct TitleMonth {
    title: TitleId,
    /// Of the statement, as it is downloaded.
    sha256: String,
    leases: Vec<LeaseMonth>,
}

/// What was used under one lease in the month.
#[derive(Debug)]
struct LeaseMonth {
    /// Of the first receipt in the month, Unix ms.
    first_ms: u64,
    session: SessionId,
    tariff: Tariff,
    /// A machine stood by.
    stands_by: bool,
    sums: UsageSums,
}

/// What an account pays for in a month in UTC, such as `2026-11`, as a document to print and to keep: parties, period,
/// sums by currency and title with the platform's fee, a line for each session, and the SHA-256 of each title's statement,
/// which has the receipts. A month that is not over is marked as such. Operators who name no account get the month of all
/// of them. Where a bill does not follow from its receipts, the answer breaks off.
#[utoipa::path(get, path = "/v1/invoices/{month}", tag = "money", operation_id = "invoice",
    params(("month" = String, Path, description = "Year and month, such as 2026-11"), Whose),
    security(("operator" = []), ("member" = []), ("key" = [])), responses(
    (status = 200, description = "A4, PDF 1.7", body = Vec<u8>, content_type = "application/pdf"),
    (status = "default", description = "Any error, such as `sign_in_needed`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn pdf(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path(month): Path<String>,
    Query(whose): Query<Whose>,
) -> Result<Response, Problem> {
    let range = month_of(&month)
        .ok_or_else(|| Problem::new(Code::BadRequest, "A month is a year and a month, such as 2026-11."))?;
    let books = whose.books(&caller)?;
    let to = match books {
        Books::All => None,
        Books::Of(account) => {
            let row = shared.store.account(account).await?;
            Some(row.ok_or_else(|| Problem::new(Code::UnknownAccount, "There is no such account."))?)
        }
    };
    let headers = [
        (header::CONTENT_TYPE, "application/pdf".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"invoice-{month}.pdf\"")),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    // Every signature of the month is checked: that may take longer than a request, so it is part of the answer's body.
    let body =
        async move { Ok::<_, Error>(Bytes::from(paper::write(&read(&shared, month, range, to).await?))) };
    Ok((headers, Body::from_stream(stream::once(body))).into_response())
}

async fn read(
    shared: &Shared,
    month: String,
    range: Range<u64>,
    to: Option<AccountRow>,
) -> Result<Invoice, Error> {
    let account = to.as_ref().map(|account| account.id);
    let of = UsageOf { account, ..UsageOf::all(range.clone()) };
    let rows = shared.store.usage(&of, UsageBy::Title).await.map_err(Error::other)?;
    let titles: BTreeSet<TitleId> = rows
        .into_iter()
        .filter_map(|row| if let UsageKey::Title(title) = row.key { Some(title) } else { None })
        .collect();
    let books = account.map_or(Books::All, Books::Of);
    let mut read = Vec::with_capacity(titles.len());
    for title in titles {
        read.push(title_month(shared, books, title, &range).await?);
    }
    let (mut charges, mut charged, mut credits) = (vec![], vec![], vec![]);
    if let Some(account) = account {
        charges = shared.store.charges(account, range.clone(), MOST_CHARGES).await.map_err(Error::other)?;
        charged = shared.store.charge_sums(account, range.clone()).await.map_err(Error::other)?;
        credits = super::credits::of(shared, account, range.clone()).await.map_err(Error::other)?;
    }
    let from = shared.config.company.clone();
    let made_at_ms = shared.now_ms();
    Ok(Invoice { month, range, made_at_ms, from, to, titles: read, charges, charged, credits })
}

async fn title_month(
    shared: &Shared,
    books: Books,
    title: TitleId,
    range: &Range<u64>,
) -> Result<TitleMonth, Error> {
    let mut hasher = Sha256::new_with_prefix(COLUMNS);
    let (mut leases, mut after) = (vec![], None);
    while let Some(page) = page(shared, books, &title, range, after).await? {
        hasher.update(&page.text);
        leases.extend(page.bills.iter().filter_map(|(evidence, bill)| LeaseMonth::of(evidence, bill, range)));
        after = Some(page.last);
    }
    leases.sort_by_key(|lease| lease.first_ms);
    Ok(TitleMonth { title, sha256: hex::encode(hasher.finalize()), leases })
}

impl LeaseMonth {
    /// Of the lines in the month; `None`: there is none.
    fn of(evidence: &Evidence, bill: &LeaseBill, range: &Range<u64>) -> Option<Self> {
        let lines: Vec<&Line> =
            bill.lines.iter().filter(|line| range.contains(&line.received_at_ms)).collect();
        let mut sums = UsageSums { leases: 1, ..UsageSums::default() };
        for line in &lines {
            sums.receipts += 1;
            sums.billed_us += line.billed_us;
            sums.host_micros += line.host_micros;
            sums.platform_micros += line.platform_micros;
        }
        Some(Self {
            first_ms: lines.first()?.received_at_ms,
            session: evidence.terms.session,
            stands_by: evidence.basis.as_ref().is_some_and(|basis| basis.work == Work::Reserve),
            tariff: evidence.account.tariff.clone(),
            sums,
        })
    }
}
