//! The matchmaker: catalogue, placement, leases, signalling and receipts behind one HTTP router.
//!
//! Requests come in through [`http`](self) and [`signalling`](self), the store keeps what must outlive
//! the process, the bus carries commands and events between sockets, jobs do what time demands.
//! Deliberately not here: who may be chosen (`nearframe-placement`), what is owed
//! (`nearframe-ledger`), and media, which never passes through.
//!
//! **Architecture invariant:** the store is written before anyone is told; a lease exists only if it
//! was written in one transaction with its capacity check.

pub mod assets;
pub mod audit;
pub mod bus;
mod catalogue;
mod checks;
pub mod config;
mod document;
mod enrolment;
mod general;
mod http;
mod ice;
mod jobs;
mod keys;
mod market;
mod metrics;
mod months;
mod oidc;
mod passkeys;
mod payouts;
mod placements;
mod placing;
mod prices;
mod quotes;
mod random;
mod replicas;
mod saves;
mod sessions;
mod settlement;
mod signalling;
mod stakes;
mod state;
pub mod store;
pub mod tls;
mod trust;
mod webhooks;

pub use config::{Config, IceConfig, Limits, TrustConfig};
pub use oidc::OidcProvider;

use assets::{Assets, InMemory, LocalFolder};
use axum::Router;
use bus::network::{Nats, NatsError};
use bus::words::ReplicaId;
use bus::{Bus, BusError, InProcess, Replicated};
use general::Kept;
use nearframe_protocol::EndReason;
use replicas::{Clock, Cluster};
use state::{Parts, Phase, Shared};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use store::{PostgresStore, SqliteStore, Store, StoreError};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use utoipa::OpenApi;

/// The database's name in the data folder.
const DATABASE: &str = "matchmaker.sqlite3";
/// The folder of packs and other assets in the data folder.
const ASSETS: &str = "assets";

/// The name of the secret that tickets, cookies and the ledger's key are made of.
const SECRET: &str = "tickets";
/// The folder of the general ledger in the data folder.
const LEDGER: &str = "ledger";

/// While draining, heartbeats are looked at this often; they come every second.
const QUIET_TICK: Duration = Duration::from_millis(50);

/// Why the matchmaker did not start, or could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A configuration value that cannot work.
    #[error("{key}: allowed is {allowed}")]
    Config {
        /// Dotted key.
        key: &'static str,
        /// What would be right.
        allowed: &'static str,
    },
    /// The data folder cannot be used.
    #[error("data_dir {path}: {error}; choose a folder that this user may write")]
    DataDir {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// A database of addresses cannot be read.
    #[error("address_databases {path}: {error}; name files in MaxMind's format (.mmdb)")]
    AddressDatabase {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: String,
    },
    /// No provider's certificate could be checked.
    #[error(
        "oidc_providers: the system's root certificates cannot be used: {error}; install ca-certificates"
    )]
    Roots {
        /// What is wrong.
        error: String,
    },
    /// The configured prices cannot be used.
    #[error("rates: {0}")]
    Prices(#[from] nearframe_ledger::rates::CardError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// NATS cannot be used.
    #[error("bus_url: {0}")]
    Bus(#[from] NatsError),
    /// The bus is there and does not carry.
    #[error("bus_url: {0}; look at the server's log")]
    Silent(#[from] BusError),
    /// The general ledger cannot be opened, or is wrong.
    #[error("the general ledger in {folder}: {error}")]
    Ledger {
        /// Where it is kept.
        folder: PathBuf,
        /// What is wrong.
        error: Box<nearframe_journal::JournalError>,
    },
}

/// Shorthand for this crate's results.
pub type Result<T> = std::result::Result<T, Error>;

/// A running matchmaker. Clones share it.
#[derive(Clone)]
pub struct Matchmaker {
    shared: Arc<Shared>,
    jobs: Arc<Mutex<JoinSet<()>>>,
}

impl Matchmaker {
    /// Checks the configuration, opens the database and starts the jobs.
    pub async fn open(config: Config) -> Result<Self> {
        config.check()?;
        let path = config.data_dir.clone();
        let unusable = |error| Error::DataDir { path: path.clone(), error };
        tokio::fs::create_dir_all(&path).await.map_err(unusable)?;
        let assets = LocalFolder::open(&path.join(ASSETS)).await.map_err(unusable)?;
        let store = open_store(config.database_url.as_deref(), &path).await?;
        let has_others = config.database_url.is_some();
        let assets = Arc::new(assets);
        let matchmaker = match config.bus_url.clone() {
            None => Self::with_parts(config, store, assets).await?,
            Some(url) => {
                let bus = Replicated::open(Arc::new(Nats::connect(&url).await?)).await?;
                Self::with_bus(config, store, assets, Arc::new(bus)).await?
            }
        };
        let kept = Kept { folder: path.join(LEDGER), is_copy: has_others };
        matchmaker.shared.general.choose(kept);
        let opened = general::open(&matchmaker.shared).await;
        opened.map_err(|error| Error::Ledger { folder: path.join(LEDGER), error: Box::new(error) })?;
        Ok(matchmaker)
    }

    /// The same on a given store, with assets in memory.
    pub async fn with_store(config: Config, store: Arc<dyn Store>) -> Result<Self> {
        Self::with_parts(config, store, Arc::new(InMemory::new())).await
    }

    /// The same on a given store and given assets.
    pub async fn with_parts(config: Config, store: Arc<dyn Store>, assets: Arc<dyn Assets>) -> Result<Self> {
        Self::start(config, store, assets, Arc::new(InProcess::new()), true).await
    }

    /// The same as one of several, which share the store and the bus.
    pub async fn with_bus(
        config: Config,
        store: Arc<dyn Store>,
        assets: Arc<dyn Assets>,
        bus: Arc<dyn Bus>,
    ) -> Result<Self> {
        Self::start(config, store, assets, bus, false).await
    }

    async fn start(
        config: Config,
        store: Arc<dyn Store>,
        assets: Arc<dyn Assets>,
        bus: Arc<dyn Bus>,
        alone: bool,
    ) -> Result<Self> {
        config.check()?;
        let addresses = placing::addresses::Addresses::open(&config.address_databases)?;
        let key = store.secret(SECRET, random::bytes()).await?;
        let cluster = Cluster::new(ReplicaId::from_random(random::bytes()), alone);
        let clock = Clock::new(store.clock_ms().await?);
        let providers = oidc::Providers::open(&config.oidc_providers)?;
        let parts = Parts { store, assets, bus, cluster, clock, key, providers };
        let shared = Arc::new(Shared::new(config, parts));
        shared.placing.know(addresses);
        prices::open(&shared).await?;
        stakes::open(&shared).await?;
        placing::rules::refresh(&shared).await?;
        placing::history::read(&shared).await?;
        replicas::join(&shared).await?;
        let jobs = Arc::new(Mutex::new(jobs::spawn(&shared)));
        Ok(Self { shared, jobs })
    }

    /// Everything that is served. Rate limits need the peer's address: serve it with
    /// `into_make_service_with_connect_info::<SocketAddr>()`; without, all callers share one limit.
    pub fn router(&self) -> Router {
        http::router(&self.shared)
    }

    /// A one-time enrolment code, valid for 15 minutes.
    pub async fn enrolment_code(&self) -> Result<String> {
        Ok(enrolment::create(&self.shared).await?.0)
    }

    /// Path and query of a one-time link that signs the operator in, valid for a day.
    pub async fn operator_link(&self) -> Result<String> {
        Ok(enrolment::operator_link(&self.shared).await?)
    }

    /// Resolves when a node with a title has come online: a player can start.
    pub async fn wait_ready(&self) {
        let mut ready = self.shared.ready.subscribe();
        // The sender lives in `shared`, so this ends only with a node.
        let _ = ready.wait_for(|ready| *ready).await;
    }

    /// Takes no new sessions, ends the running ones with `drained`, waits at most `within` for nodes to
    /// hand in their last receipts, then closes sockets, jobs and store. Repeating it changes nothing.
    ///
    /// One of several ends no session: its nodes and pages are sent to the others, and its regions are left to them.
    pub async fn drain(&self, within: Duration) {
        self.shared.phase.send_if_modified(|phase| {
            let open = *phase == Phase::Open;
            *phase = (*phase).max(Phase::Draining);
            open
        });
        let alone = self.shared.cluster.alone;
        let farewell =
            async { if alone { self.end_sessions().await } else { replicas::leave(&self.shared).await } };
        if tokio::time::timeout(within, farewell).await.is_err() {
            tracing::warn!("the time for draining is over before all receipts came in");
        }
        if let Err(error) = placing::history::write(&self.shared).await {
            tracing::warn!(%error, "what was learnt of round trips last is lost");
        }
        self.shared.phase.send_replace(Phase::Closed);
        let mut jobs = self.jobs.lock().await;
        while jobs.join_next().await.is_some() {}
        self.shared.store.close().await;
    }

    async fn end_sessions(&self) {
        let active = match self.shared.store.active_sessions().await {
            Ok(active) => active,
            Err(error) => return tracing::error!(%error, "the store failed while draining"),
        };
        for row in &active {
            if let Err(error) = sessions::end(&self.shared, row.id, EndReason::Drained).await {
                tracing::error!(%error, session = %row.id, "a session could not be ended");
            }
        }
        while !active.is_empty() && !self.shared.fleet().is_quiet() {
            tokio::time::sleep(QUIET_TICK).await;
        }
    }
}

/// The record by itself, to be read; one in a folder has to be there already.
pub async fn open_record(database_url: Option<&str>, data_dir: &Path) -> Result<Arc<dyn Store>> {
    let file = data_dir.join(DATABASE);
    if let (None, Err(error)) = (database_url, tokio::fs::metadata(&file).await) {
        return Err(Error::DataDir { path: file, error });
    }
    open_store(database_url, data_dir).await
}

async fn open_store(database_url: Option<&str>, data_dir: &Path) -> Result<Arc<dyn Store>> {
    Ok(match database_url {
        Some(url) => Arc::new(PostgresStore::open(url).await?),
        None => Arc::new(SqliteStore::open(&data_dir.join(DATABASE)).await?),
    })
}

/// The API's description, as served at `/v1/openapi.json`.
pub fn openapi() -> utoipa::openapi::OpenApi {
    http::Api::openapi()
}
