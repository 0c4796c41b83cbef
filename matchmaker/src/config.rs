//! Configuration: one schema, with defaults that open nothing, refused before anything starts.

use crate::{Error, OidcProvider, Result};
use nearframe_ledger::payout::{Bic, Iban};
use nearframe_ledger::rates::{Rate, RateCard};
use nearframe_protocol::Currency;
use nearframe_protocol::account::AccountKind;
use nearframe_protocol::check::draw::{HOURS, Rules};
use nearframe_trust::credit::CreditRules;
use nearframe_trust::stake::Rules as StakeRules;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// What the matchmaker is told. Unknown keys are errors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Folder of the database and of assets; created when missing.
    pub data_dir: PathBuf,
    /// A PostgreSQL database, such as `postgres://user@host/nearframe`, that keeps the record instead of a file
    /// in `data_dir`.
    pub database_url: Option<String>,
    /// NATS servers, such as `nats://host:4222`, by which several matchmakers on one database reach each other.
    pub bus_url: Option<String>,
    /// Databases of addresses in MaxMind's format, at most 4: where players probably are, until they measured. Without
    /// any, nothing is guessed.
    pub address_databases: Vec<PathBuf>,
    /// Origins beside our own, such as `https://games.example`, that may embed the player, call the API
    /// and open sockets: one list for CORS, WebSocket origins and `frame-ancestors`.
    pub allowed_origins: Vec<String>,
    /// How players reach this server. With `https`, cookies are marked `Secure`.
    pub public_url: Option<Url>,
    /// SHA-256 of the served certificate, hex, where nodes are to pin it; part of enrolment codes.
    pub certificate_pin: Option<String>,
    /// Who vouches for identities that members sign in with.
    pub oidc_providers: Vec<OidcProvider>,
    /// Kinds of account that whoever comes with an unknown identity may make: players, studios. An account may spend
    /// nothing until an operator lets it.
    pub new_accounts: Vec<AccountKind>,
    /// STUN and TURN.
    pub ice: IceConfig,
    /// Price of an hour, in micro-units of `currency`.
    pub price_micros_per_hour: i64,
    /// Rates that differ from it, by kind of work, region and GPU tier. With it, they are a version of the rate card.
    pub rates: Vec<Rate>,
    /// The platform's share of the price, in thousandths.
    pub fee_permille: u16,
    /// What prices are counted in.
    pub currency: Currency,
    /// Who bills, line by line: name, address, tax number. Stands on every invoice.
    pub company: Vec<String>,
    /// The account that hosts are paid from (IBAN); its holder is the first line of `company`.
    pub payer_iban: Option<String>,
    /// Its bank (BIC), where it has to be named.
    pub payer_bic: Option<String>,
    /// Decimals of the token that claims are counted in.
    pub token_decimals: u8,
    /// How long machines may bid for a reservation, in seconds: one half to seal what they ask, the other to open it.
    pub auction_s: u32,
    /// A session that never became live ends after this, in seconds.
    pub connect_timeout_s: u32,
    /// Nodes that ran sessions before a restart have this long to call again, in seconds.
    pub restart_grace_s: u32,
    /// Webhooks may also name plain HTTP, and hosts that are not public: for tests, and networks that are closed.
    pub private_webhooks: bool,
    /// What is asked of hosts before they have what they earned.
    pub trust: TrustConfig,
    /// How often nodes are audited by checkers.
    pub checks: Rules,
    /// What one guest and one address may do.
    pub limits: Limits,
}

/// What is asked of hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrustConfig {
    /// What a machine earns is held for so many hours after its enrolment.
    pub new_host_hours: u32,
    /// And until so many sessions have ended on it.
    pub new_host_sessions: u32,
    /// Whether what witnesses say is judged, and cases are opened.
    pub judge: bool,
    /// What hosts stake, and lose for what.
    pub stake: StakeRules,
    /// What is credited where less was given than promised.
    pub credit: CreditRules,
}

impl Default for TrustConfig {
    fn default() -> Self {
        let (stake, credit) = (StakeRules::default(), CreditRules::default());
        Self { new_host_hours: 72, new_host_sessions: 3, judge: true, stake, credit }
    }
}

/// STUN and TURN servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IceConfig {
    /// `stun:host:port` or `stuns:…`.
    pub stun: Vec<String>,
    /// `turn:host:port?transport=udp` or `turns:…`.
    pub turn: Vec<String>,
    /// The secret shared with the TURN server (coturn: `static-auth-secret`).
    pub turn_secret: Option<String>,
}

/// Limits against abuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Sessions that a guest may have at once.
    pub sessions_per_guest: u32,
    /// Sessions that one address may ask for in a minute.
    pub sessions_per_minute: u32,
    /// WebSockets that one address may open in a minute.
    pub sockets_per_minute: u32,
    /// Requests of sign-ins that one address may make in a minute; one sign-in takes two or three.
    pub sign_ins_per_minute: u32,
    /// Messages that one key may send to `/mcp` in a minute; a tool's call is one, and a start takes two or three.
    pub agent_messages_per_minute: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions_per_guest: 8,
            sessions_per_minute: 120,
            sockets_per_minute: 600,
            sign_ins_per_minute: 60,
            agent_messages_per_minute: 300,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("nearframe-data"),
            database_url: None,
            bus_url: None,
            address_databases: Vec::new(),
            allowed_origins: Vec::new(),
            public_url: None,
            certificate_pin: None,
            oidc_providers: Vec::new(),
            new_accounts: vec![AccountKind::Player],
            ice: IceConfig::default(),
            price_micros_per_hour: 0,
            rates: Vec::new(),
            fee_permille: 200,
            currency: Currency::new("EUR").expect("EUR is a currency code"),
            company: Vec::new(),
            payer_iban: None,
            payer_bic: None,
            token_decimals: 6,
            auction_s: 10,
            connect_timeout_s: 30,
            restart_grace_s: 10,
            private_webhooks: false,
            trust: TrustConfig::default(),
            checks: Rules::default(),
            limits: Limits::default(),
        }
    }
}

impl Config {
    /// Refuses what cannot work, naming the key and what is allowed.
    pub fn check(&self) -> Result<()> {
        let bad = |key, allowed| Err(Error::Config { key, allowed });
        if self.data_dir.as_os_str().is_empty() {
            return bad("data_dir", "a folder");
        }
        let is_postgres =
            |url: &String| ["postgres://", "postgresql://"].iter().any(|it| url.starts_with(it));
        if !self.database_url.iter().all(is_postgres) {
            return bad("database_url", "an address such as postgres://user@host/nearframe");
        }
        let is_nats = |url: &str| ["nats://", "tls://"].iter().any(|it| url.starts_with(it));
        if self.bus_url.iter().any(|urls| !urls.split(',').all(is_nats)) {
            return bad("bus_url", "addresses such as nats://host:4222, with commas between them");
        }
        if self.bus_url.is_some() && self.database_url.is_none() {
            return bad(
                "bus_url",
                "to be given together with database_url: replicas share a PostgreSQL database",
            );
        }
        if self.address_databases.len() > crate::placing::addresses::MOST_DATABASES {
            return bad("address_databases", "at most 4 files");
        }
        for origin in &self.allowed_origins {
            if parse_origin(origin).is_none_or(|parsed| parsed != *origin) {
                return bad("allowed_origins", "origins such as https://games.example, without a path");
            }
        }
        if self.public_url.as_ref().is_some_and(|url| !matches!(url.scheme(), "http" | "https")) {
            return bad("public_url", "an http or https address");
        }
        for (at, provider) in self.oidc_providers.iter().enumerate() {
            provider.check()?;
            if self.oidc_providers[..at].iter().any(|other| other.id == provider.id) {
                return bad("oidc_providers", "files with different names");
            }
        }
        if self.new_accounts.iter().any(|kind| !matches!(kind, AccountKind::Player | AccountKind::Studio)) {
            return bad("new_accounts", "player and studio; hosts and operators are invited");
        }
        let is_hash = |pin: &String| pin.len() == 64 && pin.bytes().all(|b| b.is_ascii_hexdigit());
        if !self.certificate_pin.iter().all(is_hash) {
            return bad("certificate_pin", "a SHA-256 in hex, 64 digits");
        }
        let all_start = |urls: &[String], schemes: [&str; 2]| {
            urls.iter().all(|url| schemes.iter().any(|scheme| url.starts_with(scheme)))
        };
        if !all_start(&self.ice.stun, ["stun:", "stuns:"]) {
            return bad("ice.stun", "addresses such as stun:host:3478");
        }
        if !all_start(&self.ice.turn, ["turn:", "turns:"]) {
            return bad("ice.turn", "addresses such as turn:host:3478?transport=udp");
        }
        if !self.ice.turn.is_empty() && self.ice.turn_secret.as_deref().unwrap_or_default().is_empty() {
            return bad("ice.turn_secret", "the TURN server's shared secret; TURN needs one");
        }
        if self.price_micros_per_hour < 0 {
            return bad("price_micros_per_hour", "0 or more");
        }
        if self.fee_permille > 1000 {
            return bad("fee_permille", "0 to 1000");
        }
        let is_line =
            |line: &String| (1..=70).contains(&line.chars().count()) && !line.chars().any(char::is_control);
        if self.company.len() > 8 || !self.company.iter().all(is_line) {
            return bad("company", "at most 8 lines of 1 to 70 characters, the name first");
        }
        if !self.payer_iban.iter().all(|iban| iban.parse::<Iban>().is_ok()) {
            return bad("payer_iban", "an IBAN whose checksum is right");
        }
        if self.payer_iban.is_some() && self.company.is_empty() {
            return bad(
                "payer_iban",
                "to be given together with company, whose first line holds the account",
            );
        }
        if !self.payer_bic.iter().all(|bic| bic.parse::<Bic>().is_ok()) {
            return bad("payer_bic", "a BIC of 8 or 11 letters and digits");
        }
        if self.token_decimals > 18 {
            return bad("token_decimals", "0 to 18");
        }
        self.card().check()?;
        if !(2..=3600).contains(&self.auction_s) {
            return bad("auction_s", "2 to 3600");
        }
        if !(1..=3600).contains(&self.connect_timeout_s) {
            return bad("connect_timeout_s", "1 to 3600");
        }
        if !(3..=3600).contains(&self.restart_grace_s) {
            return bad("restart_grace_s", "3 to 3600");
        }
        if self.trust.new_host_hours > 24 * 366 {
            return bad("trust.new_host_hours", "at most a year, 8784");
        }
        if let Err(wrong) = self.trust.stake.check() {
            return bad(wrong.key, wrong.allowed);
        }
        if let Err((key, allowed)) = self.trust.credit.check() {
            return bad(key, allowed);
        }
        if self.checks.new_per_day > HOURS || self.checks.per_day > HOURS {
            return bad("checks", "at most 24 audits a day");
        }
        let limits = self.limits;
        let each = [
            limits.sessions_per_guest,
            limits.sessions_per_minute,
            limits.sockets_per_minute,
            limits.sign_ins_per_minute,
            limits.agent_messages_per_minute,
        ];
        if each.contains(&0) {
            return bad("limits", "1 or more each");
        }
        Ok(())
    }

    /// Whether players come over TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.public_url.as_ref().is_some_and(|url| url.scheme() == "https")
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_secs(self.connect_timeout_s.into())
    }

    /// The rate card that it says.
    pub(crate) fn card(&self) -> RateCard {
        let flat = RateCard::flat(self.currency.clone(), self.fee_permille, self.price_micros_per_hour);
        let rates = flat.rates.iter().chain(&self.rates).cloned().collect();
        RateCard { rates, ..flat }
    }

    /// What a session costs where no rate differs.
    #[cfg(test)]
    pub(crate) fn tariff(&self) -> nearframe_ledger::Tariff {
        nearframe_ledger::Tariff {
            price_micros_per_hour: self.price_micros_per_hour,
            fee_permille: self.fee_permille,
            currency: self.currency.clone(),
        }
    }
}

/// The origin (RFC 6454, ASCII form) of an `Origin` header or configuration value.
pub(crate) fn parse_origin(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let web = matches!(url.scheme(), "http" | "https") && url.host().is_some();
    web.then(|| url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_right() {
        Config::default().check().unwrap();
    }

    #[test]
    fn a_wrong_value_is_refused_naming_its_key() {
        let turn = IceConfig { turn: vec!["turn:t:1".into()], ..IceConfig::default() };
        let twice = Config::default().card().rates.remove(0);
        let cases = [
            (
                Config { allowed_origins: vec!["https://a.example/x".into()], ..Config::default() },
                "allowed_origins",
            ),
            (Config { allowed_origins: vec!["*".into()], ..Config::default() }, "allowed_origins"),
            (Config { public_url: Some(Url::parse("ftp://a").unwrap()), ..Config::default() }, "public_url"),
            (Config { ice: turn, ..Config::default() }, "ice.turn_secret"),
            (Config { price_micros_per_hour: -1, ..Config::default() }, "price_micros_per_hour"),
            (Config { fee_permille: 1001, ..Config::default() }, "fee_permille"),
            (Config { rates: vec![twice], ..Config::default() }, "rates"),
            (Config { payer_iban: Some("NL91ABNA0417164301".into()), ..Config::default() }, "payer_iban"),
            (Config { token_decimals: 19, ..Config::default() }, "token_decimals"),
            (Config { company: vec!["x".repeat(71)], ..Config::default() }, "company"),
            (Config { auction_s: 1, ..Config::default() }, "auction_s"),
            (Config { connect_timeout_s: 0, ..Config::default() }, "connect_timeout_s"),
            (Config { restart_grace_s: 0, ..Config::default() }, "restart_grace_s"),
            (Config { bus_url: Some("nats://h".into()), ..Config::default() }, "bus_url"),
            (Config { new_accounts: vec![AccountKind::Host], ..Config::default() }, "new_accounts"),
        ];
        for (config, key) in cases {
            let message = config.check().unwrap_err().to_string();
            assert!(message.starts_with(key), "{message}");
        }
    }
}
