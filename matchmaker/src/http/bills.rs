//! Bills of single sessions.

use super::credits::why;
use super::disputes::correction;
use super::problem::{Code, Path, Problem};
use super::usage::{sums, terms};
use crate::state::Shared;
use crate::store::billing::UsageSums;
use crate::store::stake::LeaseCredit;
use crate::store::trust::CorrectionRow;
use axum::extract::State;
use nearframe_ledger::bill::{Evidence, Line};
use nearframe_protocol::api;
use nearframe_protocol::bill::{BillCredit, BillLine, LeaseBill, SessionBill};
use nearframe_protocol::{Currency, Money, SessionId};
use std::sync::Arc;

/// What a session costs, receipt by receipt. It is computed from the receipts when it is asked for; where it does not
/// agree with what was posted, the answer is an error.
#[utoipa::path(get, path = "/v1/sessions/{id}/bill", tag = "money", operation_id = "session_bill",
    params(("id" = SessionId, Path, description = "Session id")),
    security(("guest" = []), ("ticket" = []), ("operator" = [])), responses(
    (status = 200, description = "As of now", body = SessionBill),
    (status = "default", description = "Any error, such as `not_yours`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn of_session(
    State(shared): State<Arc<Shared>>,
    Path(session): Path<SessionId>,
) -> Result<axum::Json<SessionBill>, Problem> {
    let evidence = shared.store.evidence_of(session).await?;
    let title = evidence.first().map(|first| first.account.title.clone());
    let title = title.ok_or_else(super::role::unknown_session)?;
    let corrections = shared.store.corrections_of(session).await?;
    let credits = shared.store.credits_of_session(session).await?;
    let leases = evidence.iter().map(|evidence| lease(evidence, &corrections, &credits));
    let leases = leases.collect::<Result<_, _>>()?;
    Ok(axum::Json(SessionBill { session, title, leases }))
}

fn lease(
    evidence: &Evidence,
    corrections: &[CorrectionRow],
    credits: &[LeaseCredit],
) -> Result<LeaseBill, Problem> {
    let account = &evidence.account;
    let bill = evidence.recompute().map_err(|error| {
        tracing::error!(lease = %account.lease, %error, "a bill does not follow from its receipts");
        Problem::new(
            Code::Internal,
            "The bill does not follow from its receipts. Tell whoever runs this server.",
        )
    })?;
    let currency = &account.tariff.currency;
    let total = UsageSums {
        leases: 1,
        receipts: bill.lines.len() as u64,
        billed_us: bill.billed_us,
        host_micros: bill.host_micros,
        platform_micros: bill.platform_micros,
    };
    Ok(LeaseBill {
        lease: account.lease,
        generation: evidence.terms.generation,
        node: account.node,
        terms: terms(&account.tariff, evidence.basis.as_ref()),
        lines: bill.lines.iter().map(|shown| line(shown, currency)).collect(),
        sums: sums(&total, currency),
        corrections: corrections
            .iter()
            .filter(|row| row.transfer.lease == account.lease)
            .map(correction)
            .collect(),
        credits: credited(credits.iter().filter(|credit| credit.lease == account.lease)),
    })
}

/// Parts that different accounts bear of one credit are one to whoever gets it.
fn credited<'a>(credits: impl Iterator<Item = &'a LeaseCredit>) -> Vec<BillCredit> {
    let mut all: Vec<BillCredit> = vec![];
    for LeaseCredit { row, .. } in credits {
        let same = |it: &&mut BillCredit| (it.why, &it.about) == (why(row.kind), &row.about);
        match all.iter_mut().find(same) {
            Some(it) => it.amount.amount_micros += row.amount_micros,
            None => all.push(BillCredit {
                why: why(row.kind),
                about: row.about.clone(),
                amount: Money { amount_micros: row.amount_micros, currency: row.currency.clone() },
                at_ms: row.at_ms,
            }),
        }
    }
    all
}

fn line(line: &Line, currency: &Currency) -> BillLine {
    let money = |amount_micros| Money { amount_micros, currency: currency.clone() };
    BillLine {
        sequence: line.sequence,
        receipt_sha256: line.receipt.to_string(),
        received_at_ms: line.received_at_ms,
        duration_us: line.duration_us,
        billed_us: line.billed_us,
        countersigned: line.countersigned,
        host: money(line.host_micros),
        platform: money(line.platform_micros),
        total: money(line.host_micros + line.platform_micros),
    }
}
