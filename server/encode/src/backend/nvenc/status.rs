//! What the driver's codes mean, and what to do about each.

use super::NAME;
use crate::video::EncodeError;

/// `NVENCSTATUS` by number: its name and what to do.
const NVENC: [(&str, &str); 27] = [
    ("NV_ENC_SUCCESS", "nothing is wrong"),
    ("NV_ENC_ERR_NO_ENCODE_DEVICE", "this GPU has no encoder: use another GPU or another encoder"),
    ("NV_ENC_ERR_UNSUPPORTED_DEVICE", "this GPU's encoder is not supported by the driver: use another GPU"),
    ("NV_ENC_ERR_INVALID_ENCODERDEVICE", "the encoder's device is gone: open the encoder again"),
    ("NV_ENC_ERR_INVALID_DEVICE", "the CUDA context is not valid any more: open the encoder again"),
    (
        "NV_ENC_ERR_DEVICE_NOT_EXIST",
        "the GPU was lost: open the encoder again, on another GPU if it stays away",
    ),
    ("NV_ENC_ERR_INVALID_PTR", "a broken call of ours: report it"),
    ("NV_ENC_ERR_INVALID_EVENT", "a broken call of ours: report it"),
    ("NV_ENC_ERR_INVALID_PARAM", "the driver refuses a setting: update it, and report this if it stays"),
    ("NV_ENC_ERR_INVALID_CALL", "a call out of order: report it"),
    (
        "NV_ENC_ERR_OUT_OF_MEMORY",
        "no free encoder session or no GPU memory: GeForce cards allow a few sessions at once, so offer fewer slots",
    ),
    ("NV_ENC_ERR_ENCODER_NOT_INITIALIZED", "a call out of order: report it"),
    ("NV_ENC_ERR_UNSUPPORTED_PARAM", "this GPU cannot do what was asked: use another codec or size"),
    ("NV_ENC_ERR_LOCK_BUSY", "the frame is not finished yet: try again"),
    ("NV_ENC_ERR_NOT_ENOUGH_BUFFER", "the output does not fit its buffer: lower the bitrate"),
    ("NV_ENC_ERR_INVALID_VERSION", "the driver is of another version than its library: reinstall the driver"),
    ("NV_ENC_ERR_MAP_FAILED", "the driver cannot map the picture: open the encoder again"),
    ("NV_ENC_ERR_NEED_MORE_INPUT", "the driver holds the frame back though nothing is reordered: report it"),
    ("NV_ENC_ERR_ENCODER_BUSY", "the encoder is busy: try again, and offer fewer slots if it stays so"),
    ("NV_ENC_ERR_EVENT_NOT_REGISTERD", "a broken call of ours: report it"),
    (
        "NV_ENC_ERR_GENERIC",
        "the driver failed inside: open the encoder again, and update the driver if it stays",
    ),
    (
        "NV_ENC_ERR_INCOMPATIBLE_CLIENT_KEY",
        "the driver's licence allows no further session: offer fewer slots, or use a GPU without that limit",
    ),
    ("NV_ENC_ERR_UNIMPLEMENTED", "the driver is too old for this: update it"),
    ("NV_ENC_ERR_RESOURCE_REGISTER_FAILED", "the driver refuses the picture's memory: update it"),
    ("NV_ENC_ERR_RESOURCE_NOT_REGISTERED", "a call out of order: report it"),
    ("NV_ENC_ERR_RESOURCE_NOT_MAPPED", "a call out of order: report it"),
    ("NV_ENC_ERR_NEED_MORE_OUTPUT", "the driver wants more output buffers: report it"),
];

/// `NV_ENC_ERR_LOCK_BUSY`: asked too early.
pub(super) const LOCK_BUSY: u32 = 13;
/// `NV_ENC_ERR_ENCODER_BUSY`: the engine has no room for another frame yet.
pub(super) const ENCODER_BUSY: u32 = 18;

/// `CUresult` by number, as far as the calls made here can give it.
const CUDA: [(i32, &str, &str); 16] = [
    (1, "CUDA_ERROR_INVALID_VALUE", "a broken call of ours: report it"),
    (2, "CUDA_ERROR_OUT_OF_MEMORY", "the GPU's memory is used up: offer fewer slots"),
    (3, "CUDA_ERROR_NOT_INITIALIZED", "a call out of order: report it"),
    (4, "CUDA_ERROR_DEINITIALIZED", "the driver is shutting down: open the encoder again"),
    (34, "CUDA_ERROR_STUB_LIBRARY", "this libcuda.so.1 is a stub of the toolkit: install the NVIDIA driver"),
    (46, "CUDA_ERROR_DEVICE_UNAVAILABLE", "another program has the GPU for itself: end it"),
    (
        100,
        "CUDA_ERROR_NO_DEVICE",
        "no NVIDIA GPU is visible: check `nvidia-smi` and what the container is given",
    ),
    (101, "CUDA_ERROR_INVALID_DEVICE", "no such GPU: check `nvidia-smi`"),
    (201, "CUDA_ERROR_INVALID_CONTEXT", "the GPU's context is gone: open the encoder again"),
    (304, "CUDA_ERROR_OPERATING_SYSTEM", "the system refuses the GPU: check the rights on /dev/nvidia*"),
    (400, "CUDA_ERROR_INVALID_HANDLE", "the exported memory cannot be taken over: update the driver"),
    (700, "CUDA_ERROR_ILLEGAL_ADDRESS", "the GPU's context is lost: open the encoder again"),
    (719, "CUDA_ERROR_LAUNCH_FAILED", "the GPU's context is lost: open the encoder again"),
    (801, "CUDA_ERROR_NOT_SUPPORTED", "this driver does not do that: update it"),
    (
        803,
        "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
        "library and kernel module differ: restart after the driver's update",
    ),
    (999, "CUDA_ERROR_UNKNOWN", "the driver failed: check `nvidia-smi` and the kernel's log"),
];

/// An `NVENCSTATUS` in words, with the driver's own where it has some.
pub(super) fn describe(code: u32, said: &str) -> String {
    let (name, advice) = NVENC.get(code as usize).copied().unwrap_or((
        "a code newer than this program",
        "update this program, or the driver if it is older than this program",
    ));
    let said = if said.is_empty() { String::new() } else { format!("; the driver says: {said}") };
    format!("{name} ({code}): {advice}{said}")
}

/// A `CUresult` in words.
pub(super) fn describe_cuda(code: i32) -> String {
    let known = CUDA.iter().find(|(number, ..)| *number == code);
    let (name, advice) =
        known.map_or(("a CUresult", "update the driver"), |(_, name, advice)| (*name, *advice));
    format!("{name} ({code}): {advice}")
}

/// A failure of the encoder that was open.
pub(super) fn failure(doing: &'static str, detail: String) -> EncodeError {
    EncodeError::Backend { encoder: NAME, doing, detail }
}

/// `Ok` for `CUDA_SUCCESS`.
pub(super) fn check_cuda(doing: &'static str, code: i32) -> Result<(), EncodeError> {
    if code == 0 { Ok(()) } else { Err(failure(doing, describe_cuda(code))) }
}

/// The encoder cannot be used on this machine at all.
pub(super) fn unavailable(why: String) -> EncodeError {
    EncodeError::Unavailable { encoder: NAME, why }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nvidia_video_codec_sdk::sys::nvEncodeAPI::NVENCSTATUS;

    #[test]
    fn every_code_stands_at_its_number() {
        assert_eq!(NVENC[NVENCSTATUS::NV_ENC_ERR_OUT_OF_MEMORY as usize].0, "NV_ENC_ERR_OUT_OF_MEMORY");
        assert_eq!(NVENC[NVENCSTATUS::NV_ENC_ERR_GENERIC as usize].0, "NV_ENC_ERR_GENERIC");
        assert_eq!(NVENC[NVENCSTATUS::NV_ENC_ERR_NEED_MORE_OUTPUT as usize].0, "NV_ENC_ERR_NEED_MORE_OUTPUT");
        assert_eq!(
            (LOCK_BUSY, ENCODER_BUSY),
            (NVENCSTATUS::NV_ENC_ERR_LOCK_BUSY as u32, NVENCSTATUS::NV_ENC_ERR_ENCODER_BUSY as u32)
        );
        assert!(NVENC.iter().all(|(name, advice)| name.starts_with("NV_ENC_") && !advice.is_empty()));
    }

    #[test]
    fn a_code_that_is_not_known_is_shown_too() {
        assert!(describe(77, "").contains("(77)"));
        assert!(describe(10, "no more sessions").ends_with("the driver says: no more sessions"));
        assert!(
            describe_cuda(100).contains("no NVIDIA GPU is visible")
                && describe_cuda(12_345).contains("12345")
        );
    }
}
