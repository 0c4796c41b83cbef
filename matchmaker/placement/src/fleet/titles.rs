//! The titles that nodes hold, each once, however many hold it.

use nearframe_protocol::link::HeldTitle;
use nearframe_protocol::{TitleHash, TitleId};
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Clone, Debug, Default)]
pub(super) struct Catalogue {
    titles: BTreeMap<TitleId, BTreeMap<TitleHash, Version>>,
}

#[derive(Clone, Debug)]
struct Version {
    nodes: usize,
    held: Arc<HeldTitle>,
}

impl Catalogue {
    /// One more node holds it. What the first one said about the same bytes stands, but for a missing picture.
    pub(super) fn add(&mut self, held: HeldTitle) -> Arc<HeldTitle> {
        let versions = self.titles.entry(held.entry.id.clone()).or_default();
        let hash = held.entry.hash;
        let version =
            versions.entry(hash).or_insert_with(|| Version { nodes: 0, held: Arc::new(held.clone()) });
        version.nodes += 1;
        if version.held.cover_base64.is_none() && held.cover_base64.is_some() {
            version.held = Arc::new(held);
        }
        Arc::clone(&version.held)
    }

    /// One node fewer holds it.
    pub(super) fn remove(&mut self, held: &HeldTitle) {
        let Some(versions) = self.titles.get_mut(&held.entry.id) else { return };
        let Some(version) = versions.get_mut(&held.entry.hash) else { return };
        version.nodes -= 1;
        if version.nodes == 0 {
            versions.remove(&held.entry.hash);
        }
        if versions.is_empty() {
            self.titles.remove(&held.entry.id);
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&TitleId, &Arc<HeldTitle>)> {
        self.titles.iter().filter_map(|(id, versions)| Some((id, best(versions)?)))
    }

    pub(super) fn one(&self, title: &TitleId) -> Option<&Arc<HeldTitle>> {
        best(self.titles.get(title)?)
    }
}

fn best(versions: &BTreeMap<TitleHash, Version>) -> Option<&Arc<HeldTitle>> {
    let most = versions.iter().max_by(|(hash, version), (other, second)| {
        let key = |version: &'_ Version| (version.nodes, version.held.entry.version.clone());
        (key(version), hash).cmp(&(key(second), other))
    });
    most.map(|(_, version)| &version.held)
}
