//! What witnesses say is written down here, and judged again and again by `nearframe-trust`; what it finds becomes a case.
//!
//! Cheap on purpose: a day of sessions is read as a whole. What is decided about a case is an operator's.

use crate::state::{Phase, Shared};
use crate::store::StoreError;
use crate::store::accounts::Holding;
use crate::store::trust::{CaseBody, CaseRow, PlayedRow, Testimony, TestimonyKind};
use nearframe_ledger::settlement::{DAY_MS, Epoch};
use nearframe_protocol::check::CheckReport;
use nearframe_protocol::trust::PageCount;
use nearframe_protocol::{AccountId, CaseId, GuestId, NodeId, SessionId};
use nearframe_trust::fraud::{Finding, Grade, Kind, judge};
use nearframe_trust::seen::{
    CheckSeen, LinkSeen, Mark, NodeSeen, PageSeen, Player, ReceiptSeen, RefusedSeen, Seen, SessionSeen,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// Leases that one look takes in; beyond that, the oldest by id are enough to find what repeats.
const MOST_LEASES: u32 = 50_000;
/// Reports of checkers that one look takes in.
const MOST_CHECKS: u32 = 10_000;
/// Testimonies are kept for eight days: longer than anything is judged by.
const KEPT_MS: u64 = 8 * DAY_MS;
/// Browsers of members are kept for longer than a member stays signed in.
const DEVICE_KEPT_MS: u64 = 30 * DAY_MS;
/// How old what is written down of a browser may be.
const DEVICE_NOTED_MS: u64 = DAY_MS / 4;
/// Browsers that are remembered as written down.
const MOST_NOTED: usize = 10_000;
/// A link that was replaced after it had fallen silent was silent for at least this long.
const SILENT_MS: u64 = 10_000;
/// Titles play at this rate; one that asks for less only seems slow, which is never more than a review.
const ASKED_FPS: u16 = 60;

/// A link, as its testimony says.
#[derive(Debug, Serialize, Deserialize)]
struct LinkWords {
    address: Mark,
    /// Whether the link that it replaced was alive.
    replaced: bool,
}

/// A page's count, and where it came from.
#[derive(Debug, Serialize, Deserialize)]
struct PageWords {
    address: Mark,
    count: PageCount,
}

/// A node's link opened; `replaced`: while another of its own was alive.
pub(crate) async fn linked(shared: &Shared, node: NodeId, number: u64, address: IpAddr, replaced: bool) {
    let mut subject = [0; 16];
    subject[..8].copy_from_slice(&number.to_le_bytes());
    let words = LinkWords { address: mark_of_address(shared, address), replaced };
    note(shared, TestimonyKind::Link, subject, node, &words).await;
}

/// A receipt of a session was refused, and it says something about its node.
pub(crate) async fn refused(shared: &Shared, node: NodeId, session: SessionId, seen: RefusedSeen) {
    note(shared, TestimonyKind::Refused, *session.as_bytes(), node, &seen).await;
}

/// A page says what it counted.
pub(crate) async fn counted(
    shared: &Shared,
    node: NodeId,
    session: SessionId,
    address: IpAddr,
    count: PageCount,
) {
    let words = PageWords { address: mark_of_address(shared, address), count };
    note(shared, TestimonyKind::Page, *session.as_bytes(), node, &words).await;
}

/// A member of an account is signed in in this browser: who plays in it later plays for that account's machines as their
/// owner.
pub(crate) async fn signed_in(shared: &Shared, account: AccountId, guest: GuestId) {
    let (device, now_ms) = (mark_of_device(shared, guest), shared.now_ms());
    if !shared.devices.is_news(account, device, now_ms) {
        return;
    }
    if let Err(error) = shared.store.note_device(account, device, now_ms).await {
        tracing::warn!(%error, %account, "a member's browser is not written down");
    }
}

/// Browsers that were written down by this process not long ago, so that not every request writes.
#[derive(Debug, Default)]
pub(crate) struct Devices(Mutex<HashMap<(AccountId, Mark), u64>>);

impl Devices {
    fn is_news(&self, account: AccountId, device: Mark, now_ms: u64) -> bool {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = |at_ms: &u64| *at_ms + DEVICE_NOTED_MS <= now_ms;
        if noted.get(&(account, device)).is_some_and(|at_ms| !due(at_ms)) {
            return false;
        }
        if noted.len() >= MOST_NOTED {
            noted.retain(|_, at_ms| !due(at_ms));
        }
        // Where the table is full of browsers of the last hours, others are written more often.
        if noted.len() < MOST_NOTED {
            noted.insert((account, device), now_ms);
        }
        true
    }
}

fn mark_of_device(shared: &Shared, guest: GuestId) -> Mark {
    shared.mark("device", guest.as_bytes())
}

/// A testimony that cannot be written is one witness less, and no reason to stop what it is about.
async fn note(
    shared: &Shared,
    kind: TestimonyKind,
    subject: [u8; 16],
    node: NodeId,
    words: &(impl Serialize + Sync),
) {
    let said = match serde_json::to_string(words) {
        Ok(body) => {
            shared.store.testify(&Testimony { kind, subject, node, at_ms: shared.now_ms(), body }).await
        }
        Err(error) => return tracing::error!(%error, "a testimony is no JSON"),
    };
    if let Err(error) = said {
        tracing::warn!(%error, %node, kind = kind.as_str(), "a testimony is not written down");
    }
}

/// A household: of IPv6 the half that its provider gave it. It is kept hashed with this server's own key.
fn mark_of_address(shared: &Shared, address: IpAddr) -> Mark {
    match address.to_canonical() {
        IpAddr::V4(address) => shared.mark("address", &address.octets()),
        IpAddr::V6(address) => shared.mark("address", &address.octets()[..8]),
    }
}

/// Judges what was seen in a day, and opens cases.
pub(crate) async fn look(shared: &Shared) -> Result<(), StoreError> {
    if !shared.config.trust.judge || *shared.phase.borrow() == Phase::Closed {
        return Ok(());
    }
    let now_ms = shared.now_ms();
    shared.store.forget_testimonies(now_ms.saturating_sub(KEPT_MS)).await?;
    shared.store.forget_devices(now_ms.saturating_sub(DEVICE_KEPT_MS)).await?;
    let seen = seen(shared, now_ms.saturating_sub(DAY_MS), now_ms).await?;
    for finding in judge(&seen) {
        if finding.grade > Grade::Watch {
            open(shared, finding, now_ms).await?;
        }
    }
    Ok(())
}

async fn open(shared: &Shared, finding: Finding, now_ms: u64) -> Result<(), StoreError> {
    // Across midnight the same evidence is seen again: while a case of this kind is open, it belongs there.
    let standing = shared.store.cases(true, None, u32::MAX).await?;
    let about = (finding.node, finding.kind);
    let earlier = standing.iter().find(|known| (known.node, known.kind) == about).map(|known| known.id);
    let id = earlier.unwrap_or_else(|| case_id(about.0, about.1, Epoch::of(now_ms)));
    open_case(shared, id, finding, now_ms).await
}

/// Opens a case with this id, or adds to it.
pub(crate) async fn open_case(
    shared: &Shared,
    id: CaseId,
    finding: Finding,
    now_ms: u64,
) -> Result<(), StoreError> {
    let Finding { node, kind, grade, witnesses, exhibits } = finding;
    let row = CaseRow {
        id,
        node,
        kind,
        grade,
        body: CaseBody { witnesses, exhibits },
        opened_at_ms: now_ms,
        changed_at_ms: now_ms,
        verdict: None,
    };
    if shared.store.add_case(&row).await? {
        tracing::warn!(%node, %kind, grade = grade.as_str(), case = %row.id, "a case was opened");
    }
    Ok(())
}

/// The same finding on the same day is the same case, whoever finds it.
pub(crate) fn case_id(node: NodeId, kind: Kind, day: Epoch) -> CaseId {
    let words = [&b"case\0"[..], node.as_bytes(), kind.as_str().as_bytes(), &day.0.to_le_bytes()].concat();
    let mut id = [0; 16];
    blake3::Hasher::new().update(&words).finalize_xof().fill(&mut id);
    CaseId::from_random(id)
}

async fn seen(shared: &Shared, since_ms: u64, now_ms: u64) -> Result<Seen, StoreError> {
    let said = shared.store.testimonies(since_ms).await?;
    let played = shared.store.played(since_ms, MOST_LEASES).await?;
    let ids: BTreeSet<NodeId> =
        played.iter().map(|row| row.node).chain(said.iter().map(|said| said.node)).collect();
    let mut nodes = Vec::with_capacity(ids.len());
    for node in ids {
        nodes.push(node_seen(shared, node, &said).await?);
    }
    let mut pages: BTreeMap<[u8; 16], PageWords> = BTreeMap::new();
    let mut refusals: BTreeMap<[u8; 16], RefusedSeen> = BTreeMap::new();
    for said in &said {
        match said.kind {
            TestimonyKind::Page => drop(pages.insert(said.subject, words(said)?)),
            TestimonyKind::Refused => drop(refusals.insert(said.subject, words(said)?)),
            TestimonyKind::Link => {}
        }
    }
    let session = |row: &PlayedRow| {
        let page = pages.get(row.session.as_bytes());
        let refused = refusals.get(row.session.as_bytes()).copied();
        session_seen(shared, row, page, refused, now_ms)
    };
    let checks = shared.store.checks_since(since_ms, MOST_CHECKS).await?;
    let checks = checks.iter().map(|row| check_seen(shared, &row.check.report)).collect();
    Ok(Seen { nodes, sessions: played.iter().map(session).collect(), checks })
}

/// One challenge is asked in each session; its picture has too many bits to be guessed.
fn check_seen(shared: &Shared, report: &CheckReport) -> CheckSeen {
    use nearframe_protocol::check::Finding as Noticed;
    let noticed = |any: &[Noticed]| report.findings.iter().any(|finding| any.contains(finding));
    let is_asked = !noticed(&[Noticed::NoConnection, Noticed::NoPicture, Noticed::NotChallenged]);
    let is_answered = is_asked && !noticed(&[Noticed::ChallengeUnanswered, Noticed::ChallengeLate]);
    CheckSeen {
        checker: shared.mark("checker", report.checker.as_bytes()),
        node: report.node,
        session: report.session,
        elapsed_us: u64::from(report.played_ms) * 1000,
        asked_fps: ASKED_FPS,
        frames_shown: u64::from(report.frames),
        frame_age_us: report.age_p50_us,
        rtt_us: report.rtt_us,
        bytes: report.bytes,
        challenges_asked: u32::from(is_asked),
        challenges_answered: u32::from(is_answered),
    }
}

fn words<T: for<'a> Deserialize<'a>>(said: &Testimony) -> Result<T, StoreError> {
    serde_json::from_str(&said.body).map_err(|_| StoreError::Corrupt("body"))
}

async fn node_seen(shared: &Shared, node: NodeId, said: &[Testimony]) -> Result<NodeSeen, StoreError> {
    let mut links: Vec<LinkSeen> = Vec::new();
    for said in said.iter().filter(|said| said.node == node && said.kind == TestimonyKind::Link) {
        let LinkWords { address, replaced } = words(said)?;
        if let Some(last) = links.last_mut() {
            last.heard_until_ms = if replaced { said.at_ms } else { said.at_ms.saturating_sub(SILENT_MS) };
        }
        links.push(LinkSeen { address, opened_at_ms: said.at_ms, heard_until_ms: u64::MAX });
    }
    let owner = shared.store.owner(&Holding::Node(node)).await?;
    let owner_devices = match owner {
        Some(owner) => shared.store.devices(owner, shared.now_ms().saturating_sub(DEVICE_KEPT_MS)).await?,
        None => vec![],
    };
    Ok(NodeSeen {
        node,
        owner,
        owner_devices,
        // Unknown places are one apiece, so that nobody is taken for a neighbour.
        address: links.last().map_or_else(|| shared.mark("node", node.as_bytes()), |link| link.address),
        gpu_tier: shared.fleet().gpu_tier(node),
        links,
    })
}

fn session_seen(
    shared: &Shared,
    row: &PlayedRow,
    page: Option<&PageWords>,
    refused: Option<RefusedSeen>,
    now_ms: u64,
) -> SessionSeen {
    let device = mark_of_device(shared, row.guest);
    SessionSeen {
        session: row.session,
        node: row.node,
        player: Player { account: row.account, device, address: page.map_or(device, |page| page.address) },
        started_at_ms: row.started_at_ms,
        until_ms: row.ended_at_ms.unwrap_or(now_ms),
        asked_fps: ASKED_FPS,
        receipts: row.receipts.iter().map(ReceiptSeen::from).collect(),
        refused: refused.into_iter().collect(),
        page: page.map(|page| page_seen(&page.count)),
    }
}

fn page_seen(count: &PageCount) -> PageSeen {
    PageSeen {
        until_sequence: count.until_sequence,
        elapsed_us: count.elapsed_us,
        frames: count.frames,
        bytes: count.bytes,
        packets: count.packets,
        packets_lost: count.packets_lost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Parts;
    use crate::store::accounts::{AccountRow, Purse};
    use crate::store::{AccountStore, MemoryStore};
    use crate::{Config, random};
    use nearframe_protocol::account::AccountKind;
    use std::sync::Arc;

    #[tokio::test]
    async fn a_browser_in_which_the_owner_was_signed_in_plays_as_the_owner() {
        let (store, config) = (Arc::new(MemoryStore::new()), Config::default());
        let owner = AccountRow {
            id: random::account_id(),
            kind: AccountKind::Host,
            name: "h".into(),
            created_at_ms: 0,
            purse: Purse::new(config.currency.clone(), Some(0)),
        };
        store.add_account(&owner).await.unwrap();
        let (node, others) = (NodeId::from_bytes([1; 16]), NodeId::from_bytes([2; 16]));
        store.set_owner(&Holding::Node(node), Some(owner.id)).await.unwrap();
        let shared = Shared::new(config, Parts::alone(Arc::clone(&store) as _, [7; 32]));
        let (own, guest) = (random::guest_id(), random::guest_id());
        signed_in(&shared, owner.id, own).await;
        let seen = node_seen(&shared, node, &[]).await.unwrap();
        assert_eq!((seen.owner, seen.owner_devices), (Some(owner.id), vec![mark_of_device(&shared, own)]));
        assert!(node_seen(&shared, others, &[]).await.unwrap().owner_devices.is_empty());
        let played = |guest| PlayedRow {
            session: random::session_id(),
            node,
            guest,
            account: None,
            started_at_ms: 0,
            ended_at_ms: None,
            receipts: vec![],
        };
        let device = |guest| session_seen(&shared, &played(guest), None, None, 1).player.device;
        let owners = node_seen(&shared, node, &[]).await.unwrap().owner_devices;
        assert!(owners.contains(&device(own)) && !owners.contains(&device(guest)));
    }

    #[test]
    fn a_browser_is_written_down_a_few_times_a_day_and_the_table_is_bounded() {
        let (devices, account) = (Devices::default(), AccountId::from_bytes([1; 16]));
        assert!(
            devices.is_news(account, Mark(0), 0) && !devices.is_news(account, Mark(0), DEVICE_NOTED_MS - 1)
        );
        assert!(devices.is_news(AccountId::from_bytes([2; 16]), Mark(0), 0), "another's");
        assert!(devices.is_news(account, Mark(0), DEVICE_NOTED_MS), "and again");
        for n in 0..2 * MOST_NOTED as u64 {
            assert!(devices.is_news(account, Mark(n + 1), DEVICE_NOTED_MS));
        }
        assert_eq!(devices.0.lock().unwrap().len(), MOST_NOTED);
        assert!(devices.is_news(account, Mark(u64::MAX), 2 * DEVICE_NOTED_MS));
        assert_eq!(devices.0.lock().unwrap().len(), 1, "what is old makes room");
    }
}
