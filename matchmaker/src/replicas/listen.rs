//! What other replicas say and ask.

use super::owner::write;
use super::{node_word, read_held};
use crate::bus::words::{Answer, NodeWord, Question, ReplicaId, Said, Word};
use crate::bus::{Asked, BusError, Heard};
use crate::sessions;
use crate::state::Shared;
use crate::store::Created;
use nearframe_protocol::NodeId;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Nodes in one answer; with a hundred titles each it stays below a message's 1 MiB.
const NODES_AT_ONCE: usize = 16;
/// Bytes of one answer: half of what NATS carries by default.
const BYTES_AT_ONCE: usize = 512 * 1024;
/// Answers to one question about all nodes, after which something is wrong.
const MOST_ANSWERS: usize = 100_000;
/// Questions answered at once: as many as the database takes transactions.
const AT_ONCE: usize = 32;
/// Pause after a bus that could not be listened to.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// Listens to other replicas until the service closes.
pub(crate) async fn listen(shared: Arc<Shared>) {
    loop {
        tokio::select! {
            () = listen_once(&shared) => tokio::time::sleep(AGAIN_AFTER).await,
            () = shared.closed() => return,
        }
    }
}

async fn listen_once(shared: &Arc<Shared>) {
    let Ok(mut announcements) = shared.bus.announcements().await else { return };
    shared.cluster.forget_numbers();
    while let Some(heard) = announcements.next().await {
        match heard {
            Heard::Said(said) if said.replica == shared.cluster.me => {}
            Heard::Said(said) => take_in(shared, *said).await,
            Heard::Gap => {
                shared.cluster.forget_numbers();
                // A store that is away is asked again with the next word.
                let _ = read_held(shared).await;
            }
        }
    }
}

async fn take_in(shared: &Arc<Shared>, Said { replica, number, word }: Said) {
    let missed = shared.cluster.heard(replica, number, Instant::now());
    match word {
        Word::Here { store } => shared.cluster.heard_of_store(replica, store),
        Word::Nodes(nodes) => tell(shared, replica, nodes).await,
        Word::Held(held) => {
            let mut fleet = shared.fleet();
            held.iter().for_each(|slots| fleet.set_held(slots.node, slots.held, slots.change));
        }
        Word::Line(places) => shared.placing.waiting.heard(shared, places),
    }
    if missed && shared.cluster.begin_asking(replica) {
        let shared = Arc::clone(shared);
        tokio::spawn(async move {
            let number = ask_for_nodes(&shared, replica).await;
            shared.cluster.end_asking(replica, number.ok());
        });
    }
}

/// Takes in what a replica says about its nodes; a node that was linked here and is there now is let go.
async fn tell(shared: &Shared, replica: ReplicaId, nodes: Vec<NodeWord>) {
    for NodeWord { node, link, stage, offer, reflector } in nodes {
        let news = shared.fleet().tell(node, link, stage, offer.map(|offer| *offer), replica.home());
        if let Some(reflector) = reflector {
            shared.fleet().set_reflector(node, link, *reflector);
        }
        if news {
            shared.bus.forget_node(node, link.saturating_sub(1)).await;
        }
        if shared.fleet().titles().next().is_some() {
            shared.ready.send_replace(true);
        }
    }
}

/// Asks a replica for all its nodes; gives the number of its announcements that this covers.
async fn ask_for_nodes(shared: &Shared, replica: ReplicaId) -> Result<u64, BusError> {
    let moment = shared.fleet().moment();
    let (mut after, mut covered) = (None, None);
    for _ in 0..MOST_ANSWERS {
        let Answer::Nodes { nodes, number } = shared.bus.ask(replica, Question::Nodes { after }).await?
        else {
            return Err(BusError::Unreachable);
        };
        covered = covered.or(Some(number));
        let Some(last) = nodes.last() else {
            shared.fleet().forget_untold(replica.raw(), moment);
            // Leases that were heard of by nobody; a store that is away is asked again with the next gap.
            let _ = read_held(shared).await;
            return covered.ok_or(BusError::Unreachable);
        };
        after = Some(last.node);
        tell(shared, replica, nodes).await;
    }
    Err(BusError::Full)
}

/// Answers other replicas until the service closes.
pub(crate) async fn answer_questions(shared: Arc<Shared>) {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let Ok(mut questions) = shared.bus.questions(shared.cluster.me).await else {
            tokio::select! {
                () = tokio::time::sleep(AGAIN_AFTER) => continue,
                () = shared.closed() => return,
            }
        };
        loop {
            let asked = tokio::select! {
                asked = questions.next() => asked,
                () = shared.closed() => return,
            };
            let Some(asked) = asked else { break };
            // The semaphore is never closed.
            let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                answer(&shared, asked).await;
                drop(place);
            });
        }
    }
}

async fn answer(shared: &Shared, asked: Asked) {
    let answer = match &asked.question {
        Question::Nodes { after } => nodes_here(shared, *after),
        Question::Cover { title } => {
            Answer::Cover(shared.fleet().title(title).and_then(|held| held.cover_base64.clone()))
        }
        Question::Reasons { session } => Answer::Reasons(shared.placements.of(*session).map(Box::new)),
        Question::Gather { group, asked, member } => {
            Answer::Gathered(Box::pin(sessions::gather(shared, group, asked, (**member).clone())).await)
        }
        Question::Place { new, region } => match write(shared, new, region).await {
            Ok(Created::Fenced) => Answer::NotMine,
            Ok(created) => Answer::Placed(Box::new(created)),
            Err(error) => {
                tracing::error!(%error, "a lease for another replica failed");
                Answer::Failed
            }
        },
    };
    asked.answer(answer);
}

fn nodes_here(shared: &Shared, after: Option<NodeId>) -> Answer {
    let number = shared.cluster.last_word();
    let fleet = shared.fleet();
    let mut bytes = 0;
    let mut nodes = Vec::new();
    for (node, member) in fleet.linked_here(after).take(NODES_AT_ONCE) {
        bytes += member.titles.iter().map(|held| 1024 + held.entry.description.len()).sum::<usize>();
        if !nodes.is_empty() && bytes > BYTES_AT_ONCE {
            break;
        }
        nodes.push(node_word(node, member));
    }
    Answer::Nodes { nodes, number }
}
