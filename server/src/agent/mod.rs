//! The node agent: dials the matchmaker, supervises session workers, signs for them.
//!
//! Everything that happens to a node arrives here as one [`Event`] on one channel, and one loop acts on
//! it; sockets and processes are tasks that feed the channel.

mod bidder;
mod chain;
mod identity;
mod link;
mod places;
mod pool;
mod reflector;
mod saves;
mod spool;
mod standby;
mod supervisor;
mod worker_process;

pub use identity::load_or_create as key_file;
pub use link::pin::trust;

use crate::capability::{self, Machine, terms};
use anyhow::{Context, Result};
use base64::Engine;
use nearframe_encode::VideoOptions;
use nearframe_protocol::TitleId;
use nearframe_protocol::capability::SignedCapability;
use nearframe_protocol::link::{FromNode, HeldTitle, MAX_COVERS_BYTES, NodeOffer, ToNode};
use nearframe_protocol::network::MediaNetwork;
use nearframe_protocol::terms::{Location, NodeTerms};
use nearframe_protocol::title::{TitleKind, Trust};
use nearframe_title::catalogue;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use supervisor::Supervisor;
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};
use url::Url;

/// Events that may wait for the loop; a full channel makes sockets wait, nothing is lost.
const EVENT_CAPACITY: usize = 256;
/// Workers get this long to say goodbye to their players.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// The last words to the matchmaker get this long.
const FLUSH_TIME: Duration = Duration::from_millis(500);

/// How a node is run.
#[derive(Clone, Debug)]
pub struct Config {
    /// `http(s)://host:port` of the matchmaker.
    pub matchmaker: Url,
    /// SHA-256 of the matchmaker's certificate (DER), from the enrolment link; `None`: public authorities.
    pub pin: Option<[u8; 32]>,
    /// One-time code, needed the first time.
    pub enrolment_code: Option<String>,
    /// Where the key, spooled receipts and unpacked titles live.
    pub data_dir: PathBuf,
    /// Folder with further titles.
    pub titles: Option<PathBuf>,
    /// What players and operators see.
    pub name: String,
    /// ISO 3166 region, empty if unknown.
    pub region: String,
    /// Where it stands, where its owner says.
    pub location: Option<Location>,
    /// Titles that wait at their menu for the next player.
    pub prepare: Vec<TitleId>,
    /// How far a program must be trusted to be offered.
    pub least_trust: Trust,
    /// Sessions at once; `None`: as many as the machine was measured to hold.
    pub slots: Option<u32>,
    /// The least that it takes for an hour of standing by, in micro-units of what the matchmaker counts in; `None`: what
    /// the rate card gives.
    pub standby_price_micros: Option<u64>,
    /// Where media may flow.
    pub network: MediaNetwork,
    /// Highest video bitrate of a session.
    pub max_bitrate_bps: u32,
    /// Which video encoders sessions may use, and how.
    pub video: VideoOptions,
    /// What workers log, as a filter; `None`: the usual.
    pub worker_log: Option<String>,
    /// The program that becomes a worker when called with the argument `worker`.
    pub worker_exe: PathBuf,
}

/// What can happen to a node.
pub(crate) enum Event {
    /// The link is up: messages go into this channel from now on.
    LinkUp(mpsc::Sender<FromNode>, link::Greeting),
    /// The reflector's outside address is another.
    Outside,
    /// The link is gone.
    LinkDown,
    /// A command.
    Command(ToNode),
    /// A worker said something, or ended.
    Worker(worker_process::WorkerEvent),
    /// Saves arrived, here or at the matchmaker.
    Save(saves::SaveEvent),
}

/// Runs a node until `shutdown` turns true; then ends its sessions, and its workers with them.
pub async fn run(config: Config, mut shutdown: watch::Receiver<bool>) -> Result<()> {
    std::fs::create_dir_all(&config.data_dir)
        .with_context(|| format!("creating the data directory {}", config.data_dir.display()))?;
    let key = identity::load_or_create(&config.data_dir, "node.key")?;
    let titles = load_titles(&config)?;
    let machine = Machine::look(&config.video);
    // An owner who says how many sessions fit need not wait for a measurement; one that is remembered is told.
    let measured = match config.slots {
        None => Some(capability::report(&config.data_dir, &key, &machine)),
        Some(_) => {
            let known = capability::remembered(&config.data_dir, &key, &machine);
            known.map(|report| capability::without_uplink(&key, report))
        }
    };
    let uplinks = config.slots.is_none().then(|| link::Uplinks::new(config.data_dir.clone(), key.clone()));
    let fitting = measured.as_ref().map(|report| report.capability.sessions);
    let slots = config.slots.or(fitting).unwrap_or(1);
    let offer = describe(&config, slots, &titles, &machine, measured);
    info!(node_key = %key.public(), adapter = %offer.adapter, titles = titles.len(), slots, "node starts");

    let (events_in, mut events) = mpsc::channel(EVENT_CAPACITY);
    let spool = spool::Spool::open(&config.data_dir.join("receipts"))?;
    let config = Arc::new(Config { slots: Some(slots), ..config });
    nearframe_title::sandbox::sweep();
    let places = places::Places::open(&config.data_dir)?;
    let saves = saves::Saves::open(&config, events_in.clone())?;
    let pool = pool::Pool::new(Arc::clone(&config), places, prepared(&config, &titles), events_in.clone());
    let reflector = reflector::open(&config.network, events_in.clone()).await;
    let mut supervisor =
        Supervisor::new(Arc::clone(&config), key.clone(), titles, spool, saves, pool, reflector);
    supervisor.fill_pool();
    let link = tokio::spawn(link::keep(
        Arc::clone(&config),
        key,
        offer,
        uplinks,
        supervisor.running(),
        events_in,
        shutdown.clone(),
    ));

    let mut housekeeping = tokio::time::interval(Duration::from_millis(500));
    housekeeping.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while !*shutdown.borrow() {
        tokio::select! {
            event = events.recv() => match event {
                Some(event) => supervisor.handle(event).await,
                None => break,
            },
            _ = housekeeping.tick() => supervisor.housekeeping().await,
            changed = shutdown.changed() => if changed.is_err() { break },
        }
    }

    info!("node drains");
    supervisor.drain().await;
    let deadline = tokio::time::Instant::now() + DRAIN_TIME;
    while supervisor.has_sessions() {
        match tokio::time::timeout_at(deadline, events.recv()).await {
            Ok(Some(event)) => supervisor.handle(event).await,
            Ok(None) => break,
            Err(_) => {
                warn!("some sessions did not end in time and are killed");
                break;
            }
        }
    }
    supervisor.kill_all().await;
    // The last messages are in the link's queue: it ends by itself once they are sent.
    let flushed = async { while !matches!(events.recv().await, Some(Event::LinkDown) | None) {} };
    let _ = tokio::time::timeout(FLUSH_TIME, flushed).await;
    link.abort();
    Ok(())
}

/// Titles that ship and titles from `--titles`; a broken one is reported and left out.
fn load_titles(config: &Config) -> Result<Vec<catalogue::LoadedTitle>> {
    let (mut titles, mut errors) = catalogue::shipped(&config.data_dir);
    if let Some(dir) = &config.titles {
        let (more, more_errors) = catalogue::load_dir(dir);
        titles.retain(|shipped| more.iter().all(|own| own.manifest.id != shipped.manifest.id));
        titles.extend(more);
        errors.extend(more_errors);
    }
    for error in &errors {
        warn!("a title is left out: {error}");
    }
    titles.retain(|title| is_welcome(config, title));
    if titles.is_empty() {
        anyhow::bail!("no title can be loaded; put folders with a title.toml below --titles");
    }
    Ok(titles)
}

/// Whether this host offers a title: by how far it must be trusted, and by where the title may run.
fn is_welcome(config: &Config, title: &catalogue::LoadedTitle) -> bool {
    let policy = &title.manifest.policy;
    let country = config.region.split('-').next().unwrap_or_default();
    let here = |region: &String| *region == config.region || *region == country;
    let allowed = policy.regions.is_empty() || policy.regions.iter().any(here);
    let trusted = title.manifest.run.kind != TitleKind::App || policy.trust >= config.least_trust;
    if !allowed {
        warn!(title = %title.entry.id, region = config.region, "left out: it may not run in this region");
    }
    if !trusted {
        warn!(title = %title.entry.id, "left out: this host takes reviewed titles only");
    }
    allowed && trusted
}

/// Folders of the titles that are kept at their menu.
fn prepared(config: &Config, titles: &[catalogue::LoadedTitle]) -> Vec<PathBuf> {
    let folder = |id: &TitleId| {
        let found = titles.iter().find(|title| title.entry.id == *id).map(|title| title.dir.clone());
        if found.is_none() {
            warn!(title = %id, "cannot be kept at its menu: this node does not hold it");
        }
        found
    };
    config.prepare.iter().filter_map(folder).collect()
}

fn describe(
    config: &Config,
    slots: u32,
    titles: &[catalogue::LoadedTitle],
    machine: &Machine,
    capability: Option<SignedCapability>,
) -> NodeOffer {
    let mut room = MAX_COVERS_BYTES;
    NodeOffer {
        name: config.name.clone(),
        region: config.region.clone(),
        slots,
        adapter: machine.adapters.first().map_or_else(|| "none".to_owned(), ToString::to_string),
        encoders: machine.encoder_names(),
        titles: titles.iter().map(|title| announce(title, &mut room)).collect(),
        terms: NodeTerms {
            location: config.location,
            ..capability.as_ref().map(|signed| terms(&signed.capability)).unwrap_or_default()
        },
        capability,
    }
}

/// A title with its cover, as long as there is room for covers.
fn announce(title: &catalogue::LoadedTitle, room: &mut usize) -> HeldTitle {
    let cover = title.cover.as_ref().filter(|cover| cover.len() <= *room);
    *room -= cover.map_or(0, Vec::len);
    HeldTitle {
        entry: title.entry.clone(),
        cover_base64: cover.map(|cover| base64::engine::general_purpose::STANDARD.encode(cover)),
    }
}

/// A node that reaches nobody and keeps its things in `data`.
#[cfg(test)]
fn config_for_tests(data: &std::path::Path) -> Config {
    Config {
        matchmaker: Url::parse("http://127.0.0.1:1").expect("it is an address"),
        pin: None,
        enrolment_code: None,
        data_dir: data.to_owned(),
        titles: None,
        name: "test".into(),
        region: String::new(),
        location: None,
        prepare: Vec::new(),
        least_trust: Trust::Sandboxed,
        slots: Some(1),
        standby_price_micros: None,
        network: MediaNetwork::default(),
        max_bitrate_bps: 1,
        video: VideoOptions::default(),
        worker_log: None,
        worker_exe: PathBuf::new(),
    }
}
