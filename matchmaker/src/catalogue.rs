//! What nodes may offer, and the catalogue made of it.

use crate::bus::words::{Answer, Question, ReplicaId};
use crate::http::problem::{Code, Problem};
use crate::state::Shared;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use nearframe_placement::Request;
use nearframe_placement::caps::GPU_TIERS;
use nearframe_placement::geo::Place;
use nearframe_protocol::TitleId;
use nearframe_protocol::api::Title;
use nearframe_protocol::link::{HeldTitle, NodeOffer};
use nearframe_protocol::terms::NodeTerms;

/// Largest cover, in bytes.
const MAX_COVER_BYTES: usize = 256 * 1024;
/// Titles a node may hold; a catalogue page shows all of them.
const MAX_TITLES: usize = 256;
/// Sessions that one machine could ever run at once.
const MAX_SLOTS: u32 = 1024;
/// Largest picture and rate that a node may claim to encode.
const MAX_PIXELS: u32 = 16_384;
const MAX_FPS: u32 = 1000;
/// Largest amount of a price or a pledge, in micro-units.
const MAX_MICROS: i128 = 1_000_000_000_000_000;
/// Controls a catalogue entry may list.
const MAX_CONTROLS: usize = 64;

/// A cover picture whose bytes are what they claim to be.
#[derive(Debug)]
pub(crate) struct Cover {
    pub(crate) bytes: Vec<u8>,
    pub(crate) content_type: &'static str,
}

impl Cover {
    /// Reads base64; refuses what is no PNG, JPEG or WebP by its first bytes, or too large.
    pub(crate) fn parse(base64: &str) -> Result<Self, &'static str> {
        if base64.len() > MAX_COVER_BYTES.div_ceil(3) * 4 {
            return Err("a cover has at most 256 KiB");
        }
        let bytes = BASE64_STANDARD.decode(base64).map_err(|_| "a cover is base64, standard and padded")?;
        let content_type = match bytes.as_slice() {
            [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => "image/png",
            [0xff, 0xd8, 0xff, ..] => "image/jpeg",
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
            _ => return Err("a cover is a PNG, JPEG or WebP picture"),
        };
        if bytes.len() > MAX_COVER_BYTES {
            return Err("a cover has at most 256 KiB");
        }
        Ok(Self { bytes, content_type })
    }
}

/// Says in each entry whether a picture came with it, in our words.
pub(crate) fn mark_covers(offer: &mut NodeOffer) {
    for HeldTitle { entry, cover_base64 } in &mut offer.titles {
        entry.cover = cover_base64.as_ref().map(|_| String::new());
    }
}

/// Refuses an offer that no honest node makes; what passes is safe to keep and to show.
pub(crate) fn check_offer(offer: &NodeOffer) -> Result<(), String> {
    let fits = |text: &str, most: usize| text.len() <= most && !text.contains(char::is_control);
    if offer.name.is_empty() || !fits(&offer.name, 128) {
        return Err("the node's name must have 1 to 128 bytes".to_owned());
    }
    if !fits(&offer.region, 16) || !fits(&offer.adapter, 256) {
        return Err("region (16 bytes) or adapter (256 bytes) is too long".to_owned());
    }
    check_terms(&offer.terms)?;
    if offer.encoders.len() > 16 || offer.encoders.iter().any(|encoder| !fits(encoder, 64)) {
        return Err("at most 16 encoders of 64 bytes".to_owned());
    }
    if let Some(signed) = &offer.capability {
        signed.capability.check().map_err(|why| format!("the report of what the node can do: {why}"))?;
    }
    if offer.slots > MAX_SLOTS || offer.titles.len() > MAX_TITLES {
        return Err(format!("at most {MAX_SLOTS} slots and {MAX_TITLES} titles"));
    }
    for (at, HeldTitle { entry, cover_base64 }) in offer.titles.iter().enumerate() {
        let sizes = (1..=128).contains(&entry.name.len())
            && entry.version.len() <= 64
            && entry.description.len() <= 2000
            && entry.controls.len() <= MAX_CONTROLS
            && entry.touch.buttons.len() <= 16;
        if !sizes {
            return Err(format!("the title {} is described too long", entry.id));
        }
        if offer.titles[..at].iter().any(|other| other.entry.id == entry.id) {
            return Err(format!("the title {} is held twice", entry.id));
        }
        if let Some(cover) = cover_base64 {
            Cover::parse(cover).map_err(|why| format!("the title {}: {why}", entry.id))?;
        }
    }
    Ok(())
}

/// Refuses terms that cannot be true.
fn check_terms(terms: &NodeTerms) -> Result<(), String> {
    if terms.codecs.len() > 16 || terms.codecs.iter().any(|codec| codec.len() > 32) {
        return Err("at most 16 codecs of 32 bytes".to_owned());
    }
    if terms.max_width > MAX_PIXELS || terms.max_height > MAX_PIXELS || terms.max_fps > MAX_FPS {
        return Err(format!("at most {MAX_PIXELS} × {MAX_PIXELS} pixels at {MAX_FPS} frames a second"));
    }
    if terms.gpu_tier > GPU_TIERS {
        return Err(format!("the GPU tier is 0 to {GPU_TIERS}"));
    }
    let amounts = [&terms.price_per_hour, &terms.stake];
    if amounts.into_iter().flatten().any(|money| !(0..=MAX_MICROS).contains(&money.amount_micros)) {
        return Err("price and stake are 0 to a billion".to_owned());
    }
    let place = terms.location.map(|at| Place::new(at.latitude_deg, at.longitude_deg));
    if place.is_some_and(|place| place.is_none()) {
        return Err("the location is no place on Earth".to_owned());
    }
    Ok(())
}

/// There is no such title.
pub(crate) fn unknown(id: &TitleId) -> Problem {
    let detail = format!("No connected machine holds the title {id}. See GET /v1/titles.");
    Problem::new(Code::UnknownTitle, detail)
}

/// The title as the catalogue has it.
pub(crate) fn held(shared: &Shared, id: &TitleId) -> Option<HeldTitle> {
    shared.fleet().title(id).map(|held| HeldTitle::clone(held))
}

/// A title's picture, base64: of a node that is linked here, or of one that is linked to another replica.
pub(crate) async fn cover(shared: &Shared, held: &HeldTitle) -> Option<String> {
    if held.cover_base64.is_some() || held.entry.cover.is_none() {
        return held.cover_base64.clone();
    }
    let replica = ReplicaId::from_raw(shared.fleet().home_of(held)?);
    let question = Question::Cover { title: held.entry.id.clone() };
    match shared.bus.ask(replica, question).await {
        Ok(Answer::Cover(cover)) => cover,
        _ => None,
    }
}

/// The catalogue.
pub(crate) fn titles(shared: &Shared) -> Vec<Title> {
    let rules = shared.placing.rules().clone();
    let fleet = shared.fleet();
    let titles = fleet.titles().map(|(id, held)| {
        let mut entry = held.entry.clone();
        // A node says in the entry whether it has a picture; where the picture is, is for us to say.
        entry.cover = entry.cover.map(|_| format!("/v1/titles/{id}/cover"));
        let available = fleet.can_take(&rules.request(Request::play(id.clone(), entry.hash)));
        Title { entry, available }
    });
    titles.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_that_cannot_be_true_are_refused() {
        use nearframe_protocol::terms::{Evidence, Location};
        use nearframe_protocol::{Currency, Money};
        assert_eq!(check_terms(&NodeTerms::default()), Ok(()));
        let money = |amount_micros| Some(Money { amount_micros, currency: Currency::new("EUR").unwrap() });
        let at = |latitude_deg, longitude_deg| {
            Some(Location { latitude_deg, longitude_deg, asn: None, evidence: Evidence::Declared })
        };
        let terms = NodeTerms::default;
        assert!(check_terms(&NodeTerms { location: at(48.1, 11.6), stake: money(5), ..terms() }).is_ok());
        for impossible in [
            NodeTerms { codecs: vec!["x".repeat(33)], ..terms() },
            NodeTerms { max_width: 20_000, ..terms() },
            NodeTerms { gpu_tier: 8, ..terms() },
            NodeTerms { price_per_hour: money(-1), ..terms() },
            NodeTerms { location: at(91.0, 0.0), ..terms() },
            NodeTerms { location: at(f64::NAN, 0.0), ..terms() },
        ] {
            assert!(check_terms(&impossible).is_err(), "{impossible:?}");
        }
    }

    #[test]
    fn a_cover_is_known_by_its_bytes() {
        let kind =
            |bytes: &[u8]| Cover::parse(&BASE64_STANDARD.encode(bytes)).map(|cover| cover.content_type);
        assert_eq!(kind(b"\x89PNG\r\n\x1a\nrest"), Ok("image/png"));
        assert_eq!(kind(b"\xff\xd8\xff\xe0"), Ok("image/jpeg"));
        assert_eq!(kind(b"RIFF\0\0\0\0WEBPVP8 "), Ok("image/webp"));
        assert!(kind(b"<svg onload=alert(1)>").is_err());
        assert!(Cover::parse("not base64").is_err());
        let mut large = b"\x89PNG\r\n\x1a\n".to_vec();
        large.resize(MAX_COVER_BYTES + 1, 0);
        assert!(kind(&large).is_err());
    }
}
