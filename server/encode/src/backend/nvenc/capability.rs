//! What this GPU's encoder can do with a codec: asked, never assumed.

use super::NAME;
use super::options::NvencPreset;
use super::params::{buffer_format, codec_guid, profile};
use super::session::Session;
use crate::video::{Codec, EncodeError, VideoSettings};
use nvidia_video_codec_sdk::sys::nvEncodeAPI as nv;

/// What was asked of the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Capability {
    least: (u32, u32),
    most: (u32, u32),
    pub(super) sub_frame: bool,
    pub(super) intra_refresh: bool,
    pub(super) invalidation: bool,
    pub(super) custom_vbv: bool,
    pub(super) dynamic_bitrate: bool,
    pub(super) dynamic_size: bool,
}

impl Capability {
    /// Asks, and refuses a codec, depth, preset or rate control that this GPU lacks.
    pub(super) fn query(session: &Session, codec: Codec, preset: NvencPreset) -> Result<Self, EncodeError> {
        let guid = codec_guid(codec);
        let known = session.codecs()?;
        if !known.contains(&guid) {
            let allowed: Vec<_> =
                Codec::ALL.into_iter().filter(|codec| known.contains(&codec_guid(*codec))).collect();
            return Err(unsupported(codec, &allowed));
        }
        let has = |cap| session.capability(guid, cap).map(|value| value > 0);
        if codec.bits() == 10 && !has(nv::NV_ENC_CAPS::NV_ENC_CAPS_SUPPORT_10BIT_ENCODE)? {
            return Err(unsupported(codec, &[Codec::H264, Codec::Hevc]));
        }
        if !session.profiles(guid)?.contains(&profile(codec)) {
            return Err(lacks(&format!("the profile of {codec} that players take")));
        }
        if !session.presets(guid)?.contains(&preset.guid()) {
            return Err(lacks(&format!("preset {preset:?}")));
        }
        let constant = nv::NV_ENC_PARAMS_RC_MODE::NV_ENC_PARAMS_RC_CBR as i32;
        let modes = session.capability(guid, nv::NV_ENC_CAPS::NV_ENC_CAPS_SUPPORTED_RATECONTROL_MODES)?;
        if modes & constant == 0 {
            return Err(lacks("constant bitrate"));
        }
        if !session.formats(guid)?.contains(&(buffer_format(codec) as u32)) {
            return Err(lacks(&format!("pictures as {:?}", codec.hardware_layout())));
        }
        let side = |cap| session.capability(guid, cap).map(|value| u32::try_from(value).unwrap_or(0));
        Ok(Self {
            least: (
                side(nv::NV_ENC_CAPS::NV_ENC_CAPS_WIDTH_MIN)?,
                side(nv::NV_ENC_CAPS::NV_ENC_CAPS_HEIGHT_MIN)?,
            ),
            most: (
                side(nv::NV_ENC_CAPS::NV_ENC_CAPS_WIDTH_MAX)?,
                side(nv::NV_ENC_CAPS::NV_ENC_CAPS_HEIGHT_MAX)?,
            ),
            sub_frame: has(nv::NV_ENC_CAPS::NV_ENC_CAPS_SUPPORT_SUBFRAME_READBACK)?,
            intra_refresh: has(nv::NV_ENC_CAPS::NV_ENC_CAPS_SUPPORT_INTRA_REFRESH)?,
            invalidation: has(nv::NV_ENC_CAPS::NV_ENC_CAPS_SUPPORT_REF_PIC_INVALIDATION)?,
            custom_vbv: has(nv::NV_ENC_CAPS::NV_ENC_CAPS_SUPPORT_CUSTOM_VBV_BUF_SIZE)?,
            dynamic_bitrate: has(nv::NV_ENC_CAPS::NV_ENC_CAPS_SUPPORT_DYN_BITRATE_CHANGE)?,
            dynamic_size: has(nv::NV_ENC_CAPS::NV_ENC_CAPS_SUPPORT_DYN_RES_CHANGE)?,
        })
    }

    /// Refuses sizes that this GPU does not encode.
    pub(super) fn check(&self, settings: &VideoSettings) -> Result<(), EncodeError> {
        settings.check(NAME, self.most.0, self.most.1)?;
        if settings.width >= self.least.0 && settings.height >= self.least.1 {
            return Ok(());
        }
        let allowed = format!("{}×{} and more", self.least.0, self.least.1);
        Err(EncodeError::Unsupported {
            encoder: NAME,
            what: format!("{}×{}", settings.width, settings.height),
            allowed,
        })
    }
}

/// Everything that this GPU encodes as players take it.
pub(super) fn codecs(session: &Session, preset: NvencPreset) -> Vec<Codec> {
    let can = |codec: &Codec| Capability::query(session, *codec, preset).is_ok();
    Codec::ALL.into_iter().filter(can).collect()
}

fn unsupported(codec: Codec, allowed: &[Codec]) -> EncodeError {
    let names: Vec<_> = allowed.iter().map(ToString::to_string).collect();
    let allowed = if names.is_empty() { "nothing on this GPU".to_owned() } else { names.join(", ") };
    EncodeError::Unsupported { encoder: NAME, what: codec.to_string(), allowed }
}

fn lacks(what: &str) -> EncodeError {
    super::status::unavailable(format!(
        "this GPU or its driver lacks {what}: update the driver or use another encoder"
    ))
}
