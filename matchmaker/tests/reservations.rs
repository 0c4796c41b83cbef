//! A reservation from end to end, with stand-ins for nodes: they bid, the cheapest stand by, a session takes the place of
//! one, another goes and is replaced, all of it is billed, and programs of another language compute bill and auction again.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bidder;
mod support;

use axum::http::{Method, StatusCode};
use bidder::{Bidder, RESERVE, Studio, config, now_ms, states, studio, wish};
use nearframe_matchmaker::audit::audit;
use nearframe_matchmaker::store::{SqliteStore, Store};
use nearframe_protocol::NodeId;
use nearframe_protocol::api::{CreatedSession, Page, Problem};
use nearframe_protocol::market::{AuctionRecord, Reservation, ReservationState, SpendCap};
use nearframe_protocol::prices::{PriceIndex, Work};
use serde_json::{Value, json as object};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use support::{FakeNode, Service, bytes, create_session, json, problem};
use tokio::task::JoinHandle;

/// A lease counts so much more than it lasted, because clocks and the way to a machine take their time.
const SLACK_MS: u64 = 2_000;

#[tokio::test]
async fn machines_are_bidden_for_stand_by_are_played_on_replaced_and_billed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(&folder.path().join("db")).await.unwrap());
    let service = Service::with_store(config(), Arc::clone(&store) as Arc<dyn Store>).await;
    let mut nodes = vec![];
    let mut ids = vec![];
    for (n, price) in [(1, 1_000_000), (2, 1_500_000), (3, 2_000_001), (4, 9_000_000)] {
        let node = FakeNode::bidder(&service, n, 1).await;
        ids.push(node.id);
        nodes.push(Bidder::live(node, price));
    }
    let studio = studio(&service, "100").await;
    let answer = studio.send(Method::POST, "/v1/reservations", wish(2, 0, now_ms() + 24_000)).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    let wished: Reservation = json(answer).await;
    assert_eq!(
        (wished.state, wished.price_ceiling.amount_micros),
        (ReservationState::Bidding, RESERVE.into())
    );
    let during: AuctionRecord = json(service.get(&format!("/v1/auctions/{}", wished.auction)).await).await;
    assert_eq!((during.seed, during.price_micros_per_hour), (None, None), "nothing is told before the end");

    let stands = |node: NodeId| move |now: &Reservation| states(now).get(&node) == Some(&"standing");
    let booked = studio.until(wished.id, "booked", |now| now.state != ReservationState::Bidding).await;
    assert_eq!(booked.state, ReservationState::Booked);
    assert_eq!(booked.price_per_hour.unwrap().amount_micros, 2_000_001, "what the first loser asked");
    assert!(booked.held.amount_micros < wished.held.amount_micros, "no more is held than it costs");
    for node in &ids[..2] {
        studio.until(wished.id, "standing", stands(*node)).await;
    }
    let paid = studio.until(wished.id, "paid", |now| now.paid.amount_micros > 0).await;
    assert_eq!(paid.standing, 2);

    // Whoever did not reserve gets the machines that are left, and none of these.
    for node in &ids[2..] {
        let stranger = service.created("meteor").await;
        assert_ne!(stranger.session.node, ids[0]);
        assert!(ids[2..].contains(&stranger.session.node), "{node}");
        if stranger.session.node == ids[2] {
            let leave = format!("/v1/sessions/{}", stranger.session.id);
            studio.operate("DELETE", &leave, Value::Null).await;
            break;
        }
    }
    let session = serde_json::to_value(create_session("meteor")).unwrap();
    let created: CreatedSession = json(studio.send(Method::POST, "/v1/sessions", session).await).await;
    assert_eq!(created.session.node, ids[0], "the first that stands by");
    let playing = studio.reservation(wished.id).await;
    assert_eq!((states(&playing)[&ids[0]], states(&playing)[&ids[1]]), ("playing", "standing"));
    tokio::time::sleep(Duration::from_secs(2)).await;
    studio.send(Method::DELETE, &format!("/v1/sessions/{}", created.session.id), Value::Null).await;
    studio.until(wished.id, "standing again", stands(ids[0])).await;

    nodes[1].abort();
    let replaced = studio.until(wished.id, "replaced", stands(ids[2])).await;
    assert_eq!(states(&replaced)[&ids[1]], "gone");

    studio.until(wished.id, "over", |now| now.state == ReservationState::Over).await;
    // The last receipts are on their way.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let over = studio.reservation(wished.id).await;
    assert_eq!(over.held.amount_micros, 0);
    check(&studio, &over, folder.path()).await;
    let audited = audit(&*store).await.unwrap();
    assert!(audited.leases >= 5, "{audited:?}");
    nodes.iter().for_each(JoinHandle::abort);
}

/// What was billed and how the auction came out, computed again by programs of another language.
async fn check(studio: &Studio<'_>, over: &Reservation, folder: &Path) {
    let save = |name: &str, text: &str| {
        std::fs::write(folder.join(name), text).unwrap();
        folder.join(name).to_str().unwrap().to_owned()
    };
    let days = now_ms() / 86_400_000;
    let (year, month, _) = nearframe_ledger::settlement::Epoch(days as u32).date();
    let statement = format!("/v1/statements/meteor/{year:04}-{month:02}");
    let statement = bytes(studio.send(Method::GET, &statement, Value::Null).await).await;
    let statement = String::from_utf8(statement).unwrap();
    let stood: i128 = statement
        .lines()
        .filter(|line| line.contains(",reserve,"))
        .map(|line| line.split(',').nth(15).unwrap().parse::<i128>().unwrap())
        .sum();
    assert_eq!(stood, over.paid.amount_micros);
    assert!(statement.contains(",interactive,"), "{statement}");
    let card = String::from_utf8(bytes(studio.service.get("/v1/prices").await).await).unwrap();
    let auction = bytes(studio.service.get(&format!("/v1/auctions/{}", over.auction)).await).await;
    let auction = String::from_utf8(auction).unwrap();
    let record: AuctionRecord = serde_json::from_str(&auction).unwrap();
    assert_eq!((record.winners.len(), record.next.len(), record.bids.len()), (2, 1, 4));
    let (statement, card) =
        (save("statement.csv", &statement), format!("--card={}", save("card.json", &card)));
    let file = save("auction.json", &auction);
    let said = run("recompute-bill.py", &[&statement, &card, &format!("--auction={file}")]).unwrap();
    assert!(said.contains("every price follows"), "{said}");
    let said = run("recompute-auction.py", &[&file]).unwrap();
    assert!(said.contains("4 bids are right: 2 machines at 2000001"), "{said}");
    for (from, to) in [
        ("\"price_micros_per_hour\":2000001".to_owned(), "\"price_micros_per_hour\":1900000".to_owned()),
        (format!("\"winners\":[\"{}\"", record.winners[0]), format!("\"winners\":[\"{}\"", record.next[0])),
        (format!("\"seed\":\"{}", record.seed.unwrap()), format!("\"seed\":\"{}", "0".repeat(64))),
        (record.bids[0].nonce.unwrap().to_string(), "0".repeat(64)),
    ] {
        assert!(auction.contains(&from), "{from}");
        let file = save("changed.json", &auction.replace(&from, &to));
        run("recompute-auction.py", &[&file]).unwrap_err();
    }
    let index: PriceIndex = json(studio.service.get("/v1/prices/index").await).await;
    let reserve = index.prices.iter().find(|price| price.work == Work::Reserve).unwrap();
    let price = reserve.price_per_hour.amount_micros;
    assert!((1_990_000..=2_000_001).contains(&price), "{price}");
    assert_eq!(reserve.listed_per_hour.amount_micros, i128::from(RESERVE));
}

fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let path = format!("{}/../scripts/{program}", env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("python3").arg(path).args(arguments).output().expect("python3 is installed");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[tokio::test]
async fn a_machine_that_is_busy_when_the_time_begins_is_missing_is_not_paid_for_and_comes_once_it_is_free() {
    let service = Service::with(config()).await;
    let node = FakeNode::bidder(&service, 1, 1).await;
    let id = node.id;
    let node = Bidder::live(node, 1_000_000);
    let studio = studio(&service, "100").await;
    let stranger = service.created("meteor").await;
    let wished = wish(1, 0, now_ms() + 20_000);
    let wished: Reservation = json(studio.send(Method::POST, "/v1/reservations", wished).await).await;
    let short = studio.until(wished.id, "short", |now| now.short_ms > 2 * SLACK_MS).await;
    assert_eq!(short.state, ReservationState::Booked);
    assert_eq!((states(&short)[&id], short.standing, short.paid.amount_micros), ("waiting", 0, 0));
    studio.operate("DELETE", &format!("/v1/sessions/{}", stranger.session.id), Value::Null).await;
    let comes = studio.until(wished.id, "there", |now| now.standing == 1).await;
    assert_eq!(states(&comes)[&id], "standing");
    let over = studio.until(wished.id, "over", |now| now.state == ReservationState::Over).await;
    assert!(over.short_ms >= comes.short_ms && over.short_ms < over.until_ms - over.from_ms, "{over:?}");
    let price = over.price_per_hour.unwrap().amount_micros;
    let kept_ms = over.until_ms - over.from_ms - over.short_ms;
    let most = price * i128::from(kept_ms + SLACK_MS) / 3_600_000 + 1;
    let paid = studio.until(wished.id, "paid", |now| now.paid.amount_micros * 2 > most).await;
    assert!(paid.paid.amount_micros <= most, "{paid:?}: what was missing is paid");
    node.abort();
}

#[tokio::test]
async fn what_cannot_be_reserved_is_told_and_what_is_not_paid_for_is_offered() {
    let service = Service::with(config()).await;
    let studio = studio(&service, "5").await;
    let hour = |hours: u64| now_ms() + hours * 3_600_000;
    let refused =
        async |body: Value| problem(studio.send(Method::POST, "/v1/reservations", body).await).await;
    let base = || wish(1, hour(1), hour(2));
    let with = |name: &str, value: Value| {
        let mut body = base();
        body[name] = value;
        body
    };
    for (name, value) in [
        ("machines", object!(0)),
        ("machines", object!(101)),
        ("gpu_tier", object!(8)),
        ("region", object!("Germany")),
        ("until_ms", object!(hour(1))),
        ("until_ms", object!(hour(24 * 40))),
        ("from_ms", object!(hour(24 * 100))),
        ("price_ceiling", object!({"amount": "-1", "currency": "EUR"})),
        ("price_ceiling", object!({"amount": "1", "currency": "USD"})),
        ("account", object!("6f1c1e1e-0b7a-4a51-9a61-2f5a3c0e9b11")),
        ("unheard_of", object!(1)),
    ] {
        assert_eq!(refused(with(name, value.clone())).await, "bad_body", "{name} = {value}");
    }
    assert_eq!(refused(with("quote", object!("x.y"))).await, "bad_quote");

    let answer = studio.send(Method::POST, "/v1/reservations", wish(2, hour(1), hour(2))).await;
    assert_eq!(answer.status(), StatusCode::PAYMENT_REQUIRED);
    let said: Problem = json(answer).await;
    let offer = said.offer.unwrap();
    assert_eq!((said.code.as_str(), offer.left.amount_micros), ("budget_used_up", 5_000_000));
    assert!(offer.needed.amount_micros >= 2 * i128::from(RESERVE));

    let answer = studio.send(Method::POST, "/v1/reservations", base()).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    let made: Reservation = json(answer).await;
    let path = format!("/v1/reservations/{}", made.id);
    let failed = studio.until(made.id, "failed", |now| now.state == ReservationState::Failed).await;
    assert_eq!(failed.held.amount_micros, 0, "nobody bid");
    let again: Reservation = json(studio.send(Method::DELETE, &path, Value::Null).await).await;
    assert_eq!(again.state, ReservationState::Failed, "there is nothing to cancel");
    let second: Reservation = json(studio.send(Method::POST, "/v1/reservations", base()).await).await;
    let path = format!("/v1/reservations/{}", second.id);
    let gone: Reservation = json(studio.send(Method::DELETE, &path, Value::Null).await).await;
    assert_eq!((gone.state, gone.held.amount_micros), (ReservationState::Cancelled, 0));
    let all: Page<Reservation> = json(studio.send(Method::GET, "/v1/reservations", Value::Null).await).await;
    assert_eq!(all.items.iter().map(|row| row.id).collect::<Vec<_>>(), [second.id, made.id]);

    let nobody = "/v1/reservations/6f1c1e1e-0b7a-4a51-9a61-2f5a3c0e9b11";
    let unknown = studio.send(Method::GET, nobody, Value::Null).await;
    assert_eq!(problem(unknown).await, "unknown_reservation");
    let unknown = service.get("/v1/auctions/6f1c1e1e-0b7a-4a51-9a61-2f5a3c0e9b11").await;
    assert_eq!(problem(unknown).await, "unknown_auction");
    let by_operator = studio.operate("POST", "/v1/reservations", base()).await;
    assert_eq!(problem(by_operator).await, "bad_body", "an operator says who pays");
    let mut named = base();
    named["account"] = object!(studio.account.id);
    assert_eq!(studio.operate("POST", "/v1/reservations", named).await.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn a_studio_limits_what_each_of_its_players_spends_in_a_month() {
    let service = Service::with(config()).await;
    let _node = FakeNode::enrol(&service, 9).await;
    let studio = studio(&service, "1000").await;
    let cap = object!({"per_month": {"amount": "15", "currency": "EUR"}});
    let path = "/v1/titles/meteor/player-cap";
    let set: SpendCap = json(studio.operate("PUT", path, cap.clone()).await).await;
    assert_eq!(set.per_month.unwrap().amount_micros, 15_000_000);
    let ask = async |player: Option<&str>| {
        let mut body = serde_json::to_value(create_session("meteor")).unwrap();
        if let Some(player) = player {
            body["player"] = object!(player);
        }
        studio.send(Method::POST, "/v1/sessions", body).await
    };
    for _ in 0..2 {
        assert_eq!(ask(Some("anna")).await.status(), StatusCode::CREATED);
    }
    let third = ask(Some("anna")).await;
    assert_eq!(third.status(), StatusCode::PAYMENT_REQUIRED);
    assert_eq!(problem(third).await, "player_cap_reached");
    assert_eq!(ask(Some("bert")).await.status(), StatusCode::CREATED, "another player");
    assert_eq!(problem(ask(Some("")).await).await, "bad_body");
    let mut guest = serde_json::to_value(create_session("meteor")).unwrap();
    guest["player"] = object!("anna");
    let guest = service.ask(support::post("/v1/sessions", &guest)).await;
    assert_eq!(problem(guest).await, "bad_body", "a guest names nobody");

    let own = format!("/v1/accounts/{}/cap", studio.account.id);
    let none: SpendCap = json(studio.operate("GET", &own, Value::Null).await).await;
    assert_eq!(none.per_month, None);
    studio.operate("PUT", &own, cap).await;
    assert_eq!(problem(ask(Some("carl")).await).await, "player_cap_reached", "three hours are 21.6");
    for wrong in [object!({"per_month": {"amount": "-1", "currency": "EUR"}}), object!({"limit": 1})] {
        assert_eq!(problem(studio.operate("PUT", &own, wrong).await).await, "bad_body");
    }
    studio.operate("PUT", &own, object!({})).await;
    assert_eq!(ask(Some("carl")).await.status(), StatusCode::CREATED);
}
