//! The control channel: data channel 2, ordered and reliable, one JSON object per message.
//!
//! The page speaks first with `hello`, and repeats it until the node answers: what arrives before the node's end
//! of the channel is there is lost. The node answers each with `hello`, then `session`. Binary messages are
//! not used. No message is longer than [`MAX_CONTROL_BYTES`].

use crate::codec::VideoCodec;
use crate::key::Signature;
use crate::session::{EndReason, Seat};
use crate::title::TitleKind;
use crate::version::Versions;
use serde::{Deserialize, Serialize};

/// Longest control message, in bytes.
pub const MAX_CONTROL_BYTES: usize = 64 * 1024;
/// Longest text that travels from clipboard to clipboard, in bytes.
pub const MAX_CLIPBOARD_BYTES: usize = 32 * 1024;

/// Page → node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromPage {
    /// First message.
    Hello {
        /// What the page speaks on each channel.
        versions: Versions,
    },
    /// What the player's display is.
    Display {
        /// Width of the picture on screen, device pixels.
        width: u32,
        /// Height of the picture on screen, device pixels.
        height: u32,
        /// Refresh rate as measured, Hz.
        refresh_hz: f32,
    },
    /// The player's signature over a receipt.
    ReceiptSignature {
        /// Which receipt.
        sequence: u32,
        /// Over the receipt's signed bytes, with the session key.
        signature: Signature,
    },
    /// The page went to the background (`true`) or came back: pause or resume the title.
    Hidden {
        /// Whether the page is hidden now.
        hidden: bool,
    },
    /// The player leaves; the session ends.
    Leave,
    /// The player's keyboard layout, by its names in xkb; keys themselves travel by position.
    Keyboard {
        /// Such as `de`.
        layout: String,
        /// Such as `nodeadkeys`; empty for the usual one.
        variant: String,
    },
    /// Text that the player's clipboard holds, for the title to paste.
    Clipboard {
        /// At most [`MAX_CLIPBOARD_BYTES`].
        text: String,
    },
    /// The most that the player wants video to take, such as on a paid network.
    DataCap {
        /// kbit/s; `null` lifts it.
        kbps: Option<u32>,
    },
    /// What the player's device decodes, and on what power; again when that changes. A page that does not say gets
    /// H.264.
    Decoders {
        /// One for each codec that the browser receives.
        decoders: Vec<DecoderFacts>,
        /// Whether the device runs on its battery.
        on_battery: bool,
        /// Whether the display shows HDR10 and the browser takes it there. A page of the release before does not say.
        #[serde(default)]
        hdr: bool,
    },
    /// The player's microphone is on or off.
    Microphone {
        /// Whether it may be heard.
        on: bool,
    },
}

/// What a browser says of a decoder, for the title's picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecoderFacts {
    /// Of what.
    pub codec: VideoCodec,
    /// It keeps up with the frames.
    pub smooth: bool,
    /// It is hardware, or as sparing.
    pub efficient: bool,
}

/// How a pointer looks. It is drawn by the page, never in the picture, so that it answers at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Cursor {
    /// Not at all.
    Hidden,
    /// By its name in CSS.
    Named {
        /// Such as `pointer`.
        name: String,
    },
    /// As the title drew it.
    Picture {
        /// PNG, base64 (standard, padded).
        png: String,
        /// Pixels of the picture from its left edge to the point that clicks.
        hot_x: u16,
        /// The same from its top edge.
        hot_y: u16,
        /// Width, pixels of the title's picture.
        width: u16,
        /// Height, pixels of the title's picture.
        height: u16,
    },
}

/// What keeps a picture from being the title's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QualityLimit {
    /// Nothing: it is.
    None,
    /// The path carries no more.
    Network,
    /// The node's encoder is too slow for more.
    Node,
    /// The player's device decodes too slowly for more.
    Device,
    /// The player's own [`FromPage::DataCap`].
    DataCap,
}

/// Node → page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToPage {
    /// Answer to the page's hello.
    Hello {
        /// What the node speaks on each channel.
        versions: Versions,
    },
    /// What runs, for the statistics.
    Session {
        /// Seat of this peer.
        seat: Seat,
        /// Title's name.
        title: String,
        /// What kind of thing it is.
        kind: TitleKind,
        /// Picture width, pixels.
        width: u32,
        /// Picture height, pixels.
        height: u32,
        /// Frames per second of the frame clock.
        fps: u32,
        /// Encoder's name, such as `OpenH264`.
        encoder: String,
        /// Adapter's name and kind, such as `llvmpipe (software)`.
        adapter: String,
        /// How pictures are converted, such as `simd` or `shader`.
        conversion: String,
    },
    /// The frames that answered the session's challenge are over: from this one on they are the title's. Only to a
    /// page that has [`crate::check::challenge::FEATURE`], once, before that frame or soon after.
    Begins {
        /// Of the first frame of the title.
        rtp_timestamp: u32,
    },
    /// How the picture is encoded from the next keyframe on.
    Quality {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
        /// Frames a second.
        fps: u32,
        /// What keeps it from being better.
        limit: QualityLimit,
    },
    /// A receipt to check and countersign.
    Receipt {
        /// Canonical bytes, base64 (standard, padded).
        bytes: String,
    },
    /// Rumble of a gamepad.
    Rumble {
        /// Which of the seat's pads.
        pad: u8,
        /// Low-frequency motor, 0..=65535.
        strong: u16,
        /// High-frequency motor, 0..=65535.
        weak: u16,
        /// How long.
        duration_ms: u16,
    },
    /// How the pointer looks from now on.
    Cursor {
        /// Its picture.
        cursor: Cursor,
    },
    /// The title has locked the pointer (it wants relative motion), or lets it go.
    PointerLocked {
        /// Whether it is locked.
        locked: bool,
    },
    /// The title has a text field in focus, or has none any more.
    TextInput {
        /// Whether text is welcome.
        active: bool,
    },
    /// The title put text on the clipboard.
    Clipboard {
        /// At most [`MAX_CLIPBOARD_BYTES`].
        text: String,
    },
    /// Something is wrong that the player should know of; the session goes on.
    Warning {
        /// What, and what becomes of it: for the player.
        text: String,
    },
    /// The session is over.
    Ended {
        /// Why.
        reason: EndReason,
        /// What to tell the player.
        message: String,
    },
}
