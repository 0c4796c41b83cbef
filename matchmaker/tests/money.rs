//! Money at the doors: quotes that bind, budgets that hold, statements that anyone can compute again.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use nearframe_matchmaker::audit::{AuditedLedger, KeptIn, audit, audit_ledger};
use nearframe_matchmaker::{Config, Matchmaker, open_record};
use nearframe_protocol::api::{Budget, CreateSession, CreatedSession, LedgerHead, Page, Quote, Usage};
use nearframe_protocol::link::{FromNode, RunningSession, ToNode};
use nearframe_protocol::receipt::{Receipt, ReceiptHash, SignedReceipt};
use serde::Serialize;
use sha2::Digest;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use support::{FakeNode, Service, bytes, create_session, json, player, post_session, problem};

/// An hour's price that no second divides.
const PRICE_MICROS: i64 = 7_654_321_987;

fn config(price_micros_per_hour: i64) -> Config {
    Config { price_micros_per_hour, ..Config::default() }
}

fn request(method: &str, path: &str, operator: Option<&str>, body: &impl Serialize) -> Request<Body> {
    let request =
        Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
    let request = match operator {
        Some(cookie) => request.header(header::COOKIE, cookie),
        None => request,
    };
    request.body(Body::from(serde_json::to_string(body).unwrap())).unwrap()
}

async fn quote(service: &Service) -> Quote {
    let body = serde_json::json!({"title": "meteor"});
    let answer = service.ask(request("POST", "/v1/quotes", None, &body)).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    json(answer).await
}

fn with_quote(quote: &str) -> CreateSession {
    CreateSession { quote: Some(quote.to_owned()), ..create_session("meteor") }
}

async fn set_budget(service: &Service, operator: &str, limit: serde_json::Value) -> Response<Body> {
    service.ask(request("PUT", "/v1/budgets/meteor", Some(operator), &limit)).await
}

/// Plays five short receipts, all but the last signed by the player.
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

#[tokio::test]
async fn a_quoted_price_is_the_price_that_is_paid_also_after_it_was_raised() {
    let service = Service::with(config(PRICE_MICROS)).await;
    let mut node = FakeNode::enrol(&service, 4).await;
    let quoted = quote(&service).await;
    assert_eq!(quoted.price_per_hour.amount_micros, PRICE_MICROS.into());
    node.wire.cut();

    let service = service.restart(config(2 * PRICE_MICROS)).await;
    node = FakeNode::again(service.address, 4, vec![]).await;
    for (quote, micros) in [(Some(&quoted.quote), PRICE_MICROS), (None, 2 * PRICE_MICROS)] {
        let wanted = quote.map_or_else(|| create_session("meteor"), |quote| with_quote(quote));
        let created: CreatedSession = json(service.ask(post_session(&wanted)).await).await;
        let running = node.started().await;
        play(&mut node, running).await;
        let path = format!("/v1/sessions/{}", created.session.id);
        let ask = Request::get(path).header(header::AUTHORIZATION, format!("Bearer {}", created.ticket));
        let session: nearframe_protocol::api::Session =
            json(service.ask(ask.body(Body::empty()).unwrap()).await).await;
        assert_eq!(session.cost.amount_micros, i128::from(micros) * 5 * 299_993 / 3_600_000_000);
    }

    let mut forged = quoted.quote.clone();
    forged.insert(3, 'A');
    let refused = service.ask(post_session(&with_quote(&forged))).await;
    assert_eq!(problem(refused).await, "bad_quote");
    let unknown = request("POST", "/v1/quotes", None, &serde_json::json!({"title": "unheard-of"}));
    assert_eq!(problem(service.ask(unknown).await).await, "unknown_title");
}

#[tokio::test]
async fn a_budget_is_set_by_the_operator_and_refuses_what_it_does_not_hold() {
    let service = Service::with(config(PRICE_MICROS)).await;
    let _node = FakeNode::enrol(&service, 4).await;
    let operator = service.operator().await;
    let limit = |amount: &str| serde_json::json!({"limit": {"amount": amount, "currency": "EUR"}});
    let answer = set_budget(&service, &operator, limit("7654.321987")).await;
    let budget: Budget = json(answer).await;
    assert_eq!(
        (budget.limit.unwrap().amount_micros, budget.committed.amount_micros),
        (PRICE_MICROS.into(), 0)
    );

    service.created("meteor").await;
    let second = service.create("meteor").await;
    assert_eq!(second.status(), StatusCode::PAYMENT_REQUIRED);
    assert_eq!(problem(second).await, "budget_used_up");

    let none: Budget = json(set_budget(&service, &operator, serde_json::json!({})).await).await;
    assert_eq!((none.limit, none.committed.amount_micros), (None, PRICE_MICROS.into()));
    service.created("meteor").await;
    let list = request("GET", "/v1/budgets", Some(&operator), &());
    let budgets: Page<Budget> = json(service.ask(list).await).await;
    assert_eq!(budgets.items.len(), 1);
    for wrong in [limit("-1"), serde_json::json!({"limit": {"amount": "1", "currency": "USD"}})] {
        assert_eq!(problem(set_budget(&service, &operator, wrong).await).await, "bad_body");
    }
}

#[tokio::test]
async fn a_statement_is_computed_again_by_a_program_of_another_language() {
    let service = Service::with(config(PRICE_MICROS)).await;
    let mut node = FakeNode::enrol(&service, 4).await;
    let operator = service.operator().await;
    for _ in 0..3 {
        service.created("meteor").await;
        let running = node.started().await;
        play(&mut node, running).await;
    }
    let month = this_month();
    let path = format!("/v1/statements/meteor/{month}");
    let answer = service.ask(request("GET", &path, Some(&operator), &())).await;
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/csv; charset=utf-8");
    let text = String::from_utf8(bytes(answer).await).unwrap();
    assert_eq!(text.lines().count(), 1 + 15, "{text}");

    let usage = request("GET", &format!("/v1/usage/{month}"), Some(&operator), &());
    let usage: Page<Usage> = json(service.ask(usage).await).await;
    let [usage] = &usage.items[..] else { panic!("{usage:?}") };
    assert_eq!((usage.leases, usage.receipts, usage.used_s), (3, 15, 4.499_895));

    let folder = tempfile::tempdir().unwrap();
    let total = 3 * (i128::from(PRICE_MICROS) * 5 * 299_993 / 3_600_000_000);
    assert_eq!(usage.total.amount_micros, total);
    let words = recompute(folder.path(), &text).unwrap();
    let sum = format!("{}.{:06} EUR", total / 1_000_000, total % 1_000_000);
    assert!(words.contains("15 receipts of 3 leases are right") && words.contains(&sum), "{words}");

    let lines: Vec<&str> = text.lines().collect();
    let mut cells: Vec<String> = lines[2].split(',').map(str::to_owned).collect();
    cells[15] = format!("{}", cells[15].parse::<i128>().unwrap() + 1);
    let more = text.replace(lines[2], &cells.join(","));
    assert!(recompute(folder.path(), &more).unwrap_err().contains("micro-units instead of"));
    let missing = text.replace(&format!("{}\n", lines[2]), "");
    assert!(recompute(folder.path(), &missing).unwrap_err().contains("does not follow"));
    let signature = lines[2].split(',').nth(21).unwrap();
    let forged = text.replace(signature, &"0".repeat(signature.len()));
    assert!(recompute(folder.path(), &forged).unwrap_err().contains("the node's signature"));

    let other = service.ask(request("GET", "/v1/statements/meteor/1999-01", Some(&operator), &())).await;
    assert_eq!(String::from_utf8(bytes(other).await).unwrap().lines().count(), 1);
    let wrong = service.ask(request("GET", "/v1/statements/meteor/2026-13", Some(&operator), &())).await;
    assert_eq!(problem(wrong).await, "bad_request");
}

#[tokio::test]
async fn an_invoice_is_a_readable_document_whose_sums_are_those_of_the_statement() {
    let company = vec!["Nearby Games GmbH".to_owned(), "Hauptstraße 1, 10115 Berlin".to_owned()];
    let service = Service::with(Config { company, ..config(PRICE_MICROS) }).await;
    let mut node = FakeNode::enrol(&service, 4).await;
    let operator = service.operator().await;
    let account = serde_json::json!({"kind": "studio", "name": "Café Søren"});
    let account: nearframe_protocol::account::Account =
        json(service.ask(request("POST", "/v1/accounts", Some(&operator), &account)).await).await;
    let owner = serde_json::json!({"account": account.id});
    let given = service.ask(request("PUT", "/v1/titles/meteor/owner", Some(&operator), &owner)).await;
    assert!(given.status().is_success(), "{}", given.status());
    let mut sessions = vec![];
    for _ in 0..3 {
        sessions.push(service.created("meteor").await.session.id.to_string());
        let running = node.started().await;
        play(&mut node, running).await;
    }
    let month = this_month();
    let of = format!("?account={}", account.id);
    let statement = request("GET", &format!("/v1/statements/meteor/{month}{of}"), Some(&operator), &());
    let statement = String::from_utf8(bytes(service.ask(statement).await).await).unwrap();
    let total: i128 =
        statement.lines().skip(1).map(|line| line.split(',').nth(15).unwrap().parse::<i128>().unwrap()).sum();
    let fee: i128 =
        statement.lines().skip(1).map(|line| line.split(',').nth(14).unwrap().parse::<i128>().unwrap()).sum();
    let amount = |micros: i128| format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);

    let answer =
        service.ask(request("GET", &format!("/v1/invoices/{month}{of}"), Some(&operator), &())).await;
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/pdf");
    let text = read_pdf(&bytes(answer).await);
    let hash = hex::encode(sha2::Sha256::digest(&statement));
    let heading = format!("Amount in EUR: {} EUR", amount(total));
    let fee_line = format!("Of this, {} EUR are the platform's fee.", amount(fee));
    let words = [
        "Nearby Games GmbH",
        "Hauptstraße 1",
        "Café Søren",
        &hash,
        &heading,
        &fee_line,
        "no invoice yet",
        "page 1 of 1",
    ];
    for word in words.into_iter().chain(sessions.iter().map(String::as_str)) {
        assert!(text.contains(word), "{word} in {text}");
    }
    let lines = text.lines().filter(|line| sessions.iter().any(|session| line.contains(session)));
    let micros =
        |line: &str| line.split_whitespace().last().unwrap().replace('.', "").parse::<i128>().unwrap();
    assert_eq!(lines.map(micros).sum::<i128>(), total, "{text}");

    let before =
        service.ask(request("GET", &format!("/v1/invoices/1999-01{of}"), Some(&operator), &())).await;
    assert!(read_pdf(&bytes(before).await).contains("Nothing was used."));
    let all = service.ask(request("GET", &format!("/v1/invoices/{month}"), Some(&operator), &())).await;
    assert!(read_pdf(&bytes(all).await).contains("no invoice to anyone"));
    let nobody = "/v1/invoices/2026-11?account=00000000-0000-4000-8000-000000000000";
    for (path, who, code) in [
        (nobody, Some(&*operator), "unknown_account"),
        ("/v1/invoices/2026", Some(&*operator), "bad_request"),
        ("/v1/invoices/2026-11", None, "sign_in_needed"),
    ] {
        assert_eq!(problem(service.ask(request("GET", path, who, &())).await).await, code, "{path}");
    }
}

/// Checks a document's form and gives its words, as programs of other people do.
fn read_pdf(pdf: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("invoice.pdf");
    std::fs::write(&file, pdf).unwrap();
    let path = file.to_str().unwrap();
    let run = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).output();
        output.unwrap_or_else(|error| panic!("{program}: {error}; scripts/setup.sh test installs it"))
    };
    let checked = run("qpdf", &["--check", path]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let text = run("pdftotext", &["-layout", path, "-"]);
    assert!(text.status.success());
    String::from_utf8(text.stdout).unwrap()
}

/// As statements name it.
fn this_month() -> String {
    let days = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() / 86_400;
    let (year, month, _) = nearframe_ledger::settlement::Epoch(days as u32).date();
    format!("{year:04}-{month:02}")
}

#[tokio::test]
async fn what_leases_post_is_in_the_general_ledger_and_both_are_right() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { data_dir: folder.path().to_owned(), ..config(PRICE_MICROS) };
    let service = Service::of(Matchmaker::open(config).await.unwrap()).await;
    let mut node = FakeNode::enrol(&service, 4).await;
    service.created("meteor").await;
    let running = node.started().await;
    play(&mut node, running).await;
    // Host and platform of five receipts, and the openings of three accounts.
    let records = 5 * 2 + 3;
    let until = tokio::time::Instant::now() + Duration::from_secs(30);
    let head: LedgerHead = loop {
        let head: LedgerHead = json(service.get("/v1/ledger/head").await).await;
        if head.records >= records {
            break head;
        }
        assert!(tokio::time::Instant::now() < until, "the general ledger has {} records", head.records);
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(head.records, records);
    let store = open_record(None, folder.path()).await.unwrap();
    let kept = KeptIn::Folder(folder.path());
    let ledger = audit_ledger(&store, kept, std::slice::from_ref(&head)).await.unwrap();
    assert_eq!(ledger, Some(AuditedLedger { blocks: head.blocks, records, unfinished_bytes: 0, refused: 0 }));
    let audited = audit(store.as_ref()).await.unwrap();
    assert_eq!((audited.leases, audited.receipts), (1, 5));
}

fn recompute(folder: &Path, statement: &str) -> Result<String, String> {
    let file = folder.join("statement.csv");
    std::fs::write(&file, statement).unwrap();
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/recompute-bill.py");
    let output = Command::new("python3").arg(program).arg(&file).output().expect("python3 is installed");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}
