//! Every Vulkan call of exporting, converting and importing, checked by the Khronos validation layer.
//!
//! The work runs in a process of its own, because layers are chosen when Vulkan is loaded.
#![allow(unsafe_code, reason = "the list of layers is asked of Vulkan itself")]
#![allow(clippy::unwrap_used, reason = "what a test cannot go on without has failed it")]

use nearframe_gpu::{
    AdapterKind, ColourMatrix, CpuPicture, Gpu, GpuConverter, Hdr10Picture, Hdr10Pixels, Layout, PeerDevice,
    Picture,
};
use std::process::Command;
use std::sync::Arc;

const LAYER: &str = "VK_LAYER_KHRONOS_validation";
/// Set in the process that works under the layer.
const MARK: &str = "NEARFRAME_VALIDATED";

fn layer_is_installed() -> bool {
    // SAFETY: the system's Vulkan loader is trusted as it is by every program that draws.
    let Ok(entry) = (unsafe { ash::Entry::load() }) else { return false };
    // SAFETY: nothing but the list is asked for.
    let layers = unsafe { entry.enumerate_instance_layer_properties() }.unwrap_or_default();
    layers
        .iter()
        .any(|layer| layer.layer_name_as_c_str().is_ok_and(|name| name.to_bytes() == LAYER.as_bytes()))
}

/// The whole way of a frame, twice round the ring, in every layout.
fn work() {
    let gpu = Gpu::open().unwrap();
    let peer = PeerDevice::open(Arc::clone(&gpu)).unwrap();
    let data = [40, 180, 250, 255].repeat(90 * 70);
    let picture = CpuPicture { width: 90, height: 70, stride: 360, data: &data };
    for layout in [Layout::Nv12, Layout::P010, Layout::Yuv444] {
        let mut converter =
            GpuConverter::new(Arc::clone(&gpu), layout, ColourMatrix::Bt709, 128, 96).unwrap();
        for _ in 0..6 {
            let surface = converter.convert(&Picture::Cpu(picture)).unwrap().unwrap();
            let theirs = peer.read(&surface).unwrap();
            assert_eq!(theirs, converter.read_back(&surface).unwrap());
        }
        let blank = gpu.blank_picture(64, 64);
        let same = gpu.blank_picture(128, 96);
        for texture in [&blank, &same] {
            drop(converter.convert(&Picture::Gpu(texture)).unwrap().unwrap());
            converter.time(&Picture::Gpu(texture), 2).unwrap();
        }
        let hdr = Hdr10Picture { pixels: Hdr10Pixels::Cpu(picture), peak_nits: 1000 };
        drop(converter.convert(&Picture::Hdr10(hdr)).unwrap().unwrap());
    }
    assert!(gpu.time_copy(1 << 16, 2).is_ok() && !gpu.is_lost());
}

#[test]
fn the_validation_layer_finds_nothing() {
    if std::env::var_os(MARK).is_some() {
        return work();
    }
    assert!(layer_is_installed(), "{LAYER} is missing: install vulkan-validationlayers");
    let gpu = Gpu::open().expect("a GPU, if only one of software: mesa-vulkan-drivers");
    if let Err(error) = gpu.exports() {
        assert_ne!(gpu.facts().kind, AdapterKind::Software, "{} exports, but: {error}", gpu.facts());
        return eprintln!("skipped on {}: {error}", gpu.facts());
    }
    let dir = std::env::temp_dir().join(format!("nearframe-validation-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let log = dir.join("log");
    let settings = format!(
        "khronos_validation.debug_action = VK_DBG_LAYER_ACTION_LOG_MSG\n\
         khronos_validation.report_flags = error,warn,info\n\
         khronos_validation.log_filename = {}\n",
        log.display()
    );
    std::fs::write(dir.join("vk_layer_settings.txt"), settings).unwrap();
    let done = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_validation_layer_finds_nothing", "--nocapture"])
        .envs([(MARK, "1"), ("VK_INSTANCE_LAYERS", LAYER)])
        .env("VK_LAYER_SETTINGS_PATH", &dir)
        .output()
        .unwrap();
    let said = std::fs::read_to_string(&log).unwrap_or_default();
    std::fs::remove_dir_all(&dir).unwrap();
    assert!(done.status.success(), "{}\n{said}", String::from_utf8_lossy(&done.stderr));
    assert!(said.contains("Validation Layer Active"), "the layer did not run: {said:?}");
    let found: Vec<_> =
        said.lines().filter(|line| line.contains("VUID-") || line.contains("UNASSIGNED-Core")).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}
