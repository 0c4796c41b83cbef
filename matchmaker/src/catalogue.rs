//! What nodes may offer, and the catalogue made of it.

use crate::state::Shared;
use crate::store::StoreError;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use nearframe_placement::{Request, decide};
use nearframe_protocol::TitleId;
use nearframe_protocol::api::Title;
use nearframe_protocol::link::{HeldTitle, NodeOffer};

/// Largest cover, in bytes.
const MAX_COVER_BYTES: usize = 256 * 1024;
/// Titles a node may hold; a catalogue page shows all of them.
const MAX_TITLES: usize = 256;
/// Sessions that one machine could ever run at once.
const MAX_SLOTS: u32 = 1024;
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

/// Refuses an offer that no honest node makes; what passes is safe to keep and to show.
pub(crate) fn check_offer(offer: &NodeOffer) -> Result<(), String> {
    let fits = |text: &str, most: usize| text.len() <= most && !text.contains(char::is_control);
    if offer.name.is_empty() || !fits(&offer.name, 128) {
        return Err("the node's name must have 1 to 128 bytes".to_owned());
    }
    if !fits(&offer.region, 16) || !fits(&offer.adapter, 256) {
        return Err("region (16 bytes) or adapter (256 bytes) is too long".to_owned());
    }
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

/// The title as the catalogue has it.
pub(crate) fn held(shared: &Shared, id: &TitleId) -> Option<HeldTitle> {
    shared.fleet().titles(shared.uptime_ms()).get(id).map(|held| (*held).clone())
}

/// The catalogue.
pub(crate) async fn titles(shared: &Shared) -> Result<Vec<Title>, StoreError> {
    let busy = shared.store.busy().await?;
    let now = shared.uptime_ms();
    let fleet = shared.fleet();
    let titles = fleet.titles(now).into_iter().map(|(id, held)| {
        let mut entry = held.entry.clone();
        entry.cover = held.cover_base64.as_ref().map(|_| format!("/v1/titles/{id}/cover"));
        let request = Request { title: id.clone(), hash: entry.hash, regions: Vec::new() };
        let available = decide(&request, fleet.candidates(&id, &busy, now)).is_ok();
        Title { entry, available }
    });
    Ok(titles.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

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
