//! An invoice as a document.

use super::{Invoice, LeaseMonth, TitleMonth};
use crate::document::{Column, Document};
use crate::store::billing::UsageSums;
use crate::store::stake::{CreditKind, CreditRow};
use nearframe_ledger::settlement::Epoch;
use nearframe_protocol::plan::ChargeKind;
use nearframe_protocol::{Currency, Money};
use std::collections::BTreeMap;

/// Sessions that are written out, of all titles together: some 400 pages. The statements have the others.
const MOST_LINES: usize = 20_000;

const SUMS: [Column; 7] = [
    Column::words("Title", 260),
    Column::numbers("Sessions", 90),
    Column::numbers("Receipts", 90),
    Column::numbers("Seconds", 140),
    Column::numbers("To hosts", 140),
    Column::numbers("Platform fee", 140),
    Column::numbers("Amount", 140),
];
const SESSIONS: [Column; 7] = [
    Column::words("First receipt, UTC", 150),
    Column::words("Session", 310),
    Column::numbers("Per hour", 110),
    Column::numbers("Seconds", 110),
    Column::numbers("To host", 110),
    Column::numbers("Platform fee", 105),
    Column::numbers("Amount", 105),
];

const CHARGES: [Column; 3] =
    [Column::words("When, UTC", 200), Column::words("What", 560), Column::numbers("Amount", 240)];

/// The document's bytes.
pub(super) fn write(invoice: &Invoice) -> Vec<u8> {
    let name = match &invoice.to {
        Some(account) => format!("Invoice {} {}", invoice.month, &account.id.to_string()[..8]),
        None => format!("All accounts {}", invoice.month),
    };
    let mut document = Document::new(&name);
    document.title(&name);
    parties(&mut document, invoice);
    sums(&mut document, invoice);
    subscription(&mut document, invoice);
    credits(&mut document, invoice);
    let mut room = MOST_LINES;
    for title in &invoice.titles {
        of_title(&mut document, title, &mut room);
    }
    document.finish()
}

fn parties(document: &mut Document, invoice: &Invoice) {
    document.heading("From");
    match &invoice.from[..] {
        [] => document.text("The operator of this server."),
        lines => lines.iter().for_each(|line| document.text(line)),
    }
    document.heading("To");
    match &invoice.to {
        Some(account) => {
            document.text(&account.name);
            document.text(&format!("Account {}", account.id));
        }
        None => document.text("Everybody who paid: an overview, and no invoice to anyone."),
    }
    document.heading("Period");
    let (from, to) = (timestamp(invoice.range.start), timestamp(invoice.range.end));
    document.text(&format!(
        "Receipts that came in from {from} until {to} UTC. Made {} UTC.",
        timestamp(invoice.made_at_ms)
    ));
    if invoice.made_at_ms < invoice.range.end {
        document.text("The month is not over: this is what was used so far, and no invoice yet.");
    }
}

fn sums(document: &mut Document, invoice: &Invoice) {
    let mut by_currency: BTreeMap<&Currency, Vec<(String, UsageSums)>> = BTreeMap::new();
    for title in &invoice.titles {
        for (currency, sums) in title.sums() {
            by_currency.entry(currency).or_default().push((title.title.to_string(), sums));
        }
    }
    if by_currency.is_empty() {
        document.heading("Amount");
        document.text("Nothing was used.");
    }
    for (currency, titles) in by_currency {
        let total = titles.iter().fold(UsageSums::default(), |total, (_, sums)| added(total, sums));
        let of = |amount_micros| Money { amount_micros, currency: currency.clone() };
        document.heading(&format!("Amount in {currency}: {}", of(total.host_micros + total.platform_micros)));
        let fee = of(total.platform_micros);
        document.text(&format!(
            "Of this, {fee} are the platform's fee. No tax is added. Amounts are exact to the millionth."
        ));
        let rows: Vec<_> = titles.iter().map(|(title, sums)| sum_row(title, sums)).collect();
        document.table(&SUMS, &rows, &[sum_row("In all", &total)]);
    }
}

/// What a subscription cost and covered, and what is to be paid with it.
fn subscription(document: &mut Document, invoice: &Invoice) {
    let mut due: BTreeMap<&Currency, i128> = BTreeMap::new();
    for (_, currency, micros) in &invoice.charged {
        *due.entry(currency).or_default() += micros;
    }
    for (currency, charged) in due {
        document.heading(&format!("Subscription in {currency}"));
        let of = invoice.charges.iter().filter(|row| row.currency == *currency && row.due_micros() != 0);
        let row = |at: String, what: &str, micros: i128| vec![at, what.to_owned(), self::micros(micros)];
        let mut rows: Vec<_> =
            of.map(|charge| row(timestamp(charge.at_ms), what(charge.kind), charge.due_micros())).collect();
        let covered =
            invoice.charged.iter().filter(|(kind, of, _)| *kind == ChargeKind::Covered && of == currency);
        rows.extend(covered.map(|(kind, _, micros)| row(String::new(), what(*kind), *micros)));
        let used = invoice.titles.iter().filter_map(|title| title.sums().remove(currency));
        let used: i128 = used.map(|sums| sums.host_micros + sums.platform_micros).sum();
        rows.push(row(String::new(), "Sessions, as above", used));
        document.table(&CHARGES, &rows, &[row(String::new(), "To pay", charged + used)]);
    }
}

/// What is credited, which lowers what is to be paid.
fn credits(document: &mut Document, invoice: &Invoice) {
    let mut by_currency: BTreeMap<&Currency, Vec<&CreditRow>> = BTreeMap::new();
    for row in &invoice.credits {
        by_currency.entry(&row.currency).or_default().push(row);
    }
    for (currency, credits) in by_currency {
        document.heading(&format!("Credits in {currency}"));
        let row = |at: String, what: String, micros: i128| vec![at, what, self::micros(micros)];
        let rows: Vec<_> = credits
            .iter()
            .map(|credit| row(timestamp(credit.at_ms), credited_for(credit), -credit.amount_micros))
            .collect();
        let sum: i128 = credits.iter().map(|credit| credit.amount_micros).sum();
        document.table(
            &CHARGES,
            &rows,
            &[row(String::new(), "Credited, off the amounts above".to_owned(), -sum)],
        );
    }
}

fn credited_for(credit: &CreditRow) -> String {
    match credit.kind {
        CreditKind::Service => format!("Service level of {}", credit.about),
        CreditKind::Slash => format!("Stake of a machine, case {}", credit.about),
    }
}

fn what(kind: ChargeKind) -> &'static str {
    match kind {
        ChargeKind::Fee => "Month of the plan",
        ChargeKind::Change => "Change of plan for the rest of a month",
        ChargeKind::Covered => "Sessions that the plan includes",
        ChargeKind::Unused => "Left of a month's fee",
    }
}

fn of_title(document: &mut Document, month: &TitleMonth, room: &mut usize) {
    document.heading(&format!("Sessions of {}", month.title));
    let shown = month.leases.len().min(*room);
    *room -= shown;
    let rows: Vec<_> = month.leases[..shown].iter().map(session_row).collect();
    let sums: Vec<_> =
        month.sums().into_iter().map(|(currency, sums)| session_sum(currency, &sums)).collect();
    document.table(&SESSIONS, &rows, &sums);
    let left = month.leases.len() - shown;
    if left > 0 {
        document.text(&format!("{left} more sessions are in the statement."));
    }
    for (currency, standing) in month.standing() {
        let total = micros(standing.host_micros + standing.platform_micros);
        document.text(&format!("Of this, {total} {currency} are for machines that stood by."));
    }
    document.text("Every receipt behind these lines, with its signatures and price, is in the title's statement (CSV) of the same month, whose SHA-256 is");
    document.text(&month.sha256);
}

impl TitleMonth {
    fn sums(&self) -> BTreeMap<&Currency, UsageSums> {
        self.sums_of(|_| true)
    }

    /// Of reservations alone.
    fn standing(&self) -> BTreeMap<&Currency, UsageSums> {
        self.sums_of(|lease| lease.stands_by)
    }

    fn sums_of(&self, wanted: impl Fn(&LeaseMonth) -> bool) -> BTreeMap<&Currency, UsageSums> {
        let mut sums: BTreeMap<&Currency, UsageSums> = BTreeMap::new();
        for lease in self.leases.iter().filter(|lease| wanted(lease)) {
            let sum = sums.entry(&lease.tariff.currency).or_default();
            *sum = added(*sum, &lease.sums);
        }
        sums
    }
}

fn added(a: UsageSums, b: &UsageSums) -> UsageSums {
    UsageSums {
        leases: a.leases + b.leases,
        receipts: a.receipts + b.receipts,
        billed_us: a.billed_us + b.billed_us,
        host_micros: a.host_micros + b.host_micros,
        platform_micros: a.platform_micros + b.platform_micros,
    }
}

fn sum_row(name: &str, sums: &UsageSums) -> Vec<String> {
    vec![
        name.to_owned(),
        sums.leases.to_string(),
        sums.receipts.to_string(),
        micros(sums.billed_us.into()),
        micros(sums.host_micros),
        micros(sums.platform_micros),
        micros(sums.host_micros + sums.platform_micros),
    ]
}

fn session_row(lease: &LeaseMonth) -> Vec<String> {
    let LeaseMonth { first_ms, session, tariff, sums, .. } = lease;
    let mut row =
        vec![timestamp(*first_ms), session.to_string(), micros(tariff.price_micros_per_hour.into())];
    row.extend(sum_row("", sums).split_off(3));
    row
}

fn session_sum(currency: &Currency, sums: &UsageSums) -> Vec<String> {
    let mut row = vec!["In all".to_owned(), currency.to_string(), String::new()];
    row.extend(sum_row("", sums).split_off(3));
    row
}

/// Millionths as a decimal, whatever of.
fn micros(micros: i128) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let micros = micros.unsigned_abs();
    format!("{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

fn timestamp(ms: u64) -> String {
    let second = ms / 1000 % 86_400;
    format!("{} {:02}:{:02}:{:02}", Epoch::of(ms), second / 3600, second / 60 % 60, second % 60)
}
