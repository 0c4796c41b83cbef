//! What members of a host see: what their own machines earned, and nobody else's.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use axum::http::StatusCode;
use nearframe_matchmaker::Config;
use nearframe_protocol::NodeKey;
use nearframe_protocol::account::{Account, SignInLink};
use nearframe_protocol::api::{CreatedSession, Earnings, Page};
use nearframe_protocol::bill::{EarningsOverview, NodeUsage, SessionUsage, UsageSeries};
use nearframe_protocol::link::{FromNode, NodeOffer, ToNode};
use nearframe_protocol::receipt::{Receipt, ReceiptHash, SignedReceipt};
use serde_json::{Value, json as object};
use support::{FakeNode, Service, cookie, create_session, json, player, post_session, problem, send};

/// A receipt costs ten micro-units, of which a host gets eight.
const PRICE_MICROS: i64 = 360_000;
const RECEIPT_US: u64 = 100_000;

async fn get<T: serde::de::DeserializeOwned>(service: &Service, path: &str, cookie: &str) -> T {
    let answer = send(service, "GET", path, cookie, Value::Null).await;
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    json(answer).await
}

/// The account and the cookie of a member of it.
async fn member(service: &Service, operator: &str, kind: &str) -> (Account, String) {
    let body = object!({"kind": kind, "name": kind});
    let account: Account = json(send(service, "POST", "/v1/accounts", operator, body).await).await;
    let path = format!("/v1/accounts/{}/invitations", account.id);
    let link = send(service, "POST", &path, operator, object!({"role": "viewer"})).await;
    let link: SignInLink = json(link).await;
    let token = link.url.split_once("#join=").unwrap().1;
    let came = send(service, "POST", "/v1/sign-in", "", object!({"token": token})).await;
    (account, cookie(&came))
}

/// A node with room for one session.
async fn node(service: &Service, n: u8) -> FakeNode {
    let code = service.matchmaker.enrolment_code().await.unwrap();
    let offer = NodeOffer { name: format!("n{n}"), ..FakeNode::offer(1) };
    FakeNode::hello(service.address, NodeKey::from_seed([n; 32]), Some(code), offer, vec![]).await.unwrap()
}

/// Plays receipts of a tenth of a second each on the one node that has room.
async fn play(service: &Service, node: &mut FakeNode, receipts: u32) {
    let created: CreatedSession = json(service.ask(post_session(&create_session("meteor"))).await).await;
    let running = node.started().await;
    assert_eq!(running.session, created.session.id);
    let mut previous = ReceiptHash::ZERO;
    for sequence in 0..receipts {
        let receipt = Receipt {
            session: running.session,
            generation: running.generation,
            sequence,
            previous,
            duration_us: RECEIPT_US,
            frames: 6,
            bytes: 1,
            encoder_us: 1,
            width: 1280,
            height: 720,
            rtt_us: 0,
            packets_sent: 1,
            packets_lost: 0,
        };
        previous = receipt.hash();
        let mut signed = SignedReceipt::sign(&node.key, receipt);
        signed.player_signature = Some(player().sign(&signed.receipt.signed_bytes()));
        node.wire.say(&FromNode::Receipt { receipt: Box::new(signed) }).await;
        let answer: ToNode = node.wire.hear().await.unwrap();
        assert!(matches!(answer, ToNode::ReceiptTaken { .. }), "{answer:?}");
    }
}

#[tokio::test]
async fn members_of_a_host_see_what_their_machines_earned_and_no_others() {
    let config = Config { price_micros_per_hour: PRICE_MICROS, ..Config::default() };
    let service = Service::with(config).await;
    let operator = service.operator().await;
    let mut own = node(&service, 1).await;
    play(&service, &mut own, 3).await;
    let mut other = node(&service, 2).await;
    play(&service, &mut other, 5).await;
    let (host, member_of_host) = member(&service, &operator, "host").await;
    let (_, stranger) = member(&service, &operator, "host").await;
    let before: EarningsOverview = get(&service, "/v1/earnings", &member_of_host).await;
    assert!(before.nodes.is_empty() && before.held.is_empty(), "no machine is theirs yet");
    let owner = format!("/v1/nodes/{}/owner", own.id);
    let given = send(&service, "PUT", &owner, &operator, object!({"account": host.id})).await;
    assert_eq!(given.status(), StatusCode::NO_CONTENT);

    let span = "from_ms=0&to_ms=9000000000000";
    let all: EarningsOverview = get(&service, "/v1/earnings", &operator).await;
    assert_eq!(all.nodes.len(), 2);
    let seen: EarningsOverview = get(&service, "/v1/earnings", &member_of_host).await;
    let [row] = &seen.nodes[..] else { panic!("{seen:?}") };
    assert_eq!((row.node, row.earned.amount_micros), (own.id, 3 * 8));
    assert_eq!(seen.held.iter().map(|day| day.amount.amount_micros).sum::<i128>(), 3 * 8);
    let one: EarningsOverview =
        get(&service, &format!("/v1/earnings?node={}", own.id), &member_of_host).await;
    assert_eq!(one.nodes, seen.nodes);

    let by_node = format!("/v1/usage/nodes?{span}&earned=true");
    let rows: Page<NodeUsage> = get(&service, &by_node, &member_of_host).await;
    let [used] = &rows.items[..] else { panic!("{rows:?}") };
    assert_eq!((used.node, used.sums.receipts, used.sums.hosts.amount_micros), (own.id, 3, 3 * 8));
    assert!(!used.name.is_empty());
    let sessions: Page<SessionUsage> =
        get(&service, &format!("/v1/usage/sessions?{span}&earned=true"), &member_of_host).await;
    assert_eq!(sessions.items.len(), 1);
    let now_ms = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
    let recent = format!("from_ms={}&to_ms={}&step_s=60", now_ms - 600_000, now_ms + 60_000);
    let series: UsageSeries =
        get(&service, &format!("/v1/usage/series?{recent}&earned=true"), &member_of_host).await;
    assert_eq!(series.items.iter().map(|step| step.sums.receipts).sum::<u64>(), 3);
    let paid: Page<NodeUsage> = get(&service, &format!("/v1/usage/nodes?{span}"), &member_of_host).await;
    assert!(paid.items.is_empty(), "they pay for nothing");
    let everything: Page<NodeUsage> = get(&service, &by_node, &operator).await;
    assert_eq!(everything.items.len(), 2, "an operator sees everything either way");

    let theirs: Earnings = get(&service, &format!("/v1/nodes/{}/earnings", own.id), &member_of_host).await;
    assert_eq!(theirs.earned[0].amount_micros, 3 * 8);
    for path in [format!("/v1/earnings?node={}", other.id), format!("/v1/earnings?node={}", own.id)] {
        let refused = send(&service, "GET", &path, &stranger, Value::Null).await;
        assert_eq!(problem(refused).await, "not_yours", "{path}");
    }
    let narrowed = format!("{by_node}&node={}", other.id);
    let none: Page<NodeUsage> = get(&service, &narrowed, &member_of_host).await;
    assert!(none.items.is_empty(), "asking by name opens nothing");
    let nothing: Page<NodeUsage> = get(&service, &by_node, &stranger).await;
    assert!(nothing.items.is_empty());
    assert_eq!(problem(service.get("/v1/earnings").await).await, "sign_in_needed");
}
