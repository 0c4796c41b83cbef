//! A matchmaker that can be killed, cut off and started again, reached through memory instead of sockets.

use super::dice::Dice;
use super::store::{Database, Way};
use axum::Router;
use axum::serve::Listener;
use nearframe_matchmaker::assets::InMemory;
use nearframe_matchmaker::bus::Replicated;
use nearframe_matchmaker::bus::network::{Simulated, SimulatedNetwork};
use nearframe_matchmaker::{Config, Limits, Matchmaker};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

/// Bytes on their way in one direction.
const PIPE: usize = 64 * 1024;

/// The world that replicas live in.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) database: Arc<Database>,
    pub(crate) network: SimulatedNetwork,
}

/// One place for a replica; it lives there or it does not.
pub(crate) struct Place {
    world: World,
    dice: Dice,
    life: Option<Life>,
}

struct Life {
    matchmaker: Matchmaker,
    router: Router,
    dial: mpsc::UnboundedSender<DuplexStream>,
    end: Arc<Simulated>,
    way: Arc<Way>,
    server: JoinHandle<()>,
    connections: JoinSet<()>,
}

impl Place {
    pub(crate) fn new(world: World, dice: Dice) -> Self {
        Self { world, dice, life: None }
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.life.is_some()
    }

    /// Starts a replica here; a database that is away keeps it from starting.
    pub(crate) async fn start(&mut self) {
        let end = Arc::new(self.world.network.end());
        let way = Arc::new(Way::new(Arc::clone(&self.world.database), self.dice.split()));
        let network: Arc<Simulated> = Arc::clone(&end);
        let Ok(bus) = Replicated::open(network).await else { return };
        let limits = Limits {
            sessions_per_guest: 4,
            sessions_per_minute: 1_000_000,
            sockets_per_minute: 1_000_000,
            ..Limits::default()
        };
        let config = Config { limits, price_micros_per_hour: 3_600_000, ..Config::default() };
        let store = Arc::clone(&way);
        let opened = Matchmaker::with_bus(config, store, Arc::new(InMemory::new()), Arc::new(bus)).await;
        let Ok(matchmaker) = opened else { return };
        let (dial, incoming) = mpsc::unbounded_channel();
        let router = matchmaker.router();
        let served = router.clone();
        let server = tokio::spawn(async move {
            // It ends with the task.
            let _ = axum::serve(Incoming(incoming), served).await;
        });
        let connections = JoinSet::new();
        self.life = Some(Life { matchmaker, router, dial, end, way, server, connections });
    }

    /// As `kill -9`: nothing is said to anybody, and nothing that was begun goes on.
    pub(crate) fn kill(&mut self) {
        if let Some(mut life) = self.life.take() {
            life.connections.abort_all();
            life.way.is_dead.store(true, Ordering::Relaxed);
            life.end.set_cut(true);
            life.server.abort();
            drop(life.matchmaker);
        }
    }

    /// Cuts its bus, or mends it.
    pub(crate) fn set_bus_cut(&self, cut: bool) {
        if let Some(life) = &self.life {
            life.end.set_cut(cut);
        }
    }

    /// Cuts its way to the database, or mends it.
    pub(crate) fn set_store_cut(&self, cut: bool) {
        if let Some(life) = &self.life {
            life.way.is_cut.store(cut, Ordering::Relaxed);
        }
    }

    /// A connection to it, which ends with it.
    pub(crate) fn dial(&mut self) -> Option<DuplexStream> {
        let life = self.life.as_mut()?;
        let (ours, mut near) = tokio::io::duplex(PIPE);
        let (mut far, theirs) = tokio::io::duplex(PIPE);
        life.dial.send(theirs).ok()?;
        life.connections.spawn(async move {
            // Either end may close it.
            let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
        });
        Some(ours)
    }

    pub(crate) fn router(&self) -> Option<Router> {
        self.life.as_ref().map(|life| life.router.clone())
    }

    pub(crate) fn matchmaker(&self) -> Option<Matchmaker> {
        self.life.as_ref().map(|life| life.matchmaker.clone())
    }
}

struct Incoming(mpsc::UnboundedReceiver<DuplexStream>);

impl Listener for Incoming {
    type Io = DuplexStream;
    type Addr = ();
    async fn accept(&mut self) -> (DuplexStream, ()) {
        match self.0.recv().await {
            Some(stream) => (stream, ()),
            None => std::future::pending().await,
        }
    }
    fn local_addr(&self) -> std::io::Result<()> {
        Ok(())
    }
}
