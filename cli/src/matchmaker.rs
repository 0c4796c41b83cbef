//! `[matchmaker]` turned into a matchmaker.

use crate::options::{Door as DoorOptions, Matchmaking};
use anyhow::{Context, Result, bail};
use nearframe_matchmaker::tls::Door;
use nearframe_matchmaker::{Config, IceConfig};
use nearframe_protocol::Currency;
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
        ice: ice(options)?,
        ..Config::default()
    };
    if let Some(price) = options.price_micros_per_hour {
        config.price_micros_per_hour = price;
    }
    if let Some(code) = &options.currency {
        config.currency = Currency::new(code).with_context(|| format!("currency = {code:?}"))?;
    }
    Ok(config)
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
