//! Many matchmakers as one: who lives, who leases in which region, what the others' nodes offer.
//!
//! Each replica counts up in the database ([`Store::beat`](crate::store::Store::beat)) and watches the others count;
//! no clock of another machine is ever compared. What replicas tell each other over the bus makes them quick, never
//! right: who may lease, whose link is the newest and which slots are free is decided in the database.
//!
//! **Architecture invariant:** a session ends for the loss of its node only after the database agreed that the
//! node's newest link is lost ([`Store::close_link`](crate::store::Store::close_link)), so that a replica that is
//! cut off, stopped or late ends nothing.

mod beat;
mod clock;
mod listen;
mod lost;
mod owner;
mod view;

pub(crate) use beat::{beat, join, leave};
pub(crate) use clock::Clock;
pub(crate) use listen::{answer_questions, listen};
pub(crate) use lost::{lost_nodes, stranded, unserved, waiting};
pub(crate) use owner::commit;
pub(crate) use view::Cluster;

use crate::bus::words::{HeldSlots, NodeWord, Said, Word};
use crate::state::Shared;
use nearframe_placement::{Member, Stage};
use nearframe_protocol::NodeId;
use nearframe_protocol::link::NodeOffer;
use std::time::Duration;

/// A replica counts up this often.
pub(crate) const BEAT: Duration = Duration::from_millis(500);
/// A replica that did not count up for this long, while it was watched, is dead. With [`BEAT`], the time for its
/// regions to be taken over stays below 5 s.
pub(crate) const DEAD: Duration = Duration::from_secs(3);
/// A watcher that could not read for this long has watched nobody meanwhile.
pub(crate) const BLIND: Duration = Duration::from_millis(1500);
/// Who is not heard on the bus for this long is out of reach.
pub(crate) const OUT_OF_REACH: Duration = Duration::from_secs(3);

/// Tells the other replicas.
pub(crate) async fn say(shared: &Shared, word: Word) {
    let (replica, number) = shared.cluster.next_word();
    shared.bus.announce(Said { replica, number, word }).await;
}

/// Tells the other replicas how far the link of a node has come.
pub(crate) async fn say_stage(shared: &Shared, node: NodeId, link: u64, stage: Stage) {
    say(shared, Word::Nodes(vec![NodeWord { node, link, stage, offer: None, reflector: None }])).await;
}

/// Tells the other replicas of a node that is linked here.
pub(crate) async fn say_node(shared: &Shared, node: NodeId) {
    let word = shared.fleet().member(node).map(|member| node_word(node, member));
    if let Some(word) = word {
        say(shared, Word::Nodes(vec![word])).await;
    }
}

/// Takes in how many slots of a node leases hold, and tells the others.
pub(crate) async fn say_held(shared: &Shared, slots: HeldSlots) {
    shared.fleet().set_held(slots.node, slots.held, slots.change);
    say(shared, Word::Held(vec![slots])).await;
}

/// A node as the others are told of it: pictures are fetched when they are asked for.
fn node_word(node: NodeId, member: &Member) -> NodeWord {
    let offer = member.offer.as_ref().map(|offer| {
        let titles = member.titles.iter().map(|held| {
            let mut held = nearframe_protocol::link::HeldTitle::clone(held);
            held.cover_base64 = None;
            held
        });
        Box::new(NodeOffer { titles: titles.collect(), ..offer.clone() })
    });
    let reflector = member.reflector().cloned().map(Box::new);
    NodeWord { node, link: member.link(), stage: member.stage, offer, reflector }
}

/// Reads which slots leases hold.
pub(crate) async fn read_held(shared: &Shared) -> Result<(), crate::store::StoreError> {
    let held = shared.store.held().await?;
    let mut fleet = shared.fleet();
    held.iter().for_each(|slots| fleet.set_held(slots.node, slots.held, slots.change));
    Ok(())
}
