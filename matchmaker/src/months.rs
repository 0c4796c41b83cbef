//! Service levels of months, and what is credited for them.
//!
//! A month is closed once: when its last day is settled and every dispute about it is decided. Its levels, what was paid and
//! what is credited are written in one transaction, by the table that was in force when the month began.

use crate::stakes;
use crate::state::{Phase, Shared};
use crate::store::StoreError;
use crate::store::service::{Closing, MonthRow, PaidRow};
use crate::store::stake::{CreditKind, CreditRow, NewCredit};
use nearframe_ledger::Account;
use nearframe_ledger::settlement::{Epoch, Totals};
use nearframe_protocol::trust::{CreditStep, MonthCredits, PostedCredit, SiteCredit};
use nearframe_protocol::{Money, NodeId};
use nearframe_trust::credit::{Credit, CreditRules};
use nearframe_trust::reach::{Machine, Reach};
use nearframe_trust::service::Served;
use std::collections::BTreeMap;
use std::ops::Range;

/// Months that one run looks back at: a server that was away for longer credits the older ones nobody.
const MONTHS: usize = 3;

/// A machine's month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeLevel {
    /// Its region, empty if unknown.
    pub(crate) region: String,
    /// What it served.
    pub(crate) served: Served,
    /// When it was reachable.
    pub(crate) reach: Reach,
}

/// How reliable machines and sites were in a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Levels {
    /// By machine.
    pub(crate) nodes: BTreeMap<NodeId, NodeLevel>,
    /// By region.
    pub(crate) sites: BTreeMap<String, (Served, Reach)>,
}

/// The levels of a time, as far as it is over.
pub(crate) async fn levels(shared: &Shared, range: &Range<u64>) -> Result<Levels, StoreError> {
    let until_ms = range.end.min(shared.now_ms()).max(range.start);
    let (seen, enrolled) = stakes::seen(shared, range.start..until_ms).await?;
    let since = |machine: &Machine| enrolled.get(&machine.node).copied().unwrap_or(0);
    let mut levels = Levels::default();
    for machine in &seen.machines {
        let (region, reach) = (machine.region.clone(), seen.reach(machine, since(machine)));
        levels.nodes.insert(machine.node, NodeLevel { region, served: Served::default(), reach });
    }
    for row in shared.store.served(range.clone()).await? {
        let fresh = || NodeLevel { region: row.region, served: Served::default(), reach: Reach::default() };
        levels.nodes.entry(row.node).or_insert_with(fresh).served = row.served;
    }
    let mut sites: BTreeMap<String, Vec<(&Machine, u64)>> = BTreeMap::new();
    for machine in &seen.machines {
        sites.entry(machine.region.clone()).or_default().push((machine, since(machine)));
    }
    for node in levels.nodes.values() {
        let site = levels.sites.entry(node.region.clone()).or_default();
        site.0 = [site.0, node.served].into_iter().sum();
    }
    for (region, machines) in sites {
        levels.sites.entry(region).or_default().1 = seen.site(&machines);
    }
    Ok(levels)
}

/// What a machine or a site was reachable, in the words of the API.
pub(crate) fn shown(reach: &Reach) -> nearframe_protocol::trust::Reachability {
    nearframe_protocol::trust::Reachability {
        due_ms: reach.due_ms,
        up_ms: reach.up_ms,
        excused_ms: reach.excused_ms,
        reachable_ppm: reach.reachable_ppm().unwrap_or(1_000_000),
    }
}

/// The last months that are over, the oldest first: name and time.
fn over(now_ms: u64) -> Vec<(String, Range<u64>)> {
    let mut months = vec![];
    let (year, month, _) = Epoch::of(now_ms).date();
    let mut ends = Epoch::from_date(year, month, 1);
    while let (Some(end), true) = (ends, months.len() < MONTHS) {
        let Some(last) = end.0.checked_sub(1).map(Epoch) else { break };
        let (year, month, _) = last.date();
        ends = Epoch::from_date(year, month, 1);
        if let Some(begin) = ends {
            months.push((format!("{year:04}-{month:02}"), begin.begins_at_ms()..end.begins_at_ms()));
        }
    }
    months.reverse();
    months
}

/// Closes months whose last day is settled and whose disputes are decided.
pub(crate) async fn close_due(shared: &Shared) -> Result<(), StoreError> {
    if *shared.phase.borrow() == Phase::Closed {
        return Ok(());
    }
    let now_ms = shared.now_ms();
    for (month, range) in over(now_ms) {
        let settles_at_ms = Epoch::of(range.end - 1).settles_at_ms();
        let Some(rules) = stakes::credit_rules_at(shared, range.start).await? else { continue };
        let is_due = now_ms >= settles_at_ms
            && shared.store.month(&month).await?.is_none()
            && shared.store.undecided(range.clone()).await? == 0;
        if is_due {
            close(shared, &month, &range, &rules, now_ms).await?;
        }
    }
    Ok(())
}

async fn close(
    shared: &Shared,
    month: &str,
    range: &Range<u64>,
    rules: &CreditRules,
    now_ms: u64,
) -> Result<(), StoreError> {
    // What hosts bear is theirs until then: nothing of it is paid out or staked meanwhile.
    let _alone = shared.paying.lock().await;
    let levels = levels(shared, range).await?;
    let paid = shared.store.paid_for(range.clone()).await?;
    let bearable = stakes::available(shared).await?;
    let Credits { shown, rows } = credits(month, &levels, &paid, bearable, rules, now_ms);
    let body = serde_json::to_string(&shown).map_err(|_| StoreError::Corrupt("service_months.body"))?;
    let row = MonthRow { month: month.to_owned(), body, at_ms: now_ms };
    let closing = Closing { month: row, ended: range.clone(), paid, credits: rows };
    if shared.store.close_month(&closing).await? {
        tracing::info!(month, credits = shown.credits.len(), "the month's service levels are closed");
    }
    Ok(())
}

/// What closing a month credits.
#[derive(Debug, PartialEq, Eq)]
struct Credits {
    shown: MonthCredits,
    rows: Vec<NewCredit>,
}

/// What somebody paid on a machine, lease by lease. Rows of one payer, machine and currency follow each other.
fn by_payer(paid: &[PaidRow]) -> impl Iterator<Item = &[PaidRow]> {
    paid.chunk_by(|one, next| {
        (&one.payer, one.node, &one.currency) == (&next.payer, next.node, &next.currency)
    })
}

fn credits(
    month: &str,
    levels: &Levels,
    paid: &[PaidRow],
    mut bearable: Totals,
    rules: &CreditRules,
    now_ms: u64,
) -> Credits {
    let region_of =
        |node: &NodeId| levels.nodes.get(node).map(|node| node.region.clone()).unwrap_or_default();
    let mut sites: BTreeMap<String, SiteCredit> = BTreeMap::new();
    let (mut credits, mut rows) = (vec![], vec![]);
    for leases in by_payer(paid) {
        let Some(row) = leases.first() else { continue };
        let paid_micros = leases.iter().map(|lease| lease.paid_micros).sum();
        let region = region_of(&row.node);
        let site = sites.entry(region.clone()).or_insert_with(|| {
            let (served, reach) = levels.sites.get(&region).copied().unwrap_or_default();
            let available_ppm = served.availability_ppm().unwrap_or(1_000_000);
            let level_ppm = rules.level_ppm(&region, available_ppm, reach.reachable_ppm());
            SiteCredit { region: region.clone(), level_ppm, permille: rules.permille(level_ppm) }
        });
        // Sessions were lost, and the machine was away by itself: then its host bears a part.
        let is_own =
            levels.nodes.get(&row.node).is_some_and(|node| node.served.lost > 0 && node.reach.own_ms() > 0);
        let place = (row.node, row.currency.clone());
        let has = if is_own { bearable.get(&place).copied().unwrap_or(0) } else { 0 };
        let credit = Credit::of(paid_micros, site.permille, rules.host_permille, has);
        if credit.amount_micros == 0 {
            continue;
        }
        *bearable.entry(place).or_default() -= credit.host_micros;
        rows.extend(entries(month, leases, credit, site.permille, now_ms));
        let money = |amount_micros| Money { amount_micros, currency: row.currency.clone() };
        credits.push(PostedCredit {
            region,
            node: row.node,
            paid: money(paid_micros),
            credited: money(credit.amount_micros),
            by_host: money(credit.host_micros),
        });
    }
    // Without names, and in an order that says none.
    credits
        .sort_by_key(|credit: &PostedCredit| (credit.region.clone(), credit.node, credit.paid.amount_micros));
    let steps =
        rules.steps.iter().map(|step| CreditStep { below_ppm: step.below_ppm, permille: step.permille });
    let shown = MonthCredits {
        at_ms: now_ms,
        version: rules.version,
        steps: steps.collect(),
        promised_regions: rules.promised_regions.clone(),
        host_permille: rules.host_permille,
        sites: sites.into_values().collect(),
        credits,
    };
    Credits { shown, rows }
}

/// The host's part and the platform's, of what one payer paid for these leases, with the share of each lease.
fn entries(month: &str, leases: &[PaidRow], credit: Credit, permille: u16, at_ms: u64) -> Vec<NewCredit> {
    let Some(row) = leases.first() else { return vec![] };
    let shares = credit.shares(leases.iter().map(|lease| lease.paid_micros), permille);
    let entry = |debit: Account, step: &str, part: fn(&Credit) -> i128| NewCredit {
        shares: leases
            .iter()
            .zip(&shares)
            .map(|(lease, share)| (lease.lease, part(share)))
            .filter(|(_, micros)| *micros > 0)
            .collect(),
        row: CreditRow {
            seq: 0,
            kind: CreditKind::Service,
            about: month.to_owned(),
            debit,
            credit: row.payer.clone(),
            amount_micros: part(&credit),
            currency: row.currency.clone(),
            key: format!("service:{month}:{}:{}:{}:{step}", row.node, row.payer, row.currency),
            at_ms,
        },
    };
    let parts = [
        entry(Account::Host(row.node), "host", |part| part.host_micros),
        entry(Account::Platform, "platform", |part| part.amount_micros - part.host_micros),
    ];
    parts.into_iter().filter(|entry| entry.row.amount_micros > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearframe_protocol::{AccountId, Currency, LeaseId};

    fn eur() -> Currency {
        Currency::new("EUR").unwrap()
    }
    fn node(n: u8) -> NodeId {
        NodeId::from_bytes([n; 16])
    }

    #[test]
    fn the_last_months_that_are_over_are_whole_ones() {
        let day = |year, month, day| Epoch::from_date(year, month, day).unwrap().begins_at_ms();
        let months = over(day(2026, 2, 14));
        let names: Vec<_> = months.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["2025-11", "2025-12", "2026-01"]);
        assert_eq!(months[2].1, day(2026, 1, 1)..day(2026, 2, 1));
        assert_eq!(over(5), []);
    }

    /// Two machines of a region at 99.95 %, of which the first lost a session by itself.
    fn month() -> (Levels, Vec<PaidRow>) {
        let served = |lost, served_us| Served { sessions: 10, lost, served_us };
        let away = Reach { due_ms: 1_000, up_ms: 900, excused_ms: 0 };
        let level = |served, reach| NodeLevel { region: "DE".into(), served, reach };
        let nodes = BTreeMap::from([
            (node(1), level(served(1, 60_000_000_000), away)),
            (node(2), level(served(0, 60_000_000_000), away)),
        ]);
        let sites = BTreeMap::from([("DE".to_owned(), (served(1, 120_000_000_000), away))]);
        let payer = |n| Account::Customer(AccountId::from_bytes([n; 16]));
        let paid = |n, at, lease, paid_micros| PaidRow {
            lease: LeaseId::from_bytes([lease; 16]),
            payer: payer(n),
            node: node(at),
            currency: eur(),
            paid_micros,
        };
        let rows = vec![paid(1, 1, 1, 1_005), paid(1, 1, 2, 4), paid(2, 1, 3, 2_000), paid(2, 2, 4, 4_000)];
        (Levels { nodes, sites }, rows)
    }

    #[test]
    fn each_payer_is_credited_by_the_sites_level_and_hosts_bear_a_part_of_what_was_theirs() {
        let (levels, paid) = month();
        assert_eq!(levels.sites["DE"].0.availability_ppm(), Some(999_500));
        let bearable = Totals::from([((node(1), eur()), 70)]);
        let rules = CreditRules::default();
        let Credits { shown, rows } = credits("2026-10", &levels, &paid, bearable, &rules, 5);
        let [site] = &shown.sites[..] else { panic!("one site: {shown:?}") };
        assert_eq!((site.level_ppm, site.permille), (999_500, 100));
        let parts: Vec<_> =
            shown.credits.iter().map(|it| (it.credited.amount_micros, it.by_host.amount_micros)).collect();
        assert_eq!(parts, [(100, 50), (200, 20), (400, 0)], "its host has 70 and no more");
        let by = |debit| -> i128 {
            rows.iter().filter(|new| new.row.debit == debit).map(|new| new.row.amount_micros).sum()
        };
        assert_eq!((by(Account::Host(node(1))), by(Account::Platform)), (70, 630));
        let keys: std::collections::BTreeSet<_> = rows.iter().map(|new| &new.row.key).collect();
        assert_eq!(keys.len(), rows.len(), "each entry has a key of its own");
        for NewCredit { row, shares } in &rows {
            assert_eq!(shares.iter().map(|(_, micros)| micros).sum::<i128>(), row.amount_micros, "{row:?}");
        }
        let first: Vec<_> = rows[..2].iter().map(|new| &new.shares[..]).collect();
        let lease = LeaseId::from_bytes([1; 16]);
        assert_eq!(first, [[(lease, 50)], [(lease, 50)]], "a tenth of 1005 and none of the 4 after it");
    }

    #[test]
    fn a_promise_that_was_kept_is_closed_without_credits() {
        let (mut levels, paid) = month();
        levels.sites.get_mut("DE").unwrap().0.lost = 0;
        let closed = credits("2026-10", &levels, &paid, Totals::new(), &CreditRules::default(), 5);
        assert_eq!((closed.rows.len(), closed.shown.sites[0].permille), (0, 0));
        let rules = CreditRules { promised_regions: vec!["DE".into()], ..CreditRules::default() };
        let closed = credits("2026-10", &levels, &paid, Totals::new(), &rules, 5);
        assert_eq!(
            closed.shown.sites[0].level_ppm, 900_000,
            "it was not reachable, and that is promised there"
        );
    }
}
