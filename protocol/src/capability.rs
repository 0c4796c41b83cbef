//! What a node can do, as it was measured there: a report that the node signs and placement reads.
//!
//! Canonical bytes, little-endian: `"NFCAPA01"` (8) · measured_at_ms u64 · release · sessions u32 ·
//! adapters · conversions · encoders · missing; with an uplink `"NFCAPA02"` (8), the same, and at the end bytes u32 ·
//! elapsed_us u32 · at_least u8 (0 or 1). A text is u16 length · UTF-8. A list is u16 length · items:
//!
//! - adapter: name · kind · driver · memory_mib u32 · exports u8 (0 or 1)
//! - conversion: adapter · width u16 · height u16 · frame_us u32
//! - encoder: name · codec · width u16 · height u16 · frame_us u32 · sessions u32
//! - missing: what · why
//!
//! The node signs `"nearframe/capability/v1\0"` followed by the canonical bytes.

use crate::key::{KeyError, NodeKey, PublicKey, Signature};
use crate::uplink::Uplink;
use crate::wire::{Reader, WireError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

const MAGIC: &[u8; 8] = b"NFCAPA01";
const WITH_UPLINK: &[u8; 8] = b"NFCAPA02";
const DOMAIN: &[u8] = b"nearframe/capability/v1\0";
/// Items of each list; no machine has more.
pub const MAX_ITEMS: usize = 64;
/// Bytes of each text.
pub const MAX_TEXT_BYTES: usize = 512;

/// What a machine can do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Capability {
    /// When it was measured, Unix ms by the node's clock.
    pub measured_at_ms: u64,
    /// The release that measured it.
    pub release: String,
    /// Sessions of 1280×720 at 60 frames a second that fit beside each other, by processor time.
    pub sessions: u32,
    /// GPU adapters, best first.
    pub adapters: Vec<AdapterCapability>,
    /// Colour conversion by size.
    pub conversions: Vec<ConversionCapability>,
    /// Encoders by codec and size.
    pub encoders: Vec<EncoderCapability>,
    /// What this machine lacks, with the reason.
    pub missing: Vec<Missing>,
    /// What the way to the matchmaker carries; absent until it was measured there. Only matchmakers with
    /// [`uplink::FEATURE`](crate::uplink::FEATURE) know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uplink: Option<Uplink>,
}

/// A GPU adapter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AdapterCapability {
    /// As the driver names it.
    pub name: String,
    /// Such as `discrete` or `software`.
    pub kind: String,
    /// Name and version.
    pub driver: String,
    /// Its own memory in MiB; of a software or integrated adapter, what it shares. 0 where unknown.
    pub memory_mib: u32,
    /// Frames reach encoders without a copy to the CPU.
    pub exports: bool,
}

/// What converting one frame takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConversionCapability {
    /// On which adapter; `cpu` for pictures in CPU memory.
    pub adapter: String,
    /// In pixels.
    pub width: u16,
    /// In pixels.
    pub height: u16,
    /// Median, in µs.
    pub frame_us: u32,
}

/// What encoding one frame takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EncoderCapability {
    /// Such as `OpenH264`.
    pub name: String,
    /// Such as `H.264`.
    pub codec: String,
    /// In pixels.
    pub width: u16,
    /// In pixels.
    pub height: u16,
    /// Median, in µs.
    pub frame_us: u32,
    /// Sessions of this encoder at once: as many as could be opened, up to where the trial stopped.
    pub sessions: u32,
}

/// Something that this machine lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Missing {
    /// Such as `NVENC`.
    pub what: String,
    /// Why, and what to do.
    pub why: String,
}

impl Capability {
    /// The bytes that are signed. Texts and lists beyond their bounds are cut; [`Self::check`] refuses them.
    pub fn canonical(&self) -> Vec<u8> {
        let magic = if self.uplink.is_some() { WITH_UPLINK } else { MAGIC };
        let mut out = Writer(magic.to_vec());
        out.u64(self.measured_at_ms);
        out.text(&self.release);
        out.u32(self.sessions);
        out.list(&self.adapters, |out, adapter| {
            out.text(&adapter.name);
            out.text(&adapter.kind);
            out.text(&adapter.driver);
            out.u32(adapter.memory_mib);
            out.0.push(u8::from(adapter.exports));
        });
        out.list(&self.conversions, |out, conversion| {
            out.text(&conversion.adapter);
            out.u16(conversion.width);
            out.u16(conversion.height);
            out.u32(conversion.frame_us);
        });
        out.list(&self.encoders, |out, encoder| {
            out.text(&encoder.name);
            out.text(&encoder.codec);
            out.u16(encoder.width);
            out.u16(encoder.height);
            out.u32(encoder.frame_us);
            out.u32(encoder.sessions);
        });
        out.list(&self.missing, |out, missing| {
            out.text(&missing.what);
            out.text(&missing.why);
        });
        if let Some(Uplink { bytes, elapsed_us, at_least }) = self.uplink {
            out.u32(bytes);
            out.u32(elapsed_us);
            out.0.push(u8::from(at_least));
        }
        out.0
    }

    /// Reads canonical bytes; refuses any other form, so that one report has one encoding.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let mut r = Reader::new(bytes);
        let magic = r.bytes(8)?;
        if magic != MAGIC && magic != WITH_UPLINK {
            return Err(WireError::Range("magic"));
        }
        let capability = Self {
            measured_at_ms: r.u64()?,
            release: text(&mut r)?,
            sessions: r.u32()?,
            adapters: list(&mut r, |r| {
                let (name, kind, driver) = (text(r)?, text(r)?, text(r)?);
                let memory_mib = r.u32()?;
                let exports = truth(r, "exports")?;
                Ok(AdapterCapability { name, kind, driver, memory_mib, exports })
            })?,
            conversions: list(&mut r, |r| {
                let adapter = text(r)?;
                let (width, height, frame_us) = (r.u16()?, r.u16()?, r.u32()?);
                Ok(ConversionCapability { adapter, width, height, frame_us })
            })?,
            encoders: list(&mut r, |r| {
                let (name, codec) = (text(r)?, text(r)?);
                let (width, height, frame_us, sessions) = (r.u16()?, r.u16()?, r.u32()?, r.u32()?);
                Ok(EncoderCapability { name, codec, width, height, frame_us, sessions })
            })?,
            missing: list(&mut r, |r| Ok(Missing { what: text(r)?, why: text(r)? }))?,
            uplink: if magic == WITH_UPLINK { Some(uplink(&mut r)?) } else { None },
        };
        r.end()?;
        Ok(capability)
    }

    /// Refuses what no honest node reports: texts and lists that are too long, control characters, an uplink that no
    /// measurement gives.
    pub fn check(&self) -> Result<(), WireError> {
        if Self::parse(&self.canonical())? != *self {
            return Err(WireError::Range("a text or list is too long"));
        }
        if self.texts().any(|text| text.contains(char::is_control)) {
            return Err(WireError::Range("control characters"));
        }
        self.uplink.map_or(Ok(()), |uplink| uplink.check())
    }

    fn texts(&self) -> impl Iterator<Item = &String> {
        let adapters = self.adapters.iter().flat_map(|one| [&one.name, &one.kind, &one.driver]);
        let conversions = self.conversions.iter().map(|one| &one.adapter);
        let encoders = self.encoders.iter().flat_map(|one| [&one.name, &one.codec]);
        let missing = self.missing.iter().flat_map(|one| [&one.what, &one.why]);
        [&self.release].into_iter().chain(adapters).chain(conversions).chain(encoders).chain(missing)
    }

    /// What the node signs.
    pub fn signed_bytes(&self) -> Vec<u8> {
        [DOMAIN, &self.canonical()].concat()
    }
}

/// A report with its node's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignedCapability {
    /// What was measured.
    pub capability: Capability,
    /// By the node's key.
    pub signature: Signature,
}

impl SignedCapability {
    /// Signs as the node.
    pub fn sign(key: &NodeKey, capability: Capability) -> Self {
        let signature = key.sign(&capability.signed_bytes());
        Self { capability, signature }
    }

    /// Checks the signature.
    pub fn verify(&self, node: &PublicKey) -> Result<(), KeyError> {
        node.verify(&self.capability.signed_bytes(), &self.signature)
    }
}

/// The front of `text` that fits, never half a character.
pub fn fitting(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT_BYTES)]
}

struct Writer(Vec<u8>);

impl Writer {
    fn u16(&mut self, value: u16) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        let text = fitting(text);
        self.u16(text.len() as u16);
        self.0.extend_from_slice(text.as_bytes());
    }

    fn list<T>(&mut self, items: &[T], write: impl Fn(&mut Self, &T)) {
        let items = &items[..items.len().min(MAX_ITEMS)];
        self.u16(items.len() as u16);
        items.iter().for_each(|item| write(self, item));
    }
}

fn truth(r: &mut Reader<'_>, field: &'static str) -> Result<bool, WireError> {
    match r.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(WireError::Range(field)),
    }
}

fn uplink(r: &mut Reader<'_>) -> Result<Uplink, WireError> {
    Ok(Uplink { bytes: r.u32()?, elapsed_us: r.u32()?, at_least: truth(r, "at_least")? })
}

fn text(r: &mut Reader<'_>) -> Result<String, WireError> {
    let length = usize::from(r.u16()?);
    if length > MAX_TEXT_BYTES {
        return Err(WireError::Range("text"));
    }
    let bytes = r.bytes(length)?;
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| WireError::Range("text"))
}

fn list<'a, T>(
    r: &mut Reader<'a>,
    read: impl Fn(&mut Reader<'a>) -> Result<T, WireError>,
) -> Result<Vec<T>, WireError> {
    let length = usize::from(r.u16()?);
    if length > MAX_ITEMS {
        return Err(WireError::Range("list"));
    }
    (0..length).map(|_| read(r)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_refused_or_are_the_one_form_of_a_report(
            bytes in proptest::collection::vec(any::<u8>(), 0..200), start in any::<bool>(),
            magic in prop_oneof![Just(MAGIC), Just(WITH_UPLINK)],
        ) {
            let bytes = if start { [magic.as_slice(), &bytes].concat() } else { bytes };
            if let Ok(capability) = Capability::parse(&bytes) {
                prop_assert_eq!(capability.canonical(), bytes);
            }
        }
    }

    #[test]
    fn what_is_too_long_or_would_garble_a_page_is_refused() {
        let with_release = |release: String| Capability { release, ..Capability::default() };
        assert_eq!(with_release("0.1.0".to_owned()).check(), Ok(()));
        assert!(with_release("ä".repeat(300)).check().is_err());
        assert!(with_release("a\nb".to_owned()).check().is_err());
        let garbled = Missing { what: "NVENC".to_owned(), why: "\u{1b}[2J".to_owned() };
        assert!(Capability { missing: vec![garbled], ..Capability::default() }.check().is_err());
        let uplink = |bytes| Uplink { bytes, elapsed_us: 1_000_000, at_least: false };
        let with_uplink = |bytes| Capability { uplink: Some(uplink(bytes)), ..Capability::default() };
        assert!(with_uplink(1_250_000).check().is_ok() && with_uplink(u32::MAX).check().is_err());
        let missing = Missing { what: String::new(), why: String::new() };
        let many = Capability { missing: vec![missing; MAX_ITEMS + 1], ..Capability::default() };
        assert!(many.check().is_err());
        assert_eq!(fitting(&"ä".repeat(300)).len(), MAX_TEXT_BYTES);
    }
}
