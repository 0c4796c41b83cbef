//! Rate cards at the doors: who sets prices, what leases and quotes take from them, and bills that follow.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use nearframe_ledger::rates::Rate;
use nearframe_matchmaker::audit::audit;
use nearframe_matchmaker::{Config, open_record};
use nearframe_protocol::api::{CreateSession, CreatedSession, Page, Quote};
use nearframe_protocol::bill::{
    EarningsOverview, HeldWhy, NodeUsage, SessionBill, SessionUsage, TitleUsage, UsageSeries,
};
use nearframe_protocol::link::{FromNode, NodeOffer, RunningSession, ToNode};
use nearframe_protocol::prices::{Basis, PriceIndex, Prices, Work};
use nearframe_protocol::receipt::{Receipt, ReceiptHash, SignedReceipt};
use nearframe_protocol::terms::NodeTerms;
use nearframe_protocol::{Currency, Money, NodeKey};
use serde::Serialize;
use std::process::Command;
use support::{FakeNode, Service, bytes, create_session, json, player, post_session, problem};

const BASE: i64 = 360_000_000;
/// The billed time of [`play`], in µs.
const PLAYED_US: i128 = 5 * 299_993;

/// Dearer in Bavaria and on fast machines; cheaper where it may be interrupted.
fn config() -> Config {
    let rate = |work, region: &str, gpu_tier, price_micros_per_hour| Rate {
        work,
        region: region.to_owned(),
        gpu_tier,
        price_micros_per_hour,
    };
    let rates = vec![
        rate(Work::Interactive, "", 3, 3 * BASE),
        rate(Work::Interactive, "DE-BY", 0, 2 * BASE),
        rate(Work::Batch, "", 0, BASE / 2),
    ];
    Config { price_micros_per_hour: BASE, rates, ..Config::default() }
}

fn request(
    method: &str,
    path: &str,
    cookie: Option<&str>,
    tag: Option<&str>,
    body: &impl Serialize,
) -> Request<Body> {
    let mut request =
        Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
    if let Some(cookie) = cookie {
        request = request.header(header::COOKIE, cookie);
    }
    if let Some(tag) = tag {
        request = request.header(header::IF_MATCH, tag);
    }
    request.body(Body::from(serde_json::to_string(body).unwrap())).unwrap()
}

async fn ask(service: &Service, path: &str, cookie: &str) -> Response<Body> {
    service.ask(request("GET", path, Some(cookie), None, &())).await
}

fn euros(amount_micros: i64) -> Money {
    Money { amount_micros: amount_micros.into(), currency: Currency::new("EUR").unwrap() }
}

/// One price for everything, as an operator sends it.
fn flat(price: i64) -> serde_json::Value {
    serde_json::json!({"note": "test", "rates": [{"work": "interactive", "price_per_hour": euros(price)}]})
}

async fn node(service: &Service, n: u8, region: &str, gpu_tier: u8) -> FakeNode {
    let terms = NodeTerms { gpu_tier, batch: true, ..NodeTerms::default() };
    let offer = NodeOffer { name: format!("n{n}"), region: region.into(), terms, ..FakeNode::offer(4) };
    let code = service.matchmaker.enrolment_code().await.unwrap();
    let key = NodeKey::from_seed([n; 32]);
    FakeNode::hello(service.address, key, Some(code), offer, vec![]).await.unwrap()
}

/// Five short receipts, all but the last signed by the player.
async fn play(node: &mut FakeNode, running: RunningSession) {
    let mut previous = ReceiptHash::ZERO;
    for sequence in 0..5 {
        let receipt = Receipt {
            session: running.session,
            generation: running.generation,
            sequence,
            previous,
            duration_us: 299_993,
            frames: 18,
            bytes: 1_000,
            encoder_us: 1,
            width: 1280,
            height: 720,
            rtt_us: 0,
            packets_sent: 1,
            packets_lost: 0,
        };
        previous = receipt.hash();
        let mut signed = SignedReceipt::sign(&node.key, receipt);
        if sequence < 4 {
            signed.player_signature = Some(player().sign(&signed.receipt.signed_bytes()));
        }
        node.wire.say(&FromNode::Receipt { receipt: Box::new(signed) }).await;
        let answer: ToNode = node.wire.hear().await.unwrap();
        assert!(matches!(answer, ToNode::ReceiptTaken { .. }), "{answer:?}");
    }
}

/// Starts and plays, and gives the bill.
async fn played(service: &Service, node: &mut FakeNode, wanted: &CreateSession) -> SessionBill {
    let created: CreatedSession = json(service.ask(post_session(wanted)).await).await;
    let running = node.started().await;
    play(node, running).await;
    let path = format!("/v1/sessions/{}/bill", created.session.id);
    let ask = Request::get(path).header(header::AUTHORIZATION, format!("Bearer {}", created.ticket));
    json(service.ask(ask.body(Body::empty()).unwrap()).await).await
}

fn cost(price: i64) -> i128 {
    i128::from(price) * PLAYED_US / 3_600_000_000
}

#[tokio::test]
async fn what_is_paid_is_the_rate_of_the_machine_and_the_work() {
    let service = Service::with(config()).await;
    let operator = service.operator().await;
    let mut node = node(&service, 1, "DE-BY", 5).await;
    let bill = played(&service, &mut node, &create_session("meteor")).await;
    let [lease] = &bill.leases[..] else { panic!("{bill:?}") };
    assert_eq!(lease.terms.price_per_hour, euros(2 * BASE), "the closer region counts more than the tier");
    let basis = Basis { rate_card: 1, work: Work::Interactive, region: "DE-BY".into(), gpu_tier: 5 };
    assert_eq!(lease.terms.basis, Some(basis));
    assert_eq!(lease.sums.total.amount_micros, cost(2 * BASE));
    assert_eq!(lease.sums.platform.amount_micros, cost(2 * BASE) * 200 / 1000);
    assert_eq!((lease.lines.len(), lease.lines[4].countersigned), (5, false));
    let lines: i128 = lease.lines.iter().map(|line| line.total.amount_micros).sum();
    assert_eq!(lines, lease.sums.total.amount_micros);

    let batch = CreateSession { interruptible: true, ..create_session("meteor") };
    let bill = played(&service, &mut node, &batch).await;
    assert_eq!(bill.leases[0].terms.price_per_hour, euros(BASE / 2));

    let path = "/v1/usage/sessions?from_ms=0&to_ms=9000000000000";
    let sessions: Page<SessionUsage> = json(ask(&service, path, &operator).await).await;
    let totals: Vec<_> = sessions.items.iter().map(|row| row.sums.total.amount_micros).collect();
    assert_eq!(totals, [cost(BASE / 2), cost(2 * BASE)], "the newest first");
    let path = "/v1/usage/nodes?from_ms=0&to_ms=9000000000000";
    let nodes: Page<NodeUsage> = json(ask(&service, path, &operator).await).await;
    let [used] = &nodes.items[..] else { panic!("{nodes:?}") };
    assert_eq!((used.name.as_str(), used.region.as_str(), used.sums.leases), ("n1", "DE-BY", 2));
    let path = format!("/v1/usage/titles?from_ms=0&to_ms=9000000000000&node={}", node.id);
    let titles: Page<TitleUsage> = json(ask(&service, &path, &operator).await).await;
    assert_eq!((titles.items[0].title.as_str(), &titles.items[0].sums), ("meteor", &used.sums));
    let empty = ask(&service, "/v1/usage/titles?from_ms=5&to_ms=5", &operator).await;
    assert_eq!(problem(empty).await, "bad_request");
    let whole = "/v1/usage/series?from_ms=0&to_ms=9000000000000&step_s=3600";
    assert_eq!(problem(ask(&service, whole, &operator).await).await, "bad_request");
    let now_ms = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
    let (from_ms, to_ms) = (now_ms - 3_600_000, now_ms + 60_000);
    let path =
        format!("/v1/usage/series?from_ms={from_ms}&to_ms={to_ms}&step_s=60&title=meteor&node={}", node.id);
    let series: UsageSeries = json(ask(&service, &path, &operator).await).await;
    let sum: i128 = series.items.iter().map(|step| step.sums.total.amount_micros).sum();
    assert_eq!(sum, cost(BASE / 2) + cost(2 * BASE));
    let earnings: EarningsOverview = json(ask(&service, "/v1/earnings", &operator).await).await;
    let [earned] = &earnings.nodes[..] else { panic!("{earnings:?}") };
    let hosts = |total: i128| total - total * 200 / 1000;
    assert_eq!(earned.earned.amount_micros, hosts(cost(BASE / 2)) + hosts(cost(2 * BASE)));
    assert_eq!(
        (earned.name.as_str(), earned.settled.amount_micros, earnings.settled_until_ms),
        ("n1", 0, None)
    );
    let held: i128 = earnings.held.iter().map(|day| day.amount.amount_micros).sum();
    assert_eq!(held, earned.earned.amount_micros);
    assert!(earnings.held.iter().any(|day| day.why == HeldWhy::DayRuns));
}

#[tokio::test]
async fn a_ceiling_leaves_dearer_machines_aside() {
    let service = Service::with(config()).await;
    let _dear = node(&service, 1, "FR", 3).await;
    let with_ceiling =
        |micros| CreateSession { price_ceiling: Some(euros(micros)), ..create_session("meteor") };
    assert_eq!(problem(service.ask(post_session(&with_ceiling(2 * BASE))).await).await, "no_capacity");
    let mut cheap = node(&service, 2, "FR", 1).await;
    let bill = played(&service, &mut cheap, &with_ceiling(2 * BASE)).await;
    assert_eq!((bill.leases[0].node, &bill.leases[0].terms.price_per_hour), (cheap.id, &euros(BASE)));
    let dollars = Money { amount_micros: 1, currency: Currency::new("USD").unwrap() };
    let wrong = CreateSession { price_ceiling: Some(dollars), ..create_session("meteor") };
    assert_eq!(problem(service.ask(post_session(&wrong)).await).await, "bad_body");
}

#[tokio::test]
async fn prices_are_set_version_by_version_and_quotes_keep_theirs() {
    let service = Service::with(config()).await;
    let operator = service.operator().await;
    let mut node = node(&service, 1, "DE", 3).await;
    let answer = service.get("/v1/prices").await;
    assert_eq!(answer.headers()[header::ETAG], "\"1\"");
    let prices: Prices = json(answer).await;
    assert_eq!((prices.version, prices.rates.len(), prices.fee_permille), (1, 4, 200));
    let body = serde_json::json!({"title": "meteor"});
    let quote: Quote = json(service.ask(request("POST", "/v1/quotes", None, None, &body)).await).await;
    assert_eq!((quote.rate_card, &quote.price_per_hour), (1, &euros(3 * BASE)));
    assert_eq!(quote.lowest_price_per_hour, euros(BASE));

    let put =
        |cookie, tag, body: &serde_json::Value| service.ask(request("PUT", "/v1/prices", cookie, tag, body));
    let own = Some(operator.as_str());
    assert_eq!(problem(put(None, Some("\"1\""), &flat(7)).await).await, "sign_in_needed");
    for tag in [None, Some("1"), Some("*")] {
        assert_eq!(problem(put(own, tag, &flat(7)).await).await, "precondition_needed");
    }
    assert_eq!(problem(put(own, Some("\"2\""), &flat(7)).await).await, "prices_changed");
    assert_eq!(problem(put(own, Some("\"1\""), &serde_json::json!({"rates": []})).await).await, "bad_body");
    let answer = put(own, Some("\"1\""), &flat(7 * BASE)).await;
    assert_eq!(
        (answer.status(), &answer.headers()[header::ETAG]),
        (StatusCode::OK, &"\"2\"".parse().unwrap())
    );
    assert_eq!(problem(put(own, Some("\"1\""), &flat(7)).await).await, "prices_changed");

    let quoted = CreateSession { quote: Some(quote.quote.clone()), ..create_session("meteor") };
    let bill = played(&service, &mut node, &quoted).await;
    assert_eq!(bill.leases[0].terms.price_per_hour, euros(3 * BASE), "the quote's card holds");
    assert_eq!(bill.leases[0].terms.basis.as_ref().map(|basis| basis.rate_card), Some(1));
    let bill = played(&service, &mut node, &create_session("meteor")).await;
    assert_eq!(bill.leases[0].terms.price_per_hour, euros(7 * BASE));
    let index: PriceIndex = json(service.get("/v1/prices/index").await).await;
    let [price] = &index.prices[..] else { panic!("one kind of machine worked: {index:?}") };
    assert_eq!(
        (price.work, price.region.as_str(), price.gpu_tier, price.leases),
        (Work::Interactive, "DE", 3, 2)
    );
    assert_eq!(price.listed_per_hour, euros(7 * BASE));
    // Both were billed for as long, and less than a micro-unit of each was rounded away.
    let missing = 5 * i128::from(BASE) - price.price_per_hour.amount_micros;
    let most = 2 * 3_600_000_000 / (2 * PLAYED_US) + 1;
    assert!((0..=most).contains(&missing), "{price:?}");
    let both = CreateSession { price_ceiling: Some(euros(1)), ..quoted };
    assert_eq!(problem(service.ask(post_session(&both)).await).await, "bad_body");

    let first: Prices = json(service.get("/v1/prices/1").await).await;
    assert_eq!(first, prices, "a version never changes");
    assert_eq!(problem(service.get("/v1/prices/3").await).await, "not_found");
    statements_follow(&service, &operator).await;
}

/// Another program computes prices and bills again, and finds a card that says something else.
async fn statements_follow(service: &Service, operator: &str) {
    let days = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() / 86_400;
    let (year, month, _) = nearframe_ledger::settlement::Epoch(days as u32).date();
    let path = format!("/v1/statements/meteor/{year:04}-{month:02}");
    let statement = bytes(ask(service, &path, operator).await).await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    std::fs::write(file("statement.csv"), &statement).unwrap();
    for version in 1..=2 {
        let card = bytes(service.get(&format!("/v1/prices/{version}")).await).await;
        std::fs::write(file(&format!("{version}.json")), card).unwrap();
    }
    let recompute = |cards: &[&str]| {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/recompute-bill.py");
        let mut command = Command::new("python3");
        command.arg(program).arg(file("statement.csv"));
        cards.iter().for_each(|card| {
            command.arg(format!("--card={}", file(card).display()));
        });
        let output = command.output().expect("python3 is installed");
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    };
    let (right, words) = recompute(&["1.json", "2.json"]);
    assert!(right && words.contains("every price follows from 2 rate cards"), "{words}");
    let (right, words) = recompute(&["1.json"]);
    assert!(!right && words.contains("which is not given"), "{words}");
    let changed = std::fs::read_to_string(file("1.json")).unwrap().replace("1080.000000", "1080.000001");
    std::fs::write(file("1.json"), changed).unwrap();
    let (right, words) = recompute(&["1.json", "2.json"]);
    assert!(!right && words.contains("the rate card says"), "{words}");
}

#[tokio::test]
async fn a_price_that_does_not_follow_from_its_card_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { data_dir: folder.path().to_owned(), ..config() };
    let service = Service::of(nearframe_matchmaker::Matchmaker::open(config).await.unwrap()).await;
    let mut node = node(&service, 1, "DE", 0).await;
    played(&service, &mut node, &create_session("meteor")).await;
    let store = open_record(None, folder.path()).await.unwrap();
    assert_eq!(audit(store.as_ref()).await.unwrap().leases, 1);
    let path = folder.path().join("matchmaker.sqlite3");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::query("UPDATE leases SET gpu_tier = 3").execute(&pool).await.unwrap();
    let error = audit(store.as_ref()).await.unwrap_err().to_string();
    assert!(error.contains("does not follow from version 1 of the rate card"), "{error}");
    sqlx::query("UPDATE rate_cards SET body = ''").execute(&pool).await.unwrap_err();
    sqlx::query("DELETE FROM rate_cards").execute(&pool).await.unwrap_err();
}
