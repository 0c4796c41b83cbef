//! Checks: what a checker found when it played on a node like anybody else.
//!
//! A checker plays an ordinary session, measures it and files a report that it signs. [`challenge`] is what tells a
//! living picture from a recorded one; [`draw`] decides who is checked when.
//!
//! Canonical bytes of a report (256, little-endian): `"NFCHCK01"` (8) · checker's key (32) · node (16) · session (16) ·
//! audit: day u32 · hour u8 (255: none) · verdict u8 (1 passed, 2 failed, 3 inconclusive) · findings u16 (bit *n* for the
//! *n*-th [`Finding`]) · started_at_ms u64 · played_ms u32 · connect_ms u32 · first_frame_ms u32 · challenge_us u32 ·
//! rtt_us u32 · width u16 · height u16 · frames u32 · age_p50_us u32 · age_p95_us u32 · freezes u32 · frozen_ms u32 ·
//! bytes u64 · packets u32 · lost u32 · receipts u32 · refused u32 · claimed_frames u32 · claimed_bytes u64 ·
//! claimed_us u64 · zero (80, reserved). The checker signs `"nearframe/check/v1\0"` followed by the canonical bytes.

pub mod challenge;
pub mod draw;

use crate::key::{KeyError, NodeKey, PublicKey, Signature};
use crate::wire::{Reader, WireError};
use crate::{NodeId, SessionId};
use draw::{Audit, Commitment, Rules, Seed};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

const MAGIC: &[u8; 8] = b"NFCHCK01";
const DOMAIN: &[u8] = b"nearframe/check/v1\0";
const REQUEST_DOMAIN: &str = "nearframe/checker-request/v1";
/// Length of a report's canonical bytes.
pub const REPORT_LEN: usize = 256;
/// What the fields of the canonical bytes take.
const FIELDS_LEN: usize = 176;
/// The hour of a report that no draw asked for.
const NO_AUDIT: u8 = 255;
/// Header by which a checker proves that a request is its own; see [`proof`].
pub const PROOF_HEADER: &str = "nearframe-checker";
/// How far a proof's time may be from the matchmaker's, ms.
pub const PROOF_SLACK_MS: u64 = 60_000;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = CheckVerdict)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The node did what it should.
    Passed,
    /// It did not; the findings say in what.
    Failed,
    /// Nothing can be said: the connection did not come about, or the way to the node may be at fault.
    Inconclusive,
}

impl Verdict {
    const ALL: [Self; 3] = [Self::Passed, Self::Failed, Self::Inconclusive];

    /// As in the canonical bytes.
    pub fn number(self) -> u8 {
        match self {
            Self::Passed => 1,
            Self::Failed => 2,
            Self::Inconclusive => 3,
        }
    }
    /// The verdict of this number.
    pub fn of_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.number() == number)
    }
}

/// What a checker noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// No connection came about.
    NoConnection,
    /// The node's signature over its certificate is wrong.
    WrongIdentity,
    /// Nothing that could be shown came.
    NoPicture,
    /// No frame answered the challenge: a picture that was recorded, or made elsewhere.
    ChallengeUnanswered,
    /// The answer came later than a living picture takes.
    ChallengeLate,
    /// The session had no challenge: its title is too small for one, or its node of an older release.
    NotChallenged,
    /// Receipts claim more than came.
    ReceiptsOverstated,
    /// Receipts that do not follow each other, or are of another session.
    ReceiptsBroken,
}

impl Finding {
    const ALL: [Self; 8] = [
        Self::NoConnection,
        Self::WrongIdentity,
        Self::NoPicture,
        Self::ChallengeUnanswered,
        Self::ChallengeLate,
        Self::NotChallenged,
        Self::ReceiptsOverstated,
        Self::ReceiptsBroken,
    ];

    fn bit(self) -> u16 {
        1 << Self::ALL.iter().position(|finding| *finding == self).unwrap_or_default()
    }

    /// What of it follows for the whole check.
    fn verdict(self) -> Verdict {
        match self {
            Self::WrongIdentity
            | Self::ChallengeUnanswered
            | Self::ChallengeLate
            | Self::ReceiptsOverstated
            | Self::ReceiptsBroken => Verdict::Failed,
            // The checker's own network may be at fault.
            Self::NoConnection | Self::NoPicture | Self::NotChallenged => Verdict::Inconclusive,
        }
    }
}

/// What follows from findings: one that accuses decides, one that hinders leaves it open.
pub fn verdict(findings: &[Finding]) -> Verdict {
    let any = |wanted| findings.iter().any(|finding| finding.verdict() == wanted);
    match (any(Verdict::Failed), any(Verdict::Inconclusive)) {
        (true, _) => Verdict::Failed,
        (false, true) => Verdict::Inconclusive,
        (false, false) => Verdict::Passed,
    }
}

/// What a checker measured. All of it was seen at its own end; what is unknown is 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckReport {
    /// Who checked.
    pub checker: PublicKey,
    /// Which node.
    pub node: NodeId,
    /// In which session.
    pub session: SessionId,
    /// The drawn audit that it answers; absent where the checker played by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<Audit>,
    /// What follows from the findings.
    pub verdict: Verdict,
    /// What was noticed, in the order of their list, each once.
    pub findings: Vec<Finding>,
    /// Unix ms by the matchmaker's clock.
    pub started_at_ms: u64,
    /// From the first frame to the end.
    pub played_ms: u32,
    /// From the request for a session to the connection.
    pub connect_ms: u32,
    /// From the request to the first frame that could be shown.
    pub first_frame_ms: u32,
    /// From an input to the frame that answers the challenge with it.
    pub challenge_us: u32,
    /// Median round trip over the facts channel.
    pub rtt_us: u32,
    /// Of the picture, pixels.
    pub width: u16,
    /// Of the picture, pixels.
    pub height: u16,
    /// Whole frames that came.
    pub frames: u32,
    /// From drawing to decoded picture, by the node's clock as its pongs tell it.
    pub age_p50_us: u32,
    /// The same, of the slowest twentieth.
    pub age_p95_us: u32,
    /// Pauses between frames of more than 200 ms.
    pub freezes: u32,
    /// Their sum.
    pub frozen_ms: u32,
    /// Payload of media that came, repetitions included.
    pub bytes: u64,
    /// Packets of video that came.
    pub packets: u32,
    /// Packets of video that never did.
    pub lost: u32,
    /// Receipts that were countersigned.
    pub receipts: u32,
    /// Receipts that were not.
    pub refused: u32,
    /// Frames that receipts claim, signed or not.
    pub claimed_frames: u32,
    /// Bytes that they claim.
    pub claimed_bytes: u64,
    /// Time that they claim.
    pub claimed_us: u64,
}

impl CheckReport {
    /// The bytes that are signed.
    pub fn canonical(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(REPORT_LEN);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(self.checker.as_bytes());
        out.extend_from_slice(self.node.as_bytes());
        out.extend_from_slice(self.session.as_bytes());
        let (day, hour) = self.audit.map_or((0, NO_AUDIT), |audit| (audit.day, audit.hour));
        out.extend_from_slice(&day.to_le_bytes());
        out.extend_from_slice(&[hour, self.verdict.number()]);
        let findings = self.findings.iter().fold(0, |bits, finding| bits | finding.bit());
        out.extend_from_slice(&findings.to_le_bytes());
        out.extend_from_slice(&self.started_at_ms.to_le_bytes());
        for field in [self.played_ms, self.connect_ms, self.first_frame_ms, self.challenge_us, self.rtt_us] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        out.extend_from_slice(&self.width.to_le_bytes());
        out.extend_from_slice(&self.height.to_le_bytes());
        for field in [self.frames, self.age_p50_us, self.age_p95_us, self.freezes, self.frozen_ms] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        out.extend_from_slice(&self.bytes.to_le_bytes());
        for field in [self.packets, self.lost, self.receipts, self.refused, self.claimed_frames] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        out.extend_from_slice(&self.claimed_bytes.to_le_bytes());
        out.extend_from_slice(&self.claimed_us.to_le_bytes());
        out.resize(REPORT_LEN, 0);
        out
    }

    /// Reads canonical bytes; refuses any other form, so that one report has one encoding.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let mut r = Reader::new(bytes);
        if r.bytes(8)? != MAGIC {
            return Err(WireError::Range("magic"));
        }
        let (checker, node, session) = (r.array()?, r.array()?, r.array()?);
        let audit = read_audit(&mut r)?;
        let verdict = Verdict::of_number(r.u8()?).ok_or(WireError::Range("verdict"))?;
        let report = Self {
            checker: PublicKey::from_bytes(checker),
            node: NodeId::from_bytes(node),
            session: SessionId::from_bytes(session),
            audit,
            verdict,
            findings: read_findings(r.u16()?)?,
            started_at_ms: r.u64()?,
            played_ms: r.u32()?,
            connect_ms: r.u32()?,
            first_frame_ms: r.u32()?,
            challenge_us: r.u32()?,
            rtt_us: r.u32()?,
            width: r.u16()?,
            height: r.u16()?,
            frames: r.u32()?,
            age_p50_us: r.u32()?,
            age_p95_us: r.u32()?,
            freezes: r.u32()?,
            frozen_ms: r.u32()?,
            bytes: r.u64()?,
            packets: r.u32()?,
            lost: r.u32()?,
            receipts: r.u32()?,
            refused: r.u32()?,
            claimed_frames: r.u32()?,
            claimed_bytes: r.u64()?,
            claimed_us: r.u64()?,
        };
        if r.bytes(REPORT_LEN - FIELDS_LEN)?.iter().any(|&byte| byte != 0) {
            return Err(WireError::Range("reserved"));
        }
        r.end()?;
        Ok(report)
    }

    /// What the checker signs.
    pub fn signed_bytes(&self) -> Vec<u8> {
        [DOMAIN, &self.canonical()].concat()
    }

    /// Whether it is as a checker writes it: the verdict follows from findings that stand in order.
    pub fn is_consistent(&self) -> bool {
        let in_order = self.findings.windows(2).all(|pair| pair[0] < pair[1]);
        in_order && self.verdict == verdict(&self.findings)
    }
}

fn read_audit(r: &mut Reader<'_>) -> Result<Option<Audit>, WireError> {
    match (r.u32()?, r.u8()?) {
        (0, NO_AUDIT) => Ok(None),
        (day, hour) if hour < draw::HOURS => Ok(Some(Audit { day, hour })),
        _ => Err(WireError::Range("audit")),
    }
}

fn read_findings(bits: u16) -> Result<Vec<Finding>, WireError> {
    let findings: Vec<_> = Finding::ALL.into_iter().filter(|finding| bits & finding.bit() != 0).collect();
    let known = findings.iter().fold(0, |bits, finding| bits | finding.bit());
    if known == bits { Ok(findings) } else { Err(WireError::Range("findings")) }
}

/// A report with its checker's signature. `POST /v1/checks`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedCheck {
    /// What was found.
    pub report: CheckReport,
    /// The checker's, over the report's signed bytes.
    pub signature: Signature,
}

impl SignedCheck {
    /// Signs as the checker, whose key becomes the report's.
    pub fn sign(key: &NodeKey, report: CheckReport) -> Self {
        let report = CheckReport { checker: key.public(), ..report };
        let signature = key.sign(&report.signed_bytes());
        Self { report, signature }
    }
    /// Checks the signature against the key that the report names.
    pub fn verify(&self) -> Result<(), KeyError> {
        self.report.checker.verify(&self.report.signed_bytes(), &self.signature)
    }
}

/// What stands in [`PROOF_HEADER`]: the checker's key, the time, and a signature over both, the method and the path.
pub fn proof(key: &NodeKey, at_ms: u64, method: &str, path: &str) -> String {
    let signature = key.sign(request_bytes(at_ms, method, path).as_bytes());
    format!("{}.{at_ms}.{signature}", key.public())
}

/// Whose request it is, if the header proves it and `now_ms` is near its time.
pub fn prover(header: &str, now_ms: u64, method: &str, path: &str) -> Option<PublicKey> {
    let mut parts = header.split('.');
    let (key, at_ms, signature) = (parts.next()?, parts.next()?, parts.next()?);
    let key = PublicKey::try_from(key.to_owned()).ok()?;
    let at: u64 = at_ms.parse().ok()?;
    let signature = Signature::try_from(signature.to_owned()).ok()?;
    let is_fresh = at.abs_diff(now_ms) <= PROOF_SLACK_MS && parts.next().is_none();
    let proves = key.verify(request_bytes(at, method, path).as_bytes(), &signature).is_ok();
    (is_fresh && proves).then_some(key)
}

fn request_bytes(at_ms: u64, method: &str, path: &str) -> String {
    format!("{REQUEST_DOMAIN}\0{at_ms} {method} {path}")
}

/// A report as the matchmaker keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FiledCheck {
    /// As it came.
    pub check: SignedCheck,
    /// Unix ms.
    pub filed_at_ms: u64,
    /// What the operator calls the checker.
    pub checker_name: String,
}

/// `PUT /v1/checkers/{key}` (operator).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrolChecker {
    /// What to call it.
    pub name: String,
}

/// A checker that is or was enrolled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Checker {
    /// Its key.
    pub key: PublicKey,
    /// What it is called.
    pub name: String,
    /// Unix ms.
    pub enrolled_at_ms: u64,
    /// When its reports stopped counting, Unix ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at_ms: Option<u64>,
}

/// `GET /v1/checks/next`: an audit that is the caller's to carry out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NextCheck {
    /// Which.
    pub audit: Audit,
    /// Of which node.
    pub node: NodeId,
    /// What to play.
    pub title: crate::TitleId,
    /// Goes with `POST /v1/sessions`, so that the session is placed there.
    pub check: String,
    /// It holds until then, Unix ms.
    pub until_ms: u64,
}

/// `GET /v1/checks/seeds`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckSeeds {
    /// What today's draw is bound to.
    pub today: CommittedDay,
    /// Days that are over, the newest first, at most 60.
    pub past: Vec<PublishedDay>,
}

/// A day whose seed is not told yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CommittedDay {
    /// Days since 1970-01-01, UTC.
    pub day: u32,
    /// Of the seed, the day and the rules.
    pub commitment: Commitment,
    /// By which nodes are drawn.
    pub rules: Rules,
}

/// A day whose draw anybody can do again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PublishedDay {
    /// Days since 1970-01-01, UTC.
    pub day: u32,
    /// What was told on that day.
    pub commitment: Commitment,
    /// By which nodes were drawn.
    pub rules: Rules,
    /// The seed.
    pub seed: Seed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_finding_that_accuses_decides_and_one_that_hinders_leaves_it_open() {
        assert_eq!(verdict(&[]), Verdict::Passed);
        assert_eq!(verdict(&[Finding::NoPicture]), Verdict::Inconclusive);
        assert_eq!(verdict(&[Finding::NoPicture, Finding::ReceiptsOverstated]), Verdict::Failed);
    }

    #[test]
    fn a_proof_is_of_one_request_at_one_time() {
        let key = NodeKey::from_seed([5; 32]);
        let header = proof(&key, 1_000_000, "GET", "/v1/checks/next");
        let of = |at, method, path| prover(&header, at, method, path);
        assert_eq!(of(1_000_000 + PROOF_SLACK_MS, "GET", "/v1/checks/next"), Some(key.public()));
        assert_eq!(of(1_000_001 + PROOF_SLACK_MS, "GET", "/v1/checks/next"), None);
        assert_eq!(of(1_000_000, "POST", "/v1/checks/next"), None);
        assert_eq!(of(1_000_000, "GET", "/v1/checks"), None);
        for wrong in ["", "..", "a.b.c", &format!("{header}.x"), &header[1..]] {
            assert_eq!(prover(wrong, 1_000_000, "GET", "/v1/checks/next"), None, "{wrong}");
        }
    }
}
