//! `[node]` turned into a node agent.

use crate::options::{Enrolment, Node as NodeOptions};
use anyhow::{Context, Result, bail};
use nearframe_matchmaker::tls::network_addresses;
use nearframe_protocol::network::MediaNetwork;
use nearframe_protocol::terms::{Evidence, Location};
use nearframe_protocol::title::Trust;
use nearframe_protocol::{Currency, Money, TitleId};
use nearframe_server::agent::Config;
use nearframe_server::encoders;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::{env, fs};
use url::Url;

/// Enough for a busy 1080p60 picture with OpenH264; above it, the picture gains little.
const DEFAULT_MAX_BITRATE_BPS: u32 = 10_000_000;
/// What a session may be allowed at all, in bit/s: a picture is recognisable above the first.
const BITRATES_BPS: std::ops::RangeInclusive<u32> = 300_000..=100_000_000;
/// Dearest hour of standing by, in micro-units: a million units of the currency.
const MOST_STANDBY_MICROS: u64 = 1_000_000_000_000;
/// Sessions that one machine may offer.
const SLOTS: std::ops::RangeInclusive<u32> = 1..=256;

/// Whom the node serves.
pub(crate) struct Membership {
    /// The matchmaker's address.
    pub(crate) matchmaker: Url,
    /// SHA-256 of the root that vouches for it, where no public authority does.
    pub(crate) pin: Option<[u8; 32]>,
    /// A one-time code, for a node that the matchmaker does not know yet.
    pub(crate) enrolment_code: Option<String>,
}

impl Membership {
    /// `[enrolment]`, checked.
    pub(crate) fn from_options(options: &Enrolment) -> Result<Self> {
        let text = options.matchmaker.as_deref().context(
            "matchmaker is missing: name the address to serve with --matchmaker URL, such as https://play.example.org",
        )?;
        let allowed = "allowed is an address such as https://play.example.org";
        let mut matchmaker = Url::parse(text).with_context(|| format!("matchmaker = {text:?}: {allowed}"))?;
        if !matches!(matchmaker.scheme(), "http" | "https") || matchmaker.host().is_none() {
            bail!("matchmaker = {text:?}: {allowed}");
        }
        let (told_pin, told_code) = told(&matchmaker)?;
        matchmaker.set_fragment(None);
        let pin = options.pin.as_deref().map(pin).transpose()?.or(told_pin);
        Ok(Self { matchmaker, pin, enrolment_code: options.enrolment_code.clone().or(told_code) })
    }
}

/// What an operator's page puts behind the address: `#sha256=…&code=…`.
fn told(matchmaker: &Url) -> Result<(Option<[u8; 32]>, Option<String>)> {
    let (mut told_pin, mut code) = (None, None);
    for part in matchmaker.fragment().unwrap_or_default().split('&').filter(|part| !part.is_empty()) {
        match part.split_once('=') {
            Some(("sha256", text)) => told_pin = Some(pin(text)?),
            Some(("code", text)) => code = Some(text.to_owned()),
            _ => bail!(
                "matchmaker: behind # stand sha256=… and code=…, as an operator's page gives them, not {part:?}"
            ),
        }
    }
    Ok((told_pin, code))
}

/// Puts a node's configuration together. `reached_at` is where players reach the machine; media goes
/// the same way unless told otherwise.
pub(crate) fn configure(
    options: &NodeOptions,
    membership: Membership,
    data: &Path,
    reached_at: IpAddr,
) -> Result<Config> {
    let slots = options.slots;
    if let Some(slots) = slots.filter(|slots| !SLOTS.contains(slots)) {
        bail!("slots = {slots}: allowed are {} to {}", SLOTS.start(), SLOTS.end());
    }
    let max_bitrate_bps = options.max_bitrate_bps.unwrap_or(DEFAULT_MAX_BITRATE_BPS);
    if !BITRATES_BPS.contains(&max_bitrate_bps) {
        let (least, most) = (BITRATES_BPS.start(), BITRATES_BPS.end());
        bail!("max_bitrate_bps = {max_bitrate_bps}: allowed are {least} to {most}");
    }
    let titles = match &options.titles {
        Some(folder) => {
            Some(folder.canonicalize().with_context(|| format!("titles = {}", folder.display()))?)
        }
        None => None,
    };
    Ok(Config {
        matchmaker: membership.matchmaker,
        pin: membership.pin,
        enrolment_code: membership.enrolment_code,
        data_dir: data.to_owned(),
        titles,
        name: options.name.clone().unwrap_or_else(host_name),
        region: region(options)?,
        location: location(options)?,
        prepare: prepare(options)?,
        least_trust: least_trust(options)?,
        slots,
        standby_price_micros: standby_price(options)?,
        network: network(options, reached_at)?,
        max_bitrate_bps,
        video: encoders::options(encoders::Settings {
            encoder: options.encoder.as_deref(),
            nvenc_preset: options.nvenc_preset.as_deref(),
            nvenc_intra_refresh: options.nvenc_intra_refresh,
            nvidia_libraries: options.nvidia_libraries.as_deref(),
        })?,
        worker_log: None,
        worker_exe: env::current_exe().context("finding the program itself, to start sessions with")?,
    })
}

fn prepare(options: &NodeOptions) -> Result<Vec<TitleId>> {
    let ids = options.prepare.iter().flatten();
    ids.map(|id| TitleId::new(id).with_context(|| format!("prepare = {id:?}"))).collect()
}

/// `standby_price`: a decimal amount in whatever the matchmaker counts in.
fn standby_price(options: &NodeOptions) -> Result<Option<u64>> {
    let Some(text) = options.standby_price.as_deref() else { return Ok(None) };
    // The matchmaker says what it counts in, so any currency does here.
    let amount = Currency::new("EUR").and_then(|currency| Money::of_decimal(text, currency)).ok();
    let micros = amount.and_then(|money| u64::try_from(money.amount_micros).ok());
    match micros.filter(|micros| *micros <= MOST_STANDBY_MICROS) {
        Some(micros) => Ok(Some(micros)),
        None => bail!("standby_price = {text:?}: allowed are amounts of zero or more such as 0.05"),
    }
}

fn least_trust(options: &NodeOptions) -> Result<Trust> {
    match options.least_trust.as_deref() {
        None | Some("sandboxed") => Ok(Trust::Sandboxed),
        Some("reviewed") => Ok(Trust::Reviewed),
        Some(other) => bail!("least_trust = {other:?}: allowed are reviewed and sandboxed"),
    }
}

fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "nearframe".to_owned() } else { name.trim().to_owned() }
}

/// `region`: ISO 3166-1 alpha-2, with an optional subdivision (ISO 3166-2); empty where unknown.
fn region(options: &NodeOptions) -> Result<String> {
    let Some(code) = options.region.as_deref() else { return Ok(String::new()) };
    let (country, subdivision) = code.split_once('-').unwrap_or((code, "0"));
    let fits = country.len() == 2
        && country.bytes().all(|byte| byte.is_ascii_uppercase())
        && (1..=3).contains(&subdivision.len())
        && subdivision.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    if !fits {
        bail!("region = {code:?}: allowed are codes of ISO 3166 such as DE or US-CA");
    }
    Ok(code.to_owned())
}

/// `location`: degrees north and east.
fn location(options: &NodeOptions) -> Result<Option<Location>> {
    let Some(text) = options.location.as_deref() else { return Ok(None) };
    let place = text.split_once(',').and_then(|(north, east)| {
        Some((north.trim().parse::<f64>().ok()?, east.trim().parse::<f64>().ok()?))
    });
    match place {
        Some((north, east)) if (-90.0..=90.0).contains(&north) && (-180.0..=180.0).contains(&east) => {
            let evidence = Evidence::Declared;
            Ok(Some(Location { latitude_deg: north, longitude_deg: east, asn: None, evidence }))
        }
        _ => bail!("location = {text:?}: allowed are degrees north and east, such as 52.52,13.40"),
    }
}

fn network(options: &NodeOptions, reached_at: IpAddr) -> Result<MediaNetwork> {
    let bind = match &options.media_bind {
        Some(addresses) if addresses.is_empty() => bail!("media_bind needs at least one address"),
        Some(addresses) => addresses.clone(),
        None if !reached_at.is_unspecified() => vec![reached_at],
        // Loopback stays among them, for a browser on this machine without any network.
        None => network_addresses().into_iter().chain([Ipv4Addr::LOCALHOST.into()]).collect(),
    };
    let udp_ports = options.media_ports.as_deref().map(ports).transpose()?.unwrap_or((0, 0));
    Ok(MediaNetwork {
        bind,
        advertise: options.media_advertise.clone().unwrap_or_default(),
        udp_ports,
        ice_tcp: options.ice_tcp.unwrap_or(false),
    })
}

fn ports(text: &str) -> Result<(u16, u16)> {
    let parsed = text.split_once('-').and_then(|(first, last)| {
        Some((first.trim().parse::<u16>().ok()?, last.trim().parse::<u16>().ok()?))
    });
    match parsed {
        Some((first, last)) if 0 < first && first <= last => Ok((first, last)),
        _ => bail!("media_ports = {text:?}: allowed is a range such as 40000-40099"),
    }
}

/// Reads a SHA-256 as the matchmaker prints it.
pub(crate) fn pin(text: &str) -> Result<[u8; 32]> {
    let bytes = hex::decode(text.replace([':', ' '], "")).ok();
    bytes.and_then(|bytes| bytes.try_into().ok()).with_context(|| {
        format!("pin = {text:?}: allowed is a SHA-256 in hex, 64 digits, as the matchmaker prints it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member() -> Membership {
        Membership { matchmaker: Url::parse("http://127.0.0.1:1").unwrap(), pin: None, enrolment_code: None }
    }

    fn configured(options: &NodeOptions, reached_at: &str) -> Result<Config> {
        configure(options, member(), Path::new("/data"), reached_at.parse().unwrap())
    }

    #[test]
    fn an_address_brings_its_pin_and_its_code() {
        let of = |text: &str| {
            let options = Enrolment { matchmaker: Some(text.to_owned()), ..Enrolment::default() };
            Membership::from_options(&options)
        };
        let member =
            of(&format!("https://play.example.org:8443/#sha256={}&code=abc_-1", "0a".repeat(32))).unwrap();
        assert_eq!(member.matchmaker.as_str(), "https://play.example.org:8443/");
        assert_eq!((member.pin, member.enrolment_code.as_deref()), (Some([10; 32]), Some("abc_-1")));
        let plain = of("http://127.0.0.1:1#code=x").unwrap();
        assert_eq!((plain.pin, plain.enrolment_code.as_deref()), (None, Some("x")));
        assert!(of("http://127.0.0.1:1#sha256=12").is_err() && of("http://127.0.0.1:1#cod=x").is_err());
    }

    #[test]
    fn media_stays_on_loopback_while_the_door_does() {
        let config = configured(&NodeOptions::default(), "127.0.0.1").unwrap();
        assert_eq!(config.network.bind, [IpAddr::from([127, 0, 0, 1])]);
    }

    #[test]
    fn a_refusal_names_its_key() {
        let wrong = [
            ("prepare", NodeOptions { prepare: Some(vec!["A b".to_owned()]), ..NodeOptions::default() }),
            ("least_trust", NodeOptions { least_trust: Some("none".to_owned()), ..NodeOptions::default() }),
            ("standby_price", NodeOptions { standby_price: Some("-1".to_owned()), ..NodeOptions::default() }),
            ("slots", NodeOptions { slots: Some(0), ..NodeOptions::default() }),
            ("max_bitrate_bps", NodeOptions { max_bitrate_bps: Some(1), ..NodeOptions::default() }),
            ("region", NodeOptions { region: Some("Germany".to_owned()), ..NodeOptions::default() }),
            ("location", NodeOptions { location: Some("91,0".to_owned()), ..NodeOptions::default() }),
            ("media_ports", NodeOptions { media_ports: Some("9-1".to_owned()), ..NodeOptions::default() }),
            ("media_bind", NodeOptions { media_bind: Some(Vec::new()), ..NodeOptions::default() }),
            ("titles", NodeOptions { titles: Some("/nonexistent".into()), ..NodeOptions::default() }),
        ];
        for (key, options) in wrong {
            let text = format!("{:#}", configured(&options, "127.0.0.1").map(drop).expect_err(key));
            assert!(text.starts_with(key), "{text}");
        }
    }

    #[test]
    fn a_place_is_read_in_both_hemispheres() {
        let at = |text: &str| NodeOptions { location: Some(text.to_owned()), ..NodeOptions::default() };
        let place = configured(&at("-33.87, 151.21"), "127.0.0.1").unwrap().location.unwrap();
        assert_eq!((place.latitude_deg, place.longitude_deg), (-33.87, 151.21));
        assert!(configured(&at("Sydney"), "127.0.0.1").is_err());
    }

    #[test]
    fn the_price_of_standing_by_is_a_decimal_amount() {
        let with =
            |text: &str| NodeOptions { standby_price: Some(text.to_owned()), ..NodeOptions::default() };
        let micros = |text| configured(&with(text), "127.0.0.1").unwrap().standby_price_micros;
        assert_eq!((micros("0.05"), micros("0")), (Some(50_000), Some(0)));
        assert_eq!(configured(&NodeOptions::default(), "127.0.0.1").unwrap().standby_price_micros, None);
    }

    #[test]
    fn a_pin_is_read_with_or_without_colons() {
        let colons = ["AB"; 32].join(":");
        assert_eq!(pin(&colons).unwrap(), [0xab; 32]);
        assert!(pin("abcd").is_err());
    }

    #[test]
    fn a_node_without_a_matchmaker_says_how_to_name_one() {
        let text = Membership::from_options(&Enrolment::default()).map(drop).unwrap_err().to_string();
        assert!(text.contains("--matchmaker"), "{text}");
    }
}
