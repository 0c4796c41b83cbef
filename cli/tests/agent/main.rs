//! An agent that books and pays by itself: a real MCP client, on the stdin and stdout of a real `nearframe mcp` which talks
//! to a real matchmaker, or over HTTP with the matchmaker itself. The machine is a stand-in that signs real receipts.
#![allow(clippy::unwrap_used, reason = "what a test cannot go on without has failed it")]

mod house;
#[path = "../replicas/node.rs"]
#[allow(dead_code, reason = "written for a larger test")]
mod node;
mod socket;

use house::{House, Machine, WITHIN, command};
use nearframe_protocol::NodeKey;
use rmcp::ServiceExt;
use rmcp::model::{CallToolRequestParams, CallToolResult};
use rmcp::service::{RoleClient, RunningService};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::{StreamableHttpClientTransport, UnixSocketHttpClient};
use serde_json::{Value, json};
use socket::Socket;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

/// An MCP client and the server that it started, if it started one.
struct Agent {
    mcp: RunningService<RoleClient, ()>,
    process: Option<Child>,
    _socket: Option<Socket>,
}

impl Agent {
    async fn start(house: &House, key: Option<&str>) -> Self {
        let mut command = Command::from(command());
        command.arg("mcp").env("NEARFRAME_SERVER", format!("http://{}", house.door));
        if let Some(key) = key {
            command.env("NEARFRAME_KEY", key);
        }
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let transport = (process.stdout.take().unwrap(), process.stdin.take().unwrap());
        Self { mcp: ().serve(transport).await.unwrap(), process: Some(process), _socket: None }
    }

    /// At the matchmaker's own door.
    async fn over_http(house: &House, key: &str) -> Result<Self, String> {
        let socket = Socket::to(house.door);
        let uri = format!("http://{}/mcp", house.door);
        let client = UnixSocketHttpClient::new(&socket.path(), &uri);
        let config = StreamableHttpClientTransportConfig::with_uri(uri).auth_header(key);
        let transport = StreamableHttpClientTransport::with_client(client, config);
        let mcp = ().serve(transport).await.map_err(|error| error.to_string())?;
        Ok(Self { mcp, process: None, _socket: Some(socket) })
    }

    async fn call(&self, tool: &'static str, arguments: Value) -> CallToolResult {
        let arguments = arguments.as_object().unwrap().clone();
        self.mcp.call_tool(CallToolRequestParams::new(tool).with_arguments(arguments)).await.unwrap()
    }

    /// What a tool that succeeds answers.
    async fn gives(&self, tool: &'static str, arguments: Value) -> Value {
        let result = self.call(tool, arguments).await;
        assert_ne!(result.is_error, Some(true), "{tool}: {result:?}");
        let text = &result.content[0].as_text().unwrap().text;
        let structured = result.structured_content.unwrap();
        assert_eq!(serde_json::from_str::<Value>(text).unwrap(), structured, "both say the same");
        structured
    }

    /// What one that fails does: the problem.
    async fn refuses(&self, tool: &'static str, arguments: Value) -> Value {
        let result = self.call(tool, arguments).await;
        assert_eq!(result.is_error, Some(true), "{tool}: {result:?}");
        assert!(result.content[0].as_text().is_some_and(|line| line.text.len() > 10), "{result:?}");
        result.structured_content.unwrap()
    }

    /// The client hangs up; so does the server.
    async fn leave(mut self) {
        self.mcp.cancel().await.unwrap();
        if let Some(mut process) = self.process.take() {
            let ended = tokio::time::timeout(WITHIN, process.wait()).await.expect("it ends with its client");
            assert!(ended.unwrap().success());
        }
    }
}

fn micros(amount: &Value) -> i128 {
    assert_eq!(amount["currency"], "EUR", "{amount}");
    let (whole, fraction) = amount["amount"].as_str().unwrap().split_once('.').unwrap();
    assert_eq!(fraction.len(), 6);
    format!("{whole}{fraction}").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_asks_books_uses_pays_runs_out_and_stops() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path(), None);
    let player = NodeKey::from_seed([200; 32]);
    let machine = house.machine(player.clone());
    // An hour is set aside for each session: the key's budget holds one.
    let key = house.account("100000", "5000");
    let agent = Agent::start(&house, Some(&key)).await;
    round_trip(agent, &machine, &player).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_does_the_same_over_http_without_a_program_beside_it() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path(), None);
    let player = NodeKey::from_seed([200; 32]);
    let machine = house.machine(player.clone());
    let key = house.account("100000", "5000");
    let agent = Agent::over_http(&house, &key).await.unwrap();
    round_trip(agent, &machine, &player).await;
    // What tools did stands in the trail as the key's own doing, once; the door that they came through does not.
    let lines = house.as_operator("GET /v1/audit", &Value::Null);
    let doors: Vec<_> =
        lines["items"].as_array().unwrap().iter().filter(|line| line["actor"]["kind"] == "key").collect();
    let count = |door: &str| doors.iter().filter(|line| line["door"] == door).count();
    assert!(count("POST /v1/sessions") >= 2 && count("DELETE /v1/sessions/{id}") == 2, "{doors:?}");
    assert_eq!(count("POST /mcp"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_a_key_is_asked_for_and_its_scopes_hold() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path(), None);
    let _machine = house.machine(NodeKey::from_seed([200; 32]));
    let key = house.account_with("100000", "100000", &["quotes"]);
    let agent = Agent::over_http(&house, &key).await.unwrap();
    assert_eq!(
        micros(&agent.gives("quote", json!({"title": "meteor"})).await["price_per_hour"]),
        3_600_000_000
    );
    assert_eq!(agent.refuses("start_session", json!({"title": "meteor"})).await["code"], "scope_missing");
    assert_eq!(agent.refuses("quote", json!({"title": "../etc"})).await["code"], "bad_argument");
    agent.leave().await;
    let typo = format!("{}{}", &key[..key.len() - 1], if key.ends_with('x') { 'y' } else { 'x' });
    assert!(Agent::over_http(&house, &typo).await.is_err(), "a mistyped key");

    let accept = "Accept: application/json, text/event-stream\r\n";
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    let with = |header: &str| house.ask("POST /mcp", &format!("{accept}{header}"), &list);
    let bearer = format!("Authorization: Bearer {key}\r\n");
    let plain = with(&bearer);
    assert_eq!(plain.status, 200, "{}", plain.text);
    assert_eq!(plain.body["result"]["tools"].as_array().map(Vec::len), Some(7), "{}", plain.body);
    assert_eq!(with("").body["code"], "sign_in_needed");
    assert_eq!(with("Authorization: Bearer abc\r\n").body["code"], "sign_in_needed");
    let own = format!("{bearer}Origin: http://{}\r\n", house.door);
    assert_eq!(with(&own).status, 200);
    let elsewhere = with(&format!("{bearer}Origin: https://evil.example\r\n"));
    assert_eq!((elsewhere.status, &elsewhere.body["code"]), (403, &json!("origin_not_allowed")));
    let cookie = house.ask_as_operator("POST /mcp", &list);
    assert_eq!(cookie.body["code"], "sign_in_needed", "a browser's cookies do nothing here");
    let stream = house.ask("GET /mcp", &format!("Accept: text/event-stream\r\n{bearer}"), &Value::Null);
    assert_eq!((stream.status, &stream.body["code"]), (405, &json!("method_not_allowed")));
    let huge = json!({"jsonrpc": "2.0", "id": 1, "method": "x".repeat(70_000)});
    let refused = house.ask("POST /mcp", &format!("{accept}{bearer}"), &huge);
    assert_eq!(refused.status, 413, "{}", refused.text);
    // The rest of this minute's messages, and one more.
    let refused = (0..400).map(|_| with(&bearer)).find(|answer| answer.status != 200).expect("a limit");
    assert_eq!((refused.status, &refused.body["code"]), (429, &json!("too_many_requests")));
}

/// The whole way of an agent whose key's budget holds one session.
async fn round_trip(agent: Agent, machine: &Machine, player: &NodeKey) {
    let tools: Vec<_> = agent.mcp.list_all_tools().await.unwrap().into_iter().map(|tool| tool.name).collect();
    assert_eq!(tools.len(), 7, "{tools:?}");
    let titles = agent.gives("titles", json!({})).await;
    assert_eq!(
        (&titles["titles"][0]["id"], &titles["titles"][0]["available"]),
        (&json!("meteor"), &json!(true))
    );
    let balance = agent.gives("balance", json!({})).await;
    assert_eq!((micros(&balance["left"]), micros(&balance["key"]["committed"])), (5_000_000_000, 0));

    let quote = agent.gives("quote", json!({"title": "meteor"})).await;
    assert_eq!(micros(&quote["price_per_hour"]), 3_600_000_000);
    let wanted = json!({
        "title": "meteor", "quote": quote["quote"], "player_key": player.public().to_string(), "idempotency_key": "once",
    });
    let started = agent.gives("start_session", wanted.clone()).await;
    let again = agent.gives("start_session", wanted).await;
    assert_eq!(
        started["session"]["session"], again["session"]["session"],
        "the same call starts nothing twice"
    );
    assert!(started["signal_url"].as_str().unwrap().starts_with("ws://") && started["ticket"].is_string());
    let session = json!({"session": started["session"]["session"]});

    let until = Instant::now() + WITHIN;
    let live = loop {
        let now = agent.gives("session", session.clone()).await;
        if now["state"] == "live" && micros(&now["cost"]) > 0 {
            break now;
        }
        assert!(Instant::now() < until, "it never cost anything: {now}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    // One euro a second, to the microsecond.
    let used_us = (live["used_s"].as_f64().unwrap() * 1e6).round() as i128;
    assert_eq!(micros(&live["cost"]), used_us);

    let refused = agent.refuses("start_session", json!({"title": "meteor"})).await;
    assert_eq!((&refused["status"], &refused["code"]), (&json!(402), &json!("budget_used_up")));
    let offer = &refused["offer"];
    assert_eq!((offer["short"].as_str(), micros(&offer["needed"])), (Some("key"), 3_600_000_000));
    assert!(micros(&offer["left"]) < 1_400_000_001, "{offer}");
    assert!(offer["raise"]["path"].as_str().unwrap().ends_with("/allowance"));

    let stopped = agent.gives("stop_session", session.clone()).await;
    assert_eq!((&stopped["state"], &stopped["end_reason"]), (&json!("ended"), &json!("player_left")));
    assert_eq!(agent.gives("stop_session", session.clone()).await["state"], "ended", "again changes nothing");
    machine.receipts(1);
    let total = micros(&agent.gives("session", session).await["cost"]);
    let usage = agent.gives("usage", json!({})).await;
    assert_eq!(
        (&usage["titles"][0]["title"], micros(&usage["titles"][0]["total"])),
        (&json!("meteor"), total)
    );
    let balance = agent.gives("balance", json!({})).await;
    assert!(micros(&balance["key"]["committed"]) >= total, "{balance}");
    agent.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_or_wrong_is_said_in_words_that_help() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path(), None);
    let _machine = house.machine(NodeKey::from_seed([200; 32]));
    let stranger = Agent::start(&house, None).await;
    assert_eq!(
        micros(&stranger.gives("quote", json!({"title": "meteor"})).await["price_per_hour"]),
        3_600_000_000
    );
    for (tool, arguments) in [("start_session", json!({"title": "meteor"})), ("balance", json!({}))] {
        let refused = stranger.refuses(tool, arguments).await;
        assert_eq!(refused["code"], "no_key");
        assert!(refused["detail"].as_str().unwrap().contains("NEARFRAME_KEY"), "{refused}");
    }
    assert_eq!(stranger.refuses("quote", json!({"title": "chess"})).await["code"], "unknown_title");
    assert_eq!(stranger.refuses("quote", json!({"title": "../etc"})).await["code"], "bad_argument");
    stranger.leave().await;

    let key = house.account("100000", "100000");
    let typo = if key.ends_with('x') { 'y' } else { 'x' };
    let agent = Agent::start(&house, Some(&format!("{}{typo}", &key[..key.len() - 1]))).await;
    assert_eq!(agent.refuses("balance", json!({})).await["code"], "bad_key");
    agent.leave().await;
    let agent = Agent::start(&house, Some(&key)).await;
    house.stop();
    assert_eq!(agent.refuses("balance", json!({})).await["code"], "unreachable");
    agent.leave().await;
}

#[test]
fn without_a_server_it_does_not_start() {
    let ended = command().arg("mcp").output().unwrap();
    let told = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success() && told.contains("NEARFRAME_SERVER"), "{told}");
    assert!(ended.stdout.is_empty(), "stdout is the protocol's");
}
