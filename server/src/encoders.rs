//! Which video encoders sessions use, on its way from the node's configuration to its workers.
//!
//! It travels in the environment, as the log filter does: a worker that waits warm for a session has it already.

use anyhow::{Context, Result, anyhow, ensure};
use nearframe_encode::{
    INTRA_REFRESH_FRAMES, NvencPreset, NvidiaLibraries, VideoBackend, VideoOptions, VideoPreference, by_load,
    nvenc_devices,
};
use nearframe_gpu::DeviceUuid;
use std::ffi::OsString;
use std::path::Path;

/// `auto` or the name of one encoder.
const ENCODER: &str = "NEARFRAME_ENCODER";
/// `p1` to `p7`.
const PRESET: &str = "NEARFRAME_NVENC_PRESET";
/// Frames of an intra refresh, where there is one.
const INTRA_REFRESH: &str = "NEARFRAME_NVENC_INTRA_REFRESH";
/// A folder with the driver's libraries, where the system's loader does not find them.
const LIBRARIES: &str = "NEARFRAME_NVIDIA_LIBRARIES";

/// Parts of a picture that leave while the rest is being encoded, where the hardware hands them out: the first leaves
/// after a quarter of the time, and each costs about one per cent of the bits.
const SLICES: u32 = 4;

/// What a configuration says; what is absent is as usual.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings<'a> {
    /// `auto` or the name of one encoder.
    pub encoder: Option<&'a str>,
    /// `p1` to `p7`.
    pub nvenc_preset: Option<&'a str>,
    /// Over how many frames NVENC renews the picture in stripes, again and again.
    pub nvenc_intra_refresh: Option<u32>,
    /// A folder with the driver's libraries.
    pub nvidia_libraries: Option<&'a Path>,
}

/// The options of these settings, or which of them is wrong and what is allowed.
pub fn options(settings: Settings<'_>) -> Result<VideoOptions> {
    let Settings { encoder, nvenc_preset, nvenc_intra_refresh, nvidia_libraries } = settings;
    let mut options = VideoOptions::default();
    options.nvenc.slices = SLICES;
    if let Some(text) = encoder {
        options.preference = text.parse().map_err(|why| anyhow!("encoder = {why}"))?;
    }
    if let Some(text) = nvenc_preset {
        options.nvenc.preset = text.parse().map_err(|why| anyhow!("nvenc_preset = {why}"))?;
    }
    if let Some(frames) = nvenc_intra_refresh {
        let (least, most) = INTRA_REFRESH_FRAMES.into_inner();
        ensure!(
            INTRA_REFRESH_FRAMES.contains(&frames),
            "nvenc_intra_refresh = {frames}: from {least} to {most} frames"
        );
        options.nvenc.intra_refresh_frames = Some(frames);
    }
    if let Some(folder) = nvidia_libraries {
        let whole =
            folder.canonicalize().with_context(|| format!("nvidia_libraries = {}", folder.display()))?;
        options.nvenc.libraries = NvidiaLibraries::inside(&whole);
    }
    Ok(options)
}

/// GPUs in the order in which the next session should use them: the one with the least busy encoder first. Empty where
/// the drivers do not tell.
pub(crate) fn gpus_by_load(options: &VideoOptions) -> Vec<DeviceUuid> {
    let Ok(devices) = nvenc_devices(&options.nvenc.libraries) else { return Vec::new() };
    let loads: Vec<_> = devices.iter().map(|device| device.load).collect();
    by_load(&loads).into_iter().filter_map(|at| devices[at].uuid).collect()
}

/// What a worker is started with.
pub(crate) fn to_environment(options: &VideoOptions) -> Vec<(&'static str, OsString)> {
    let encoder = match options.preference {
        VideoPreference::Best => "auto",
        VideoPreference::Only(VideoBackend::Nvenc) => "nvenc",
        VideoPreference::Only(VideoBackend::VulkanVideo) => "vulkan",
        VideoPreference::Only(VideoBackend::OpenH264) => "openh264",
        VideoPreference::Only(VideoBackend::Probe) => "probe",
    };
    let at = NvencPreset::ALL.iter().position(|preset| *preset == options.nvenc.preset).unwrap_or(0);
    let mut environment = vec![(ENCODER, encoder.into()), (PRESET, format!("p{}", at + 1).into())];
    let refresh = options.nvenc.intra_refresh_frames;
    environment.extend(refresh.map(|frames| (INTRA_REFRESH, frames.to_string().into())));
    let folder = options.nvenc.libraries.encode.parent().filter(|folder| folder.is_absolute());
    environment.extend(folder.map(|folder| (LIBRARIES, folder.into())));
    environment
}

/// What this process was started with.
pub fn from_environment() -> Result<VideoOptions> {
    let text = |name| std::env::var(name).ok();
    let folder = std::env::var_os(LIBRARIES);
    let refresh = text(INTRA_REFRESH).map(|frames| frames.parse().context(INTRA_REFRESH)).transpose()?;
    options(Settings {
        encoder: text(ENCODER).as_deref(),
        nvenc_preset: text(PRESET).as_deref(),
        nvenc_intra_refresh: refresh,
        nvidia_libraries: folder.as_deref().map(Path::new),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_is_told_reaches_its_workers() {
        let folder = tempfile::tempdir().unwrap();
        let told = options(Settings {
            encoder: Some("nvenc"),
            nvenc_preset: Some("p4"),
            nvenc_intra_refresh: Some(60),
            nvidia_libraries: Some(folder.path()),
        });
        let told = told.unwrap();
        let environment = to_environment(&told);
        let find =
            |name| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_str().unwrap());
        let found = Settings {
            encoder: find(ENCODER),
            nvenc_preset: find(PRESET),
            nvenc_intra_refresh: find(INTRA_REFRESH).map(|frames| frames.parse().unwrap()),
            nvidia_libraries: find(LIBRARIES).map(Path::new),
        };
        assert_eq!(options(found).unwrap(), told);
        assert_eq!(to_environment(&VideoOptions::default()).len(), 2, "the system's loader finds the driver");
    }

    #[test]
    fn a_wrong_value_names_its_key_and_what_is_allowed() {
        let why = |settings| format!("{:#}", options(settings).unwrap_err());
        let text = why(Settings { encoder: Some("x264"), ..Default::default() });
        assert!(text.contains("encoder") && text.contains("auto, nvenc"), "{text}");
        let text = why(Settings { nvenc_preset: Some("p9"), ..Default::default() });
        assert!(text.contains("nvenc_preset"), "{text}");
        for frames in [0, 1, 241] {
            let text = why(Settings { nvenc_intra_refresh: Some(frames), ..Default::default() });
            assert!(text.contains("nvenc_intra_refresh") && text.contains("from 2 to 240"), "{text}");
        }
        let folder = Some(Path::new("/no/such/folder"));
        let text = why(Settings { nvidia_libraries: folder, ..Default::default() });
        assert!(text.contains("nvidia_libraries"), "{text}");
    }
}
