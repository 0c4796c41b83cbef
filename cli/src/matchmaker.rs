//! `[matchmaker]` turned into a matchmaker.

use crate::oidc;
use crate::options::{Door as DoorOptions, Matchmaking};
use anyhow::{Context, Result, bail};
use nearframe_ledger::rates::Rate;
use nearframe_matchmaker::tls::Door;
use nearframe_matchmaker::{Config, IceConfig};
use nearframe_protocol::Currency;
use nearframe_protocol::prices::Work;
use serde::de::DeserializeOwned;
use std::fs;
use std::path::Path;
use url::Url;

/// Puts a matchmaker's configuration together; its database lives in `data`, or where `database_url` says.
pub(crate) fn configure(
    door: &Door,
    door_options: &DoorOptions,
    options: &Matchmaking,
    data: &Path,
) -> Result<Config> {
    let mut config = Config {
        data_dir: data.to_owned(),
        database_url: options.database_url.clone(),
        bus_url: options.bus_url.clone(),
        address_databases: options.address_databases.clone().unwrap_or_default(),
        allowed_origins: door_options.allowed_origins.clone().unwrap_or_default(),
        public_url: Some(Url::parse(door.url()).context("the door's address")?),
        certificate_pin: door.pin().map(hex::encode),
        oidc_providers: oidc::providers(options)?,
        ice: ice(options)?,
        company: options.company.clone().unwrap_or_default(),
        payer_iban: options.payer_iban.clone(),
        payer_bic: options.payer_bic.clone(),
        private_webhooks: options.private_webhooks.unwrap_or_default(),
        ..Config::default()
    };
    config.auction_s = options.auction_s.unwrap_or(config.auction_s);
    if let Some(decimals) = options.token_decimals {
        config.token_decimals = decimals;
    }
    if let Some(kinds) = &options.new_accounts {
        config.new_accounts = oidc::new_accounts(kinds)?;
    }
    let trust = &mut config.trust;
    trust.new_host_hours = options.new_host_hours.unwrap_or(trust.new_host_hours);
    trust.new_host_sessions = options.new_host_sessions.unwrap_or(trust.new_host_sessions);
    trust.judge = options.judge.unwrap_or(trust.judge);
    if let Some(path) = &options.stake_rules {
        trust.stake = table(path).with_context(|| format!("stake_rules: {}", path.display()))?;
    }
    if let Some(path) = &options.credit_rules {
        trust.credit = table(path).with_context(|| format!("credit_rules: {}", path.display()))?;
    }
    let checks = &mut config.checks;
    checks.new_days = options.check_new_days.unwrap_or(checks.new_days);
    checks.new_per_day = options.check_new_per_day.unwrap_or(checks.new_per_day);
    checks.per_day = options.check_per_day.unwrap_or(checks.per_day);
    if let Some(price) = options.price_micros_per_hour {
        config.price_micros_per_hour = price;
    }
    for text in options.rates.iter().flatten() {
        config.rates.push(rate(text).with_context(|| format!("rates: {text:?}"))?);
    }
    if let Some(code) = &options.currency {
        config.currency = Currency::new(code).with_context(|| format!("currency = {code:?}"))?;
    }
    Ok(config)
}

/// Reads a table of rules from a file of its own; the error names the line, the key and what is allowed.
fn table<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path)?;
    toml::from_str(&text).map_err(|error| anyhow::anyhow!("{}", error.to_string().trim_end()))
}

/// Reads `WORK[@REGION][/TIER]=MICROS`.
fn rate(text: &str) -> Result<Rate> {
    let form = "expected WORK[@REGION][/TIER]=MICROS, such as interactive@DE/4=900000";
    let (place, micros) = text.split_once('=').context(form)?;
    let (place, gpu_tier) = match place.split_once('/') {
        Some((place, tier)) => (place, tier.parse().context(form)?),
        None => (place, 0),
    };
    let (work, region) = place.split_once('@').unwrap_or((place, ""));
    let work = Work::parse(work).context("WORK is interactive, batch or reserve")?;
    let price_micros_per_hour = micros.parse().context(form)?;
    Ok(Rate { work, region: region.to_owned(), gpu_tier, price_micros_per_hour })
}

fn ice(options: &Matchmaking) -> Result<IceConfig> {
    let turn = options.turn.clone().unwrap_or_default();
    let turn_secret = match &options.turn_secret_file {
        Some(path) => {
            let secret =
                fs::read_to_string(path).with_context(|| format!("turn_secret_file = {}", path.display()))?;
            Some(secret.trim().to_owned())
        }
        None if !turn.is_empty() => {
            bail!("turn needs turn_secret_file, a file with the secret shared with the TURN servers")
        }
        None => None,
    };
    Ok(IceConfig { stun: options.stun.clone().unwrap_or_default(), turn, turn_secret })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_by_work_region_and_tier() {
        let read = |text: &str| {
            rate(text).map(|rate| (rate.work, rate.region, rate.gpu_tier, rate.price_micros_per_hour))
        };
        assert_eq!(read("batch=200000").unwrap(), (Work::Batch, String::new(), 0, 200_000));
        assert_eq!(
            read("interactive@DE/4=900000").unwrap(),
            (Work::Interactive, "DE".to_owned(), 4, 900_000)
        );
        assert_eq!(read("reserve@US-CA=1").unwrap(), (Work::Reserve, "US-CA".to_owned(), 0, 1));
        assert_eq!(read("interactive/7=0").unwrap(), (Work::Interactive, String::new(), 7, 0));
        for wrong in ["", "batch", "play=1", "batch=1.5", "batch/x=1", "batch@DE"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn tables_of_rules_are_read_from_files_of_their_own() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rules.toml");
        let mut trust = nearframe_matchmaker::TrustConfig::default();
        let stake = "version = 2\nnotice_days = 30\n[[tiers]]\ngpu_tier = 3\nleast_micros = 50000000\n\
                     [[kinds]]\nkind = \"cloned_key\"\npermille = 1000\n";
        fs::write(&path, stake).unwrap();
        trust.stake = table(&path).unwrap();
        let rules = &trust.stake;
        assert_eq!(
            (rules.version, rules.notice_days, rules.appeal_days),
            (2, 30, 14),
            "the rest is as usual"
        );
        assert_eq!((rules.tiers[0].gpu_tier, rules.kinds[0].permille), (3, 1000));
        fs::write(&path, "version = 3\nsteps = [{ below_ppm = 990000, permille = 300 }]\n").unwrap();
        trust.credit = table(&path).unwrap();
        assert_eq!((trust.credit.version, trust.credit.steps.len()), (3, 1));
        fs::write(&path, "notice = 30\n").unwrap();
        let wrong = table(&path).map(|rules| trust.stake = rules).unwrap_err().to_string();
        assert!(wrong.contains("notice"), "{wrong}");
    }

    #[test]
    fn turn_without_its_secret_is_refused_by_key() {
        let turn = Some(vec!["turn:turn.example.org:3478".to_owned()]);
        let text = ice(&Matchmaking { turn, ..Matchmaking::default() }).unwrap_err().to_string();
        assert!(text.contains("turn_secret_file"), "{text}");
    }

    #[test]
    fn the_secrets_last_line_end_is_not_part_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        fs::write(&path, "hush\n").unwrap();
        let found = ice(&Matchmaking { turn_secret_file: Some(path), ..Matchmaking::default() }).unwrap();
        assert_eq!(found.turn_secret.as_deref(), Some("hush"));
    }
}
