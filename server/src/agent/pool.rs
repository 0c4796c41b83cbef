//! Workers that wait: one for any session, and one for each title that is kept at its menu.

use super::places::Places;
use super::worker_process::{WorkerEvent, WorkerId, WorkerProcess};
use super::{Config, Event};
use nearframe_protocol::worker::{Prepare, ToWorker};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc;
use tracing::{info, warn};

/// Workers that cannot be started this many times in a row stop being tried until a session needs one.
const MAX_START_FAILURES: u32 = 5;

/// Idle workers and those on their way.
pub(crate) struct Pool {
    config: Arc<Config>,
    places: Places,
    events: mpsc::Sender<Event>,
    spare: Option<WorkerProcess>,
    /// Titles to be kept at their menu, by folder, with the worker that does.
    prepared: HashMap<PathBuf, Option<WorkerProcess>>,
    /// Those of them that the host named.
    always: Vec<PathBuf>,
    /// Titles that did not get to their menu.
    given_up: Vec<PathBuf>,
    starting: u32,
    start_failures: u32,
    next_worker: u64,
    draining: bool,
}

impl Pool {
    /// `prepared` names the folders of the titles that wait at their menu.
    pub(crate) fn new(
        config: Arc<Config>,
        places: Places,
        prepared: impl IntoIterator<Item = PathBuf>,
        events: mpsc::Sender<Event>,
    ) -> Self {
        let always: Vec<PathBuf> = prepared.into_iter().collect();
        Self {
            config,
            places,
            events,
            spare: None,
            prepared: always.iter().map(|title| (title.clone(), None)).collect(),
            always,
            given_up: Vec::new(),
            starting: 0,
            start_failures: 0,
            next_worker: 0,
            draining: false,
        }
    }

    /// Starts what is missing, with `waiting` sessions that need a worker at once.
    pub(crate) fn fill(&mut self, waiting: usize) {
        let idle =
            usize::from(self.spare.is_none()) + self.prepared.values().filter(|one| one.is_none()).count();
        let wanted = waiting + if self.draining { 0 } else { idle };
        let tired = self.start_failures >= MAX_START_FAILURES && waiting == 0;
        while (self.starting as usize) < wanted && !tired {
            self.starting += 1;
            let id = WorkerId(self.next_worker);
            self.next_worker += 1;
            match self.places.of_worker(id) {
                Ok(place) => {
                    WorkerProcess::spawn(id, &self.config, place, self.events.clone());
                }
                Err(error) => {
                    let why = WorkerEvent::StartFailed(format!("{error:#}"));
                    let events = self.events.clone();
                    tokio::spawn(async move { events.send(Event::Worker(why)).await });
                }
            }
        }
    }

    /// A worker that was started is there.
    pub(crate) fn arrived(&mut self) {
        self.starting = self.starting.saturating_sub(1);
        self.start_failures = 0;
    }

    /// A worker could not be started; `true` when no further try is worth it for those who wait.
    pub(crate) fn failed(&mut self) -> bool {
        self.starting = self.starting.saturating_sub(1);
        self.start_failures += 1;
        self.start_failures >= MAX_START_FAILURES
    }

    /// A worker for `title`: one that waits at its menu, unless a save is to be restored first; else any.
    pub(crate) fn take(&mut self, title: &Path, restores: bool) -> Option<WorkerProcess> {
        let prepared = if restores { None } else { self.prepared.get_mut(title).and_then(Option::take) };
        prepared.or_else(|| self.spare.take())
    }

    /// Keeps a worker that no session needs now.
    pub(crate) async fn keep(&mut self, worker: WorkerProcess) {
        if self.draining {
            return worker.kill().await;
        }
        if self.spare.is_none() {
            self.spare = Some(worker);
            return;
        }
        let Some((title, place)) = self.prepared.iter_mut().find(|(_, worker)| worker.is_none()) else {
            return worker.kill().await;
        };
        let prepare = Prepare {
            title_dir: title.clone(),
            dir: worker.place.dir.clone(),
            home: worker.place.home.clone(),
            seed: worker.id.0,
        };
        info!(title = %title.display(), "a worker waits at the title's menu");
        worker.send(ToWorker::Prepare(Box::new(prepare)));
        *place = Some(worker);
    }

    /// A worker exited; it may have been an idle one.
    pub(crate) fn lost(&mut self, id: WorkerId) {
        let is_it = |worker: &Option<WorkerProcess>| worker.as_ref().is_some_and(|worker| worker.id == id);
        if is_it(&self.spare) {
            warn!("the spare worker exited");
            self.spare = None;
            self.start_failures += 1;
            return;
        }
        let Some((title, _)) = self.prepared.iter().find(|(_, worker)| is_it(worker)) else { return };
        // A title that does not get to its menu would end every worker that tries.
        let title = title.clone();
        warn!(title = %title.display(), "the title ended while it waited; it is not kept at its menu any more");
        self.prepared.remove(&title);
        self.given_up.push(title);
    }

    /// Keeps these titles at their menu besides the host's own, and no others. Each costs memory as a session does:
    /// at most as many as the node has slots.
    pub(crate) fn want(&mut self, titles: Vec<PathBuf>) {
        if self.draining {
            return;
        }
        let most = self.config.slots.unwrap_or(1) as usize;
        let mut wanted = self.always.clone();
        wanted.extend(titles);
        wanted.retain(|title| !self.given_up.contains(title));
        wanted.dedup();
        wanted.truncate(most.max(self.always.len()));
        let unwanted: Vec<PathBuf> =
            self.prepared.keys().filter(|title| !wanted.contains(title)).cloned().collect();
        for title in unwanted {
            if let Some(worker) = self.prepared.remove(&title).flatten() {
                worker.send(ToWorker::Stop { reason: nearframe_protocol::EndReason::Drained, limit: None });
                // Its end is not waited for: sessions are.
                tokio::spawn(worker.reap());
            }
        }
        for title in wanted {
            self.prepared.entry(title).or_insert(None);
        }
    }

    /// Ends the idle workers and keeps no more.
    pub(crate) async fn drain(&mut self) {
        self.draining = true;
        let prepared = std::mem::take(&mut self.prepared).into_values();
        for worker in self.spare.take().into_iter().chain(prepared.flatten()) {
            worker.send(ToWorker::Stop { reason: nearframe_protocol::EndReason::Drained, limit: None });
            worker.reap().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::config_for_tests;
    use std::collections::BTreeSet;

    #[tokio::test]
    async fn the_matchmakers_wishes_come_after_the_hosts_and_titles_that_fail_are_left_out() {
        let data = tempfile::tempdir().unwrap();
        let config = Config { slots: Some(2), ..config_for_tests(data.path()) };
        let places = Places::open(data.path()).unwrap();
        let (events, _) = mpsc::channel(1);
        let folder = |name: &str| PathBuf::from(name);
        let mut pool = Pool::new(Arc::new(config), places, [folder("host")], events);
        let kept = |pool: &Pool| pool.prepared.keys().cloned().collect::<BTreeSet<_>>();
        pool.want(vec![folder("meteor"), folder("scene")]);
        assert_eq!(kept(&pool), BTreeSet::from([folder("host"), folder("meteor")]), "as many as slots");
        pool.given_up.push(folder("meteor"));
        pool.want(vec![folder("meteor"), folder("scene")]);
        assert_eq!(kept(&pool), BTreeSet::from([folder("host"), folder("scene")]));
        pool.want(Vec::new());
        assert_eq!(kept(&pool), BTreeSet::from([folder("host")]), "the host's own stays");
    }
}
