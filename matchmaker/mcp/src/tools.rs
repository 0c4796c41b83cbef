//! The tools: each one request to the API.

use crate::answers::{Balance, QuoteAnswer, SessionAnswer, Started, Titles, UsageAnswer};
use crate::client::{Ask, Client, Refusal, Way};
use nearframe_ledger::settlement::Epoch;
use nearframe_protocol::account::Me;
use nearframe_protocol::api::{
    CreateQuote, CreateSession, CreatedSession, Page, Quote, Session, Title, Usage,
};
use nearframe_protocol::key::KeyError;
use nearframe_protocol::prices::Work;
use nearframe_protocol::{NodeKey, PublicKey, SessionId, TitleId};
use rmcp::handler::server::wrapper::{Json, Parameters};
use rmcp::schemars::{self, JsonSchema};
use rmcp::{ServerHandler, tool, tool_handler, tool_router};
use serde::Deserialize;
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};

/// What keys that nobody gave are derived under.
const PLAYER: &str = "nearframe mcp player key v1";

/// The API with one key.
pub struct Tools {
    client: Client,
}

/// What quote wants to know.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct QuoteArgs {
    /// Title id, such as "meteor"; see titles.
    title: String,
    /// Whether the session may be interrupted for players who find no machine, which costs less.
    #[serde(default)]
    interruptible: bool,
}

/// What start_session wants to know.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StartArgs {
    /// Title id, such as "meteor"; see titles.
    title: String,
    /// From quote: its prices then hold.
    quote: Option<String>,
    /// The most that an hour may cost. Without a quote alone.
    price_ceiling: Option<Ceiling>,
    /// It may be interrupted for players who find no machine, after a notice of five seconds.
    #[serde(default)]
    interruptible: bool,
    /// Ed25519 public key (64 hex digits) of whoever plays, which countersigns receipts. Absent: one is made.
    player_key: Option<String>,
    /// Chosen by you, 1 to 100 visible characters: the same call with the same one starts nothing twice.
    idempotency_key: Option<String>,
}

/// An amount.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Ceiling {
    /// Decimal with at most six places, such as "0.50".
    amount: String,
    /// Such as "EUR".
    currency: String,
}

/// Which session.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SessionArgs {
    /// Its id.
    session: String,
}

/// Which month.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UsageArgs {
    /// Year and month in UTC, such as "2026-11"; absent: this one.
    month: Option<String>,
}

fn title(text: &str) -> Result<TitleId, Refusal> {
    TitleId::new(text).map_err(|error| Refusal::Here("bad_argument", format!("title: {error}")))
}

fn session_path(text: &str) -> Result<String, Refusal> {
    let id = text.parse::<SessionId>();
    let id = id.map_err(|error| Refusal::Here("bad_argument", format!("session: {error}")))?;
    Ok(format!("/v1/sessions/{id}"))
}

fn this_month() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (year, month, _) = Epoch::of(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)).date();
    format!("{year:04}-{month:02}")
}

/// A month as it stands in a path.
fn month(text: Option<String>) -> Result<String, Refusal> {
    let Some(text) = text else { return Ok(this_month()) };
    let fits = text.len() == 7
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    if fits {
        Ok(text)
    } else {
        Err(Refusal::Here("bad_argument", "month: year and month, such as 2026-11".into()))
    }
}

#[tool_router]
impl Tools {
    /// On a way to the API.
    pub fn new(way: impl Way) -> Self {
        Self { client: Client(Box::new(way)) }
    }

    /// Lists what can be played, and whether a machine is free for it.
    #[tool(annotations(title = "Titles", read_only_hint = true))]
    async fn titles(&self) -> Result<Json<Titles>, Refusal> {
        let page: Page<Title> = self.client.ask(Ask::get("/v1/titles")).await?;
        Ok(Json(page.items.into()))
    }

    /// Asks what an hour of a title costs. The price binds for ten minutes: pass `quote` to start_session.
    #[tool(annotations(title = "Quote a price", read_only_hint = true))]
    async fn quote(&self, Parameters(args): Parameters<QuoteArgs>) -> Result<Json<QuoteAnswer>, Refusal> {
        let work = if args.interruptible { Work::Batch } else { Work::Interactive };
        let body = json!(CreateQuote { title: title(&args.title)?, work });
        let quote: Quote = self.client.ask(Ask::post("/v1/quotes", body)).await?;
        Ok(Json(quote.into()))
    }

    /// Starts a session on the nearest free machine; the key's account pays. An hour's price is set aside, of which what is
    /// not used comes back at the end. It costs until it ends: call stop_session. Where the budget does not hold it, the
    /// error has code `budget_used_up` and an `offer`: what is needed, what is left, and where the limit is raised.
    #[tool(annotations(title = "Start a session", destructive_hint = false))]
    async fn start_session(&self, Parameters(args): Parameters<StartArgs>) -> Result<Json<Started>, Refusal> {
        let key = self.client.key()?;
        let repeat = args.idempotency_key.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        let (player_key, seed) = match args.player_key {
            Some(text) => {
                let wrong = |error: KeyError| Refusal::Here("bad_argument", format!("player_key: {error}"));
                (PublicKey::try_from(text).map_err(wrong)?, None)
            }
            // The same call has to be the same request, so that its key follows from it.
            None => {
                let seed = blake3::derive_key(PLAYER, format!("{key}\0{repeat}").as_bytes());
                (NodeKey::from_seed(seed).public(), Some(hex::encode(seed)))
            }
        };
        let wanted = CreateSession {
            quote: args.quote,
            interruptible: args.interruptible,
            ..CreateSession::of(title(&args.title)?, player_key)
        };
        let mut body = json!(wanted);
        if let Some(Ceiling { amount, currency }) = args.price_ceiling {
            body["price_ceiling"] = json!({ "amount": amount, "currency": currency });
        }
        let ask = Ask { idempotency_key: Some(&repeat), ..Ask::post("/v1/sessions", body) };
        let created: CreatedSession = self.client.ask(ask).await?;
        let signal_url = self.client.address(&created.signal_path, true);
        Ok(Json(Started::new(created, signal_url, seed)))
    }

    /// Tells how a session stands: its state, what was used of it and what that costs so far.
    #[tool(annotations(title = "Look at a session", read_only_hint = true))]
    async fn session(
        &self,
        Parameters(args): Parameters<SessionArgs>,
    ) -> Result<Json<SessionAnswer>, Refusal> {
        self.client.key()?;
        let session: Session = self.client.ask(Ask::get(session_path(&args.session)?)).await?;
        Ok(Json(session.into()))
    }

    /// Ends a session, which stops its costs. Ending one that is over changes nothing.
    #[tool(annotations(title = "Stop a session", destructive_hint = true, idempotent_hint = true))]
    async fn stop_session(
        &self,
        Parameters(args): Parameters<SessionArgs>,
    ) -> Result<Json<SessionAnswer>, Refusal> {
        self.client.key()?;
        let session: Session = self.client.ask(Ask::delete(session_path(&args.session)?)).await?;
        Ok(Json(session.into()))
    }

    /// Tells what the account used in a month and what that cost, by title.
    #[tool(annotations(title = "Usage of a month", read_only_hint = true))]
    async fn usage(&self, Parameters(args): Parameters<UsageArgs>) -> Result<Json<UsageAnswer>, Refusal> {
        self.client.key()?;
        let month = month(args.month)?;
        let page: Page<Usage> = self.client.ask(Ask::get(format!("/v1/usage/{month}"))).await?;
        Ok(Json(UsageAnswer::new(month, page.items)))
    }

    /// Tells what may still be spent: the budgets of the key and of its account, and what is left of both.
    #[tool(annotations(title = "Balance", read_only_hint = true))]
    async fn balance(&self) -> Result<Json<Balance>, Refusal> {
        self.client.key()?;
        let me: Me = self.client.ask(Ask::get("/v1/me")).await?;
        let nobody =
            || Refusal::Here("no_key", "The server does not take this for a key of an account.".into());
        Ok(Json(Balance::new(me).ok_or_else(nobody)?))
    }
}

#[tool_handler(
    name = "nearframe",
    instructions = "Books sessions of games and real-time renderings on GPUs near the player, and pays for them from the \
                    budget of a key. Ask quote before start_session, stop_session when done: a running session costs by \
                    the microsecond. Amounts are exact decimal strings. Errors carry a `code`; `budget_used_up` carries an \
                    `offer` that says what is missing and who may raise the limit."
)]
impl ServerHandler for Tools {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_says_what_it_takes_and_gives() {
        let tools = Tools::tool_router().list_all();
        let names: Vec<_> = tools.iter().map(|tool| tool.name.to_string()).collect();
        let all = ["balance", "quote", "session", "start_session", "stop_session", "titles", "usage"];
        assert_eq!(names, all);
        for tool in &tools {
            assert!(tool.description.as_ref().is_some_and(|text| text.len() > 20), "{}", tool.name);
            assert!(
                tool.output_schema.as_ref().is_some_and(|schema| schema["type"] == "object"),
                "{}",
                tool.name
            );
        }
        let page = include_str!("../../../docs/agents.md");
        for name in names {
            assert!(page.contains(&format!("| `{name}` |")), "docs/agents.md lacks {name}");
        }
    }

    #[test]
    fn arguments_cannot_leave_their_place_in_a_path() {
        for wrong in ["../me", "", "6f1c1e1e-0b7a-4a51-9a61-2f5a3c0e9b11/bill"] {
            assert!(session_path(wrong).is_err(), "{wrong}");
        }
        for wrong in ["2026", "2026-1", "2026/11", "../../me", "titles?a"] {
            assert!(month(Some(wrong.into())).is_err(), "{wrong}");
        }
        assert_eq!(month(Some("2026-11".into())).unwrap(), "2026-11");
        assert_eq!(this_month().len(), 7);
    }
}
