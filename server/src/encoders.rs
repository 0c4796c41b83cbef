//! Which video encoders sessions use, on its way from the node's configuration to its workers.
//!
//! It travels in the environment, as the log filter does: a worker that waits warm for a session has it already.

use anyhow::{Context, Result, anyhow};
use nearframe_encode::{
    NvencPreset, NvidiaLibraries, VideoBackend, VideoOptions, VideoPreference, by_load, nvenc_devices,
};
use nearframe_gpu::DeviceUuid;
use std::ffi::OsString;
use std::path::Path;

/// `auto` or the name of one encoder.
const ENCODER: &str = "NEARFRAME_ENCODER";
/// `p1` to `p7`.
const PRESET: &str = "NEARFRAME_NVENC_PRESET";
/// A folder with the driver's libraries, where the system's loader does not find them.
const LIBRARIES: &str = "NEARFRAME_NVIDIA_LIBRARIES";

/// Parts of a picture that leave while the rest is being encoded, where the hardware hands them out: the first leaves
/// after a quarter of the time, and each costs about one per cent of the bits.
const SLICES: u32 = 4;

/// Options as they are written in a configuration; what is absent is as usual.
pub fn options(
    encoder: Option<&str>,
    preset: Option<&str>,
    libraries: Option<&Path>,
) -> Result<VideoOptions> {
    let mut options = VideoOptions::default();
    options.nvenc.slices = SLICES;
    if let Some(text) = encoder {
        options.preference = text.parse().map_err(|why| anyhow!("encoder = {why}"))?;
    }
    if let Some(text) = preset {
        options.nvenc.preset = text.parse().map_err(|why| anyhow!("nvenc_preset = {why}"))?;
    }
    if let Some(folder) = libraries {
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
    let folder = options.nvenc.libraries.encode.parent().filter(|folder| folder.is_absolute());
    environment.extend(folder.map(|folder| (LIBRARIES, folder.into())));
    environment
}

/// What this process was started with.
pub fn from_environment() -> Result<VideoOptions> {
    let text = |name| std::env::var(name).ok();
    let folder = std::env::var_os(LIBRARIES);
    options(text(ENCODER).as_deref(), text(PRESET).as_deref(), folder.as_deref().map(Path::new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_is_told_reaches_its_workers() {
        let folder = tempfile::tempdir().unwrap();
        let told = options(Some("nvenc"), Some("p4"), Some(folder.path())).unwrap();
        let environment = to_environment(&told);
        let find =
            |name| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_str().unwrap());
        assert_eq!(options(find(ENCODER), find(PRESET), find(LIBRARIES).map(Path::new)).unwrap(), told);
        assert_eq!(to_environment(&VideoOptions::default()).len(), 2, "the system's loader finds the driver");
    }

    #[test]
    fn a_wrong_value_names_its_key_and_what_is_allowed() {
        let why = |encoder, preset, folder: Option<&str>| {
            format!("{:#}", options(encoder, preset, folder.map(Path::new)).unwrap_err())
        };
        let text = why(Some("x264"), None, None);
        assert!(text.contains("encoder") && text.contains("auto, nvenc"), "{text}");
        assert!(why(None, Some("p9"), None).contains("nvenc_preset"));
        assert!(why(None, None, Some("/no/such/folder")).contains("nvidia_libraries"));
    }
}
