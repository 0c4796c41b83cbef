//! What a player may expect before anything is started.

use super::Asker;
use crate::state::Shared;
use nearframe_placement::Request;
use nearframe_placement::index::Found;
use nearframe_protocol::TitleId;
use nearframe_protocol::link::HeldTitle;
use nearframe_protocol::measure::{ExpectedQuality, KnownBy, Outlook, Picture, TitleOutlook};
use std::sync::Arc;

/// Title by title.
pub(crate) fn of(shared: &Shared, asker: &Asker) -> Outlook {
    let titles: Vec<(TitleId, Arc<HeldTitle>)> =
        shared.fleet().titles().map(|(id, held)| (id.clone(), Arc::clone(held))).collect();
    let regions = shared.fleet().regions();
    let shut = shared.placing.rules().shut_regions(&regions, shared.now_ms());
    let titles = titles.iter().map(|(id, held)| title(shared, asker, id, held, &shut)).collect();
    Outlook { titles }
}

fn title(shared: &Shared, asker: &Asker, id: &TitleId, held: &HeldTitle, shut: &[String]) -> TitleOutlook {
    let request = shared.placing.rules().request(Request::play(id.clone(), held.entry.hash));
    let request = Request { shut: shut.to_vec(), ..request };
    let entry = &held.entry;
    let picture = Picture { width: entry.width, height: entry.height, fps: entry.fps };
    let unknown = TitleOutlook {
        title: id.clone(),
        rtt_ms: None,
        known_by: KnownBy::Nothing,
        region: String::new(),
        picture: Some(picture),
        quality: ExpectedQuality::Unknown,
        wait: None,
        refused: Vec::new(),
        cost: None,
    };
    let wait = shared.placing.waiting.would_wait(shared, &request);
    let decided = shared.fleet().decide_measured(&request, &asker.client, &asker.measured, 0);
    match decided {
        Ok(explanation) => match explanation.chosen {
            Some(found) => TitleOutlook { wait, ..expected(shared, asker, &found, unknown) },
            None => unknown,
        },
        Err(no) => TitleOutlook {
            wait: shared.placing.waiting.wait_if_joined(shared, &request),
            refused: crate::placements::refused(&no),
            ..unknown
        },
    }
}

fn expected(shared: &Shared, asker: &Asker, found: &Found, unknown: TitleOutlook) -> TitleOutlook {
    let fleet = shared.fleet();
    let region = fleet.region_of(found.node).to_owned();
    let known_by = if asker.measured.iter().any(|(node, _)| fleet.are_neighbours(*node, found.node)) {
        KnownBy::Measured
    } else if fleet.remembers(&asker.client, found.node) {
        KnownBy::History
    } else if asker.client.place.is_some() && fleet.place_of(found.node).is_some() {
        KnownBy::Distance
    } else {
        KnownBy::Nothing
    };
    let rtt_ms = (known_by != KnownBy::Nothing).then(|| f64::from(found.rtt_us) / 1000.0);
    TitleOutlook {
        rtt_ms,
        known_by,
        region,
        quality: rtt_ms.map_or(ExpectedQuality::Unknown, ExpectedQuality::of_rtt_ms),
        cost: Some(crate::placements::cost(&found.terms)),
        ..unknown
    }
}
