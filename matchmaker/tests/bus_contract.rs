//! What every bus does, whichever it is, between two replicas.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod nats;

use nearframe_matchmaker::bus::network::{Faults, Nats, Simulated, SimulatedNetwork};
use nearframe_matchmaker::bus::words::{Answer, HeldSlots, Question, ReplicaId, Said, Word};
use nearframe_matchmaker::bus::{
    Bus, BusError, Heard, InProcess, MAX_PAGES, NODE_QUEUE, NodeCommands, PAGE_QUEUE, Replicated,
    SessionEvent,
};
use nearframe_protocol::link::ToNode;
use nearframe_protocol::signal::ToPage;
use nearframe_protocol::{EndReason, Generation, NodeId, NodeKey, SessionId, TitleHash, TitleId};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Nothing on loopback takes this long.
const LONG: Duration = Duration::from_secs(20);

fn node() -> NodeId {
    NodeId::from_random([1; 16])
}
fn session(n: u8) -> SessionId {
    SessionId::from_random([n; 16])
}
fn stop(n: u8) -> ToNode {
    ToNode::Stop { session: session(n), reason: EndReason::PlayerLeft, limit: None }
}
fn start(n: u8) -> ToNode {
    ToNode::Start {
        session: session(n),
        generation: Generation(0),
        title: TitleId::new("meteor").unwrap(),
        hash: TitleHash::from_bytes([1; 32]),
        player_key: NodeKey::from_seed([1; 32]).public(),
        ice_servers: vec![],
        save: None,
        challenge: None,
    }
}
fn event(code: &str) -> SessionEvent {
    SessionEvent::All(ToPage::Error { code: code.into(), message: String::new() })
}
fn replica(n: u8) -> ReplicaId {
    ReplicaId::from_random([n; 8])
}

async fn next(commands: &mut Box<dyn NodeCommands>) -> Option<ToNode> {
    timeout(LONG, commands.next()).await.expect("a command comes")
}

async fn a_node_is_reached_from_every_replica_and_one_that_is_nowhere_from_none(
    one: &dyn Bus,
    other: &dyn Bus,
) {
    assert_eq!(one.command(node(), stop(1)).await, Err(BusError::Unreachable));
    let mut link = one.attach_node(node(), 1).await;
    one.command(node(), stop(1)).await.unwrap();
    other.command(node(), stop(2)).await.unwrap();
    assert_eq!(next(&mut link).await, Some(stop(1)));
    assert_eq!(next(&mut link).await, Some(stop(2)));
    one.forget_node(node(), 1).await;
    assert_eq!(next(&mut link).await, None);
    // Whoever stops listening takes a moment to be known to.
    let forgotten = async { while other.command(node(), stop(3)).await != Err(BusError::Unreachable) {} };
    timeout(LONG, forgotten).await.unwrap();
}

async fn commands_wait_for_a_link_that_comes_back_elsewhere_and_the_older_link_stops(
    one: &dyn Bus,
    other: &dyn Bus,
) {
    let mut older = one.attach_node(node(), 1).await;
    one.command(node(), stop(1)).await.unwrap();
    other.command(node(), stop(2)).await.unwrap();
    assert_eq!(next(&mut older).await, Some(stop(1)));
    let mut newer = other.attach_node(node(), 2).await;
    assert_eq!(next(&mut newer).await, Some(stop(2)), "what waited is handed over");
    assert_eq!(next(&mut older).await, None);
    one.command(node(), stop(3)).await.unwrap();
    assert_eq!(next(&mut newer).await, Some(stop(3)));
    let mut late = other.attach_node(node(), 1).await;
    assert_eq!(next(&mut late).await, None, "an older link that comes late reads nothing");
    one.forget_node(node(), 1).await;
    other.command(node(), stop(4)).await.unwrap();
    assert_eq!(next(&mut newer).await, Some(stop(4)), "the loss of an older link is no news");
}

async fn a_start_is_given_once_to_a_link_and_again_to_the_next(one: &dyn Bus, other: &dyn Bus) {
    let mut link = one.attach_node(node(), 1).await;
    for bus in [one, other, one] {
        bus.command(node(), start(1)).await.unwrap();
    }
    other.command(node(), stop(1)).await.unwrap();
    assert!(link.has_start(session(1)) && !link.has_start(session(2)));
    assert_eq!(next(&mut link).await, Some(start(1)));
    assert_eq!(next(&mut link).await, Some(stop(1)));
    let mut newer = other.attach_node(node(), 2).await;
    assert_eq!(next(&mut link).await, None);
    one.command(node(), start(1)).await.unwrap();
    assert_eq!(next(&mut newer).await, Some(start(1)), "who knows whether the older link passed it on");
}

async fn a_node_that_does_not_read_fills_its_queue_and_no_more(one: &dyn Bus, other: &dyn Bus) {
    let _link = one.attach_node(node(), 1).await;
    for _ in 0..NODE_QUEUE {
        one.command(node(), stop(1)).await.unwrap();
    }
    assert_eq!(one.command(node(), stop(1)).await, Err(BusError::Full));
    assert_eq!(other.command(node(), stop(1)).await, Err(BusError::Full));
}

async fn pages_of_all_replicas_are_told_once_and_are_bounded_and_a_slow_one_is_cut_off(
    one: &dyn Bus,
    other: &dyn Bus,
) {
    let mut pages = Vec::new();
    for _ in 0..MAX_PAGES {
        pages.push(one.subscribe(session(1)).await.unwrap());
    }
    assert_eq!(one.subscribe(session(1)).await.err(), Some(BusError::TooManyPages));
    for (bus, word) in [(one, "a"), (other, "b"), (one, "c")] {
        bus.publish(session(1), event(word)).await;
        assert_eq!(timeout(LONG, pages[0].next()).await.unwrap(), Some(event(word)));
    }
    for _ in 0..=PAGE_QUEUE {
        one.publish(session(1), event("d")).await;
    }
    assert_eq!(timeout(LONG, pages[1].next()).await.unwrap(), None);
    pages.clear();
    let mut page = one.subscribe(session(1)).await.unwrap();
    other.publish(session(1), event("e")).await;
    assert_eq!(timeout(LONG, page.next()).await.unwrap(), Some(event("e")), "a session is listened to anew");
}

async fn what_a_replica_says_is_heard_by_all(one: &dyn Bus, other: &dyn Bus) {
    let mut heard = other.announcements().await.unwrap();
    let slots = HeldSlots { node: node(), held: 3, change: 9 };
    for number in 1..=3 {
        one.announce(Said { replica: replica(1), number, word: Word::Held(vec![slots]) }).await;
    }
    for number in 1..=3 {
        let said = Said { replica: replica(1), number, word: Word::Held(vec![slots]) };
        assert_eq!(timeout(LONG, heard.next()).await.unwrap(), Some(Heard::Said(Box::new(said))));
    }
}

async fn a_question_is_answered_by_whom_it_is_for(one: &dyn Bus, other: &dyn Bus) {
    let question = || Question::Cover { title: TitleId::new("meteor").unwrap() };
    assert_eq!(one.ask(replica(2), question()).await, Err(BusError::Unreachable));
    let mut questions = other.questions(replica(2)).await.unwrap();
    let answering = async {
        let asked = questions.next().await.unwrap();
        assert_eq!(asked.question, question());
        asked.answer(Answer::Cover(Some("picture".into())));
    };
    let (answer, ()) = tokio::join!(one.ask(replica(2), question()), answering);
    assert_eq!(answer, Ok(Answer::Cover(Some("picture".into()))));
}

async fn simulated(network: &SimulatedNetwork) -> (Arc<Simulated>, Replicated) {
    let end = Arc::new(network.end());
    (Arc::clone(&end), Replicated::open(end).await.unwrap())
}

async fn over_nats(url: &str) -> Replicated {
    Replicated::open(Arc::new(Nats::connect(url).await.unwrap())).await.unwrap()
}

macro_rules! contract {
    ($($case:ident)*) => {
        mod in_process {
            use super::*;
            $(#[tokio::test] async fn $case() {
                let bus = InProcess::new();
                timeout(LONG * 3, super::$case(&bus, &bus)).await.unwrap();
            })*
        }
        mod in_a_simulated_network {
            use super::*;
            $(#[tokio::test(start_paused = true)] async fn $case() {
                let network = SimulatedNetwork::new(1);
                let ((_, one), (_, other)) = (simulated(&network).await, simulated(&network).await);
                super::$case(&one, &other).await;
            })*
        }
        /// One server for all of them, a fresh one for each.
        mod over_nats {
            use super::*;
            $(#[tokio::test] async fn $case() {
                let server = nats::Server::start();
                let (one, other) = (over_nats(&server.url()).await, over_nats(&server.url()).await);
                timeout(LONG * 3, super::$case(&one, &other)).await.unwrap();
            })*
        }
    };
}

contract! {
    a_node_is_reached_from_every_replica_and_one_that_is_nowhere_from_none
    commands_wait_for_a_link_that_comes_back_elsewhere_and_the_older_link_stops
    a_start_is_given_once_to_a_link_and_again_to_the_next
    a_node_that_does_not_read_fills_its_queue_and_no_more
    pages_of_all_replicas_are_told_once_and_are_bounded_and_a_slow_one_is_cut_off
    what_a_replica_says_is_heard_by_all
    a_question_is_answered_by_whom_it_is_for
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_is_cut_off_serves_its_own_nodes_and_pages_and_says_what_it_missed() {
    let network = SimulatedNetwork::new(1);
    let ((end, one), (_, other)) = (simulated(&network).await, simulated(&network).await);
    let mut link = one.attach_node(node(), 1).await;
    let mut page = one.subscribe(session(1)).await.unwrap();
    let mut heard = one.announcements().await.unwrap();
    end.set_cut(true);
    one.command(node(), stop(1)).await.unwrap();
    assert_eq!(next(&mut link).await, Some(stop(1)));
    one.publish(session(1), event("a")).await;
    assert_eq!(page.next().await, Some(event("a")));
    assert_eq!(other.command(node(), stop(2)).await, Err(BusError::Unreachable));
    end.set_cut(false);
    assert_eq!(heard.next().await, Some(Heard::Gap));
    assert_eq!(page.next().await, None, "it may have missed something");
}

#[tokio::test(start_paused = true)]
async fn what_comes_twice_and_in_another_order_is_given_to_a_node_once() {
    for seed in 0..50 {
        let network = SimulatedNetwork::new(seed);
        let ((_, one), (_, other)) = (simulated(&network).await, simulated(&network).await);
        let mut link = one.attach_node(node(), 1).await;
        network.set_faults(Faults {
            lost_permille: 0,
            twice_permille: 500,
            delay: Duration::from_millis(100),
        });
        for n in 1..=10 {
            other.command(node(), stop(n)).await.unwrap();
        }
        for n in 1..=10 {
            assert_eq!(next(&mut link).await, Some(stop(n)), "seed {seed}");
        }
        assert!(timeout(LONG, link.next()).await.is_err(), "seed {seed}");
    }
}

#[tokio::test]
async fn a_server_that_is_killed_and_comes_back_is_used_again() {
    let mut server = nats::Server::start();
    let (one, other) = (over_nats(&server.url()).await, over_nats(&server.url()).await);
    let mut link = one.attach_node(node(), 1).await;
    let mut heard = one.announcements().await.unwrap();
    server.kill();
    one.command(node(), stop(1)).await.unwrap();
    assert_eq!(next(&mut link).await, Some(stop(1)), "what is here needs no server");
    assert_eq!(other.command(node(), stop(2)).await, Err(BusError::Silent));
    server.restart();
    assert_eq!(timeout(LONG, heard.next()).await.unwrap(), Some(Heard::Gap));
    let reached = async {
        while other.command(node(), stop(3)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(LONG, reached).await.unwrap();
    assert_eq!(next(&mut link).await, Some(stop(3)));
}
