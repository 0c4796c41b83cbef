//! Audits: what the matchmaker drew is carried out and reported.

use crate::play::{Outcome, Player, check_bind};
use crate::report::report;
use crate::way::Call;
use anyhow::{Context, Result};
use nearframe_protocol::check::draw::Audit;
use nearframe_protocol::check::{NextCheck, PROOF_HEADER, SignedCheck, proof};
use nearframe_protocol::{NodeKey, TitleId};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const NEXT: &str = "/v1/checks/next";
const CHECKS: &str = "/v1/checks";
/// Nothing is due.
const NO_CONTENT: u16 = 204;

/// A checker with its key.
pub struct Auditor {
    player: Player,
    key: NodeKey,
}

/// A session that was played and reported.
#[derive(Debug)]
pub struct Audited {
    /// What was reported.
    pub check: SignedCheck,
    /// Why the session was over before its time.
    pub failure: Option<String>,
}

impl Auditor {
    /// A checker that plays through `player` and signs with `key`.
    ///
    /// # Errors
    /// A player that cannot verify anything.
    pub fn new(player: Player, key: NodeKey) -> Result<Self> {
        check_bind(&player.bind)?;
        Ok(Self { player: Player { decode: true, ..player }, key })
    }

    /// What is to be checked now, if anything is; it is this checker's from then on.
    ///
    /// # Errors
    /// The matchmaker does not answer, or the key is not enrolled; the text begins with the server's code for why.
    pub async fn next(&self) -> Result<Option<NextCheck>> {
        let reply = self.player.way.call(self.proven(Call::new("GET", NEXT))).await.context("unreachable")?;
        if reply.status == NO_CONTENT { Ok(None) } else { reply.read().map(Some) }
    }

    /// Carries an audit out and files its report.
    ///
    /// # Errors
    /// No session could be had, or the report was refused.
    pub async fn carry_out(&self, next: &NextCheck, time: Duration) -> Result<Audited> {
        let outcome = self.player.play(&next.title, Some(&next.check), time).await?;
        self.file(&outcome, Some(next.audit)).await
    }

    /// Plays a title wherever it is placed, and files a report that no draw asked for.
    ///
    /// # Errors
    /// No session could be had, or the report was refused.
    pub async fn check(&self, title: &TitleId, time: Duration) -> Result<Audited> {
        let outcome = self.player.play(title, None, time).await?;
        self.file(&outcome, None).await
    }

    async fn file(&self, outcome: &Outcome, audit: Option<Audit>) -> Result<Audited> {
        let check = SignedCheck::sign(&self.key, report(outcome, self.key.public(), audit));
        let call = self.proven(Call::new("POST", CHECKS)).json(&check)?;
        self.player.way.call(call).await.context("unreachable")?.check()?;
        Ok(Audited { check, failure: outcome.failure.clone() })
    }

    fn proven(&self, call: Call) -> Call {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let header = proof(&self.key, at_ms, call.method, &call.path);
        call.with(PROOF_HEADER, header)
    }
}
