//! `nearframe checker`: audits carried out, a single check, load, and the draw done again.

use crate::api::Api;
use crate::command::{CheckerCommand, Checking};
use crate::data_dir::{CHECKER, DataDir};
use crate::options::{Agent, General};
use crate::say;
use crate::stop::StopSignals;
use anyhow::{Context, Result, ensure};
use nearframe_checker::{Audited, Auditor, Load, Player, Summary};
use nearframe_matchmaker::tls::network_addresses;
use nearframe_protocol::check::draw::{DAY_MS, audits, commitment};
use nearframe_protocol::check::{CheckSeeds, NextCheck};
use nearframe_protocol::{NodeId, NodeKey, TitleId};
use nearframe_server::agent::key_file;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

const KEY_FILE: &str = "checker.key";
/// How often it is asked for what is due: audits may wait for two hours.
const ASK_EVERY: Duration = Duration::from_secs(20);
/// What a load plays where nothing is named: every node has it.
const LOAD_TITLE: &str = "testcard";

/// Runs a `checker` command.
pub(crate) async fn run(
    general: &General,
    agent: &Agent,
    how: &Checking,
    command: Option<&CheckerCommand>,
) -> Result<()> {
    match command {
        Some(CheckerCommand::Key) => {
            say::line(&key(general)?.1.public().to_string());
            Ok(())
        }
        Some(CheckerCommand::Draw { file, node, enrolled_ms }) => draw(file, *node, *enrolled_ms),
        None => play(general, agent, how).await,
    }
}

/// The key, and the folder that it lies in, which is held while it is used.
fn key(general: &General) -> Result<(DataDir, NodeKey)> {
    let folder = DataDir::open(general, CHECKER)?;
    let key = key_file(folder.path(), KEY_FILE)?;
    Ok((folder, key))
}

async fn play(general: &General, agent: &Agent, how: &Checking) -> Result<()> {
    let api = Api::configure(agent)?;
    let player = Player { bind: bind(&api, how), way: Arc::new(api), decode: true };
    let time = Duration::from_secs(how.seconds.into());
    if let Some(sessions) = how.sessions {
        let title = match &how.title {
            Some(title) => title.clone(),
            None => TitleId::new(LOAD_TITLE).context("the title of loads")?,
        };
        let decoding = how.decoding.unwrap_or(sessions);
        let summary = nearframe_checker::run(&Load { player, title, sessions, decoding, time }).await?;
        return tell_load(&summary, how.json);
    }
    let (_folder, key) = key(general)?;
    let auditor = Auditor::new(player, key)?;
    match &how.title {
        Some(title) => tell_check(&auditor.check(title, time).await?, how.json),
        None => serve(&auditor, time, how.json).await,
    }
}

fn bind(api: &Api, how: &Checking) -> Vec<IpAddr> {
    match &how.media_bind {
        Some(addresses) => addresses.clone(),
        None if api.is_loopback() => vec![Ipv4Addr::LOCALHOST.into()],
        None => network_addresses().into_iter().collect(),
    }
}

/// Carries out what is drawn until it is stopped; an audit under way is then left to another.
async fn serve(auditor: &Auditor, time: Duration, json: bool) -> Result<()> {
    let mut signals = StopSignals::listen()?;
    // A key that is not enrolled is told at once.
    let mut next = auditor.next().await?;
    say::line("checking");
    loop {
        let work = async {
            match &next {
                Some(due) => carry_out(auditor, due, time, json).await,
                None => sleep(ASK_EVERY).await,
            }
            auditor.next().await.unwrap_or_else(|error| {
                tracing::warn!("the matchmaker is asked again in {} s: {error:#}", ASK_EVERY.as_secs());
                None
            })
        };
        tokio::select! {
            () = signals.next() => return Ok(()),
            due = work => next = due,
        }
    }
}

async fn carry_out(auditor: &Auditor, due: &NextCheck, time: Duration, json: bool) {
    let told = auditor.carry_out(due, time).await.and_then(|audited| tell_check(&audited, json));
    if let Err(error) = told {
        tracing::warn!(node = %due.node, "an audit was not carried out: {error:#}");
    }
}

fn tell_check(audited: &Audited, json: bool) -> Result<()> {
    if json {
        say::line(&serde_json::to_string(&audited.check).context("writing a report")?);
        return Ok(());
    }
    let report = &audited.check.report;
    let findings: Vec<String> = report.findings.iter().map(|finding| format!("{finding:?}")).collect();
    say::line(&format!(
        "{:?} node {} session {}: {} frames in {} ms, challenge {} ms, round trip {} ms{}{}",
        report.verdict,
        report.node,
        report.session,
        report.frames,
        report.played_ms,
        report.challenge_us / 1000,
        report.rtt_us / 1000,
        if findings.is_empty() { String::new() } else { format!("; {}", findings.join(", ")) },
        audited.failure.as_ref().map_or_else(String::new, |why| format!("; {why}")),
    ));
    Ok(())
}

fn tell_load(summary: &Summary, json: bool) -> Result<()> {
    let text = if json { serde_json::to_string(summary) } else { serde_json::to_string_pretty(summary) };
    say::line(&text.context("writing the summary")?);
    Ok(())
}

/// Draws again, after it was made sure that each seed is the one that was committed to.
fn draw(file: &Path, node: NodeId, enrolled_ms: u64) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let seeds: CheckSeeds = serde_json::from_str(&text)
        .with_context(|| format!("{} is no answer of GET /v1/checks/seeds", file.display()))?;
    for day in seeds.past.iter().rev() {
        let told = commitment(day.day, &day.seed, &day.rules);
        ensure!(
            told == day.commitment,
            "day {}: the seed and the rules are not those that were committed to",
            day.day
        );
        let rate = day.rules.rate(enrolled_ms, day.day);
        for (audit, due_ms) in audits(&day.seed, node, day.day, rate) {
            if due_ms < enrolled_ms {
                continue;
            }
            let minute = (due_ms - u64::from(audit.day) * DAY_MS) / 60_000;
            say::line(&format!("day {} {:02}:{:02} UTC ({due_ms})", audit.day, minute / 60, minute % 60));
        }
    }
    Ok(())
}
