//! What tools answer: fields with their units in their names, and exact amounts as decimal strings.

use nearframe_protocol::Money;
use nearframe_protocol::account::{Allowance, Me};
use nearframe_protocol::api::{self, CreatedSession, Quote, Session, Usage};
use rmcp::schemars::{self, JsonSchema};
use serde::Serialize;

/// An exact amount of money.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Amount {
    /// Decimal with six places, such as "1.250000": never to be rounded.
    amount: String,
    /// ISO 4217 code or token symbol, such as "EUR".
    currency: String,
}

impl From<&Money> for Amount {
    fn from(money: &Money) -> Self {
        Self { amount: money.decimal(), currency: money.currency.to_string() }
    }
}

/// What can be played.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Titles {
    titles: Vec<Title>,
}

/// Something that can be played.
#[derive(Debug, Serialize, JsonSchema)]
struct Title {
    /// For the other tools.
    id: String,
    name: String,
    description: String,
    /// Whether a machine could take a session right now.
    available: bool,
}

impl From<Vec<api::Title>> for Titles {
    fn from(titles: Vec<api::Title>) -> Self {
        let title = |title: api::Title| Title {
            id: title.entry.id.to_string(),
            name: title.entry.name,
            description: title.entry.description,
            available: title.available,
        };
        Self { titles: titles.into_iter().map(title).collect() }
    }
}

/// What an hour costs, and until when that binds.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct QuoteAnswer {
    /// Goes into start_session as `quote`; its prices then hold.
    quote: String,
    title: String,
    /// The most that an hour costs, on whichever machine, fee included. Time is billed by the microsecond.
    price_per_hour: Amount,
    /// What an hour costs on the cheapest machine.
    lowest_price_per_hour: Amount,
    /// The platform's share of it, in thousandths.
    fee_permille: u16,
    /// Until when it binds, Unix milliseconds.
    valid_until_ms: u64,
}

impl From<Quote> for QuoteAnswer {
    fn from(quote: Quote) -> Self {
        Self {
            price_per_hour: (&quote.price_per_hour).into(),
            lowest_price_per_hour: (&quote.lowest_price_per_hour).into(),
            quote: quote.quote,
            title: quote.title.to_string(),
            fee_permille: quote.fee_permille,
            valid_until_ms: quote.valid_until_ms,
        }
    }
}

/// A session that holds a machine, and how to reach it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Started {
    session: SessionAnswer,
    /// Secret of whoever plays: opens `signal_url` while the session lives.
    ticket: String,
    /// WebSocket on which a player connects.
    signal_url: String,
    /// Seed (32 bytes, hex) of the Ed25519 key that countersigns receipts, where none was given: for whoever plays.
    #[serde(skip_serializing_if = "Option::is_none")]
    player_key_seed: Option<String>,
}

impl Started {
    pub(crate) fn new(created: CreatedSession, signal_url: String, player_key_seed: Option<String>) -> Self {
        Self { session: created.session.into(), ticket: created.ticket, signal_url, player_key_seed }
    }
}

/// A session as it stands.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SessionAnswer {
    /// Its id, for session and stop_session.
    session: String,
    title: String,
    /// `starting`, `live` or `ended`.
    state: &'static str,
    /// The machine, as its owner calls it.
    node_name: String,
    /// Unix milliseconds.
    created_at_ms: u64,
    /// Unix milliseconds; absent while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at_ms: Option<u64>,
    /// Why it ended, in one word.
    #[serde(skip_serializing_if = "Option::is_none")]
    end_reason: Option<&'static str>,
    /// Receipts so far: one every ten seconds, signed by the machine.
    receipts: u32,
    /// Seconds billed so far. After the end, the last receipts may still come in.
    used_s: f64,
    /// What that costs.
    cost: Amount,
}

impl From<Session> for SessionAnswer {
    fn from(session: Session) -> Self {
        use nearframe_protocol::SessionState;
        Self {
            session: session.id.to_string(),
            title: session.title.to_string(),
            state: match session.state {
                SessionState::Starting => "starting",
                SessionState::Live => "live",
                SessionState::Ended => "ended",
            },
            node_name: session.node_name,
            created_at_ms: session.created_at_ms,
            ended_at_ms: session.ended_at_ms,
            end_reason: session.end_reason.map(|reason| reason.as_str()),
            receipts: session.receipts,
            used_s: session.used_s,
            cost: (&session.cost).into(),
        }
    }
}

/// What the account used in a month, and what that cost.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct UsageAnswer {
    /// Year and month in UTC, such as "2026-11".
    month: String,
    titles: Vec<TitleUsage>,
}

/// What was used of one title, in one currency.
#[derive(Debug, Serialize, JsonSchema)]
struct TitleUsage {
    title: String,
    /// Sessions with a receipt in that month.
    sessions: u64,
    /// Receipts.
    receipts: u64,
    /// Seconds billed.
    used_s: f64,
    /// What is owed, fee included.
    total: Amount,
}

impl UsageAnswer {
    pub(crate) fn new(month: String, rows: Vec<Usage>) -> Self {
        let usage = |row: Usage| TitleUsage {
            title: row.title.to_string(),
            sessions: row.leases,
            receipts: row.receipts,
            used_s: row.used_s,
            total: (&row.total).into(),
        };
        Self { month, titles: rows.into_iter().map(usage).collect() }
    }
}

/// What may still be spent.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Balance {
    /// The account that pays.
    account: Budget,
    /// The key, which spends within what its account may.
    key: Budget,
    /// The smaller of both `left`; absent: neither has a limit. A session sets an hour's price aside when it starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<Amount>,
    /// What the key opens: quotes, sessions, usage.
    scopes: Vec<&'static str>,
    /// When the key stops to work, Unix milliseconds; absent: when it is revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_expires_at_ms: Option<u64>,
}

/// A budget.
#[derive(Debug, Serialize, JsonSchema)]
struct Budget {
    name: String,
    /// The most that is ever set aside and spent; absent: without a limit of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<Amount>,
    /// Set aside or spent.
    committed: Amount,
    /// What is free of the limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<Amount>,
}

fn left(allowance: &Allowance) -> Option<Money> {
    let limit = allowance.limit.as_ref()?;
    let left_micros = (limit.amount_micros - allowance.committed.amount_micros).max(0);
    Some(Money { amount_micros: left_micros, currency: limit.currency.clone() })
}

impl Budget {
    fn new(name: String, allowance: &Allowance) -> Self {
        Self {
            name,
            limit: allowance.limit.as_ref().map(Amount::from),
            committed: (&allowance.committed).into(),
            left: left(allowance).as_ref().map(Amount::from),
        }
    }
}

impl Balance {
    /// `None`: the server does not take the caller for a key.
    pub(crate) fn new(me: Me) -> Option<Self> {
        let (account, key) = (me.account?, me.key?);
        let lefts = [left(&account.allowance), left(&key.allowance)];
        let least = lefts.into_iter().flatten().min_by_key(|left| left.amount_micros);
        Some(Self {
            account: Budget::new(account.name, &account.allowance),
            key: Budget::new(key.name, &key.allowance),
            left: least.as_ref().map(Amount::from),
            scopes: key.scopes.iter().map(|scope| scope.as_str()).collect(),
            key_expires_at_ms: key.expires_at_ms,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearframe_protocol::account::{Account, AccountKind, ApiKey, Scope};
    use nearframe_protocol::{AccountId, ApiKeyId, Currency};

    fn allowance(limit: Option<i128>, committed: i128) -> Allowance {
        let money = |amount_micros| Money { amount_micros, currency: Currency::new("EUR").unwrap() };
        Allowance { limit: limit.map(money), committed: money(committed) }
    }

    fn me(account: Allowance, key: Allowance) -> Me {
        let account = Account {
            id: AccountId::from_bytes([1; 16]),
            kind: AccountKind::Studio,
            name: "a".into(),
            created_at_ms: 0,
            allowance: account,
        };
        let key = ApiKey {
            id: ApiKeyId::from_bytes([2; 16]),
            name: "k".into(),
            prefix: String::new(),
            scopes: vec![Scope::Quotes],
            allowance: key,
            created_at_ms: 0,
            created_by: None,
            expires_at_ms: None,
            revoked_at_ms: None,
            last_used_ms: None,
        };
        Me { account: Some(account), key: Some(key), ..Me::default() }
    }

    #[test]
    fn what_is_left_is_the_smaller_of_both_and_never_below_nothing() {
        let left = |account, key| Balance::new(me(account, key)).unwrap().left.map(|left| left.amount);
        assert_eq!(left(allowance(Some(9), 2), allowance(Some(5), 1)).as_deref(), Some("0.000004"));
        assert_eq!(left(allowance(Some(9), 8), allowance(None, 8)).as_deref(), Some("0.000001"));
        assert_eq!(left(allowance(None, 8), allowance(None, 8)), None);
        assert_eq!(left(allowance(Some(3), 8), allowance(None, 8)).as_deref(), Some("0.000000"));
        assert!(Balance::new(Me::default()).is_none(), "a guest has no balance");
    }
}
