//! The programs put together: a matchmaker, a node, or both in one process.

use crate::data_dir::{DataDir, MATCHMAKER, NODE};
use crate::node::Membership;
use crate::options::{Door as DoorOptions, Enrolment, General, Matchmaking, Node};
use crate::stop::StopSignals;
use crate::{door, matchmaker, node, say};
use anyhow::{Context, Result, anyhow};
use nearframe_matchmaker::Matchmaker;
use nearframe_matchmaker::tls::{Certificates, Door, DoorConfig};
use nearframe_server::agent;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use url::Url;

/// Sessions are told and ended within this long after a stop signal.
const DRAIN_WITHIN: Duration = Duration::from_secs(5);
/// Past draining, the parts get this long to close what they hold open.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);
/// A start that takes longer than this is explained, though still waited for.
const READY_USUALLY_WITHIN: Duration = Duration::from_secs(20);
/// Where a node in the same process finds a matchmaker whose door is not plain loopback.
const INSIDE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The parts of one process: they stop together, and one that ends by itself ends all.
struct Parts {
    stop: watch::Sender<bool>,
    running: JoinSet<Result<()>>,
}

impl Parts {
    fn new() -> Self {
        Self { stop: watch::Sender::new(false), running: JoinSet::new() }
    }

    /// Starts a part; it has to end soon after the switch that it is given turns true.
    fn start<F>(&mut self, name: &'static str, part: impl FnOnce(watch::Receiver<bool>) -> F)
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let part = part(self.stop.subscribe());
        self.running.spawn(async move { part.await.context(name) });
    }

    /// Resolves with the reason when a part ends though nobody stopped it.
    async fn ended_early(&mut self) -> anyhow::Error {
        match self.running.join_next().await {
            Some(Ok(Ok(()))) => anyhow!("a part of the program ended by itself"),
            Some(Ok(Err(error))) => error,
            Some(Err(error)) => anyhow!("a part of the program broke: {error}"),
            None => anyhow!("nothing is running"),
        }
    }

    /// Turns the switch and waits for all parts, the first trouble being the result.
    async fn stop(mut self) -> Result<()> {
        self.stop.send_replace(true);
        let mut result = Ok(());
        while let Some(ended) = self.running.join_next().await {
            result = result.and(ended.context("a part of the program broke").flatten());
        }
        result
    }
}

/// `nearframe up`.
pub(crate) async fn up(
    general: &General,
    door_options: &DoorOptions,
    matchmaking: &Matchmaking,
    node_options: &Node,
) -> Result<()> {
    let mut signals = StopSignals::listen()?;
    let matchmaker_data = DataDir::open(general, MATCHMAKER)?;
    let node_data = DataDir::open(general, NODE)?;
    let door = door::open(door_options, matchmaker_data.path())?;
    let config = matchmaker::configure(&door, door_options, matchmaking, matchmaker_data.path())?;
    let matchmaker = Matchmaker::open(config).await.context("opening the matchmaker")?;

    let mut parts = Parts::new();
    let inside = inside_url(&door, &matchmaker, &mut parts)?;
    let membership = Membership {
        matchmaker: inside,
        pin: None,
        enrolment_code: Some(matchmaker.enrolment_code().await.context("making an enrolment code")?),
    };
    let mut node = node::configure(node_options, membership, node_data.path(), door.local_addr().ip())?;
    node.worker_log.clone_from(&general.log);
    parts.start("the node", |stop| agent::run(node, stop));
    serve_until_stopped(door, matchmaker, parts, &mut signals, true).await
}

/// `nearframe matchmaker`.
pub(crate) async fn matchmaker(
    general: &General,
    door_options: &DoorOptions,
    matchmaking: &Matchmaking,
) -> Result<()> {
    let mut signals = StopSignals::listen()?;
    let data = DataDir::open(general, MATCHMAKER)?;
    let door = door::open(door_options, data.path())?;
    let config = matchmaker::configure(&door, door_options, matchmaking, data.path())?;
    let matchmaker = Matchmaker::open(config).await.context("opening the matchmaker")?;
    let code = matchmaker.enrolment_code().await.context("making an enrolment code")?;
    let pin = door.pin().map(|pin| format!(" --pin {}", hex::encode(pin))).unwrap_or_default();
    say::line(&format!("enrol nearframe node --matchmaker {}{pin} --enrolment-code {code}", door.url()));
    serve_until_stopped(door, matchmaker, Parts::new(), &mut signals, false).await
}

/// `nearframe node`.
pub(crate) async fn node(general: &General, enrolment: &Enrolment, options: &Node) -> Result<()> {
    let mut signals = StopSignals::listen()?;
    let membership = Membership::from_options(enrolment)?;
    let data = DataDir::open(general, NODE)?;
    let reached_at = if is_loopback(&membership.matchmaker) {
        IpAddr::from(Ipv4Addr::LOCALHOST)
    } else {
        IpAddr::from(Ipv4Addr::UNSPECIFIED)
    };
    let mut config = node::configure(options, membership, data.path(), reached_at)?;
    config.worker_log.clone_from(&general.log);
    let mut parts = Parts::new();
    parts.start("the node", |stop| agent::run(config, stop));
    tokio::select! {
        () = signals.next() => {}
        error = parts.ended_early() => return Err(error),
    }
    tracing::info!("stopping; a second signal stops at once");
    within_or_forced(parts.stop(), &mut signals).await
}

/// Serves at the door, tells when a player can start, and drains after a stop signal.
async fn serve_until_stopped(
    door: Door,
    matchmaker: Matchmaker,
    mut parts: Parts,
    signals: &mut StopSignals,
    has_node: bool,
) -> Result<()> {
    let url = door.url().to_owned();
    let operator = matchmaker.operator_link().await.context("making the operator's link")?;
    say::line(&format!("operator {}{}", url.trim_end_matches('/'), operator));
    if let Some(invitation) = door::invitation(&door) {
        say::line(&invitation);
    }
    let mut certified = door.certified();
    let router = matchmaker.router();
    parts.start("the door", |stop| async move { Ok(door.serve(router, stop).await?) });

    let ready = async {
        // The sender lives in the door, which a part keeps; without it that part's end is the news.
        let _ = certified.wait_for(|certified| *certified).await;
        if has_node {
            wait_for_a_title(&matchmaker).await;
        }
        say::line(&format!("{} {url}", if has_node { "ready" } else { "listening" }));
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = signals.next() => {}
        error = parts.ended_early() => return Err(error),
        () = ready => {}
    }
    tracing::info!("draining; a second signal stops at once");
    let drained = async {
        matchmaker.drain(DRAIN_WITHIN).await;
        parts.stop().await
    };
    within_or_forced(drained, signals).await
}

/// Waits until a player can start, saying after a while what is being waited for.
async fn wait_for_a_title(matchmaker: &Matchmaker) {
    let ready = matchmaker.wait_ready();
    tokio::pin!(ready);
    if tokio::time::timeout(READY_USUALLY_WITHIN, &mut ready).await.is_err() {
        tracing::warn!("still waiting for a node with a title; `nearframe doctor` tells what is missing");
        ready.await;
    }
}

/// The address at which a node in this process reaches the matchmaker: the door itself where that is
/// plain loopback, else a listener of its own, on loopback.
fn inside_url(door: &Door, matchmaker: &Matchmaker, parts: &mut Parts) -> Result<Url> {
    let address = door.local_addr();
    if address.ip().is_loopback() && door.url().starts_with("http://") {
        return Ok(Url::parse(&format!("http://{address}/"))?);
    }
    let config = DoorConfig { listen: INSIDE, public_url: None, certificates: Certificates::Plain };
    let inside = Door::open(config).context("opening a loopback port for the node")?;
    let url = Url::parse(inside.url())?;
    let router = matchmaker.router();
    parts.start("the node's port", |stop| async move { Ok(inside.serve(router, stop).await?) });
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Waits for an orderly end, but not for ever, and not after a second signal.
async fn within_or_forced(end: impl Future<Output = Result<()>>, signals: &mut StopSignals) -> Result<()> {
    tokio::select! {
        ended = tokio::time::timeout(DRAIN_WITHIN + CLOSE_WITHIN, end) => match ended {
            Ok(result) => result,
            Err(_) => Err(anyhow!("not everything stopped in time; what was left is ended now")),
        },
        () = signals.next() => Err(anyhow!("stopped at once by a second signal")),
    }
}
