//! The few calls of OpenH264's C interface that the encoder needs, made safe.
#![expect(unsafe_code, reason = "the library speaks C; every call is wrapped here")]

use super::long_term::{Feedback, Recovery};
use crate::video::{EncodeError, VideoSettings};
use openh264_sys2::{
    API, CAMERA_VIDEO_REAL_TIME, CONSTANT_ID, DynamicAPI, ELevelIdc, ENCODER_LTR_MARKING_FEEDBACK,
    ENCODER_LTR_RECOVERY_REQUEST, ENCODER_OPTION, ENCODER_OPTION_SVC_ENCODE_PARAM_EXT,
    ENCODER_OPTION_TRACE_LEVEL, ISVCEncoder, ISVCEncoderVtbl, LOW_COMPLEXITY, LTR_MARKING_SUCCESS,
    LTR_RECOVERY_REQUEST, PRO_BASELINE, RC_OFF_MODE, SEncParamExt, SFrameBSInfo, SLTRMarkingFeedback,
    SLTRRecoverRequest, SM_SIZELIMITED_SLICE, SSourcePicture, WELS_LOG_QUIET, videoFormatI420,
    videoFrameTypeIDR,
};
use std::ffi::{c_int, c_uint, c_void};
use std::ptr::{from_mut, null_mut};

pub(super) const NAME: &str = "OpenH264";
/// A slice and its RTP and UDP headers fit into 1200 bytes, which every path carries.
const MAX_SLICE_BYTES: u32 = 1_150;
/// Two halves of the picture at a time halve the time to a frame; more gain little at 720p.
const THREADS: u16 = 2;
/// One reference for every picture and two long-term ones, which is what the library keeps.
const REFERENCES: c_int = 3;
/// Pictures between two marks, at least. The next mark waits for feedback anyway; the younger the marks,
/// the smaller the pictures that go back to them. 0 would mean 30.
const MARKING_PERIOD: u32 = 1;

/// What the library is opened with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameters {
    pub(super) width: c_int,
    pub(super) height: c_int,
    pub(super) fps: f32,
    pub(super) bitrate_bps: c_int,
    pub(super) level_idc: u32,
}

impl Parameters {
    /// As `settings` say, which were checked before.
    pub(super) fn new(settings: &VideoSettings, level_idc: u32) -> Self {
        Self {
            width: settings.width as c_int,
            height: settings.height as c_int,
            fps: settings.fps as f32,
            bitrate_bps: settings.bitrate_bps as c_int,
            level_idc,
        }
    }
}

/// An initialised encoder of the library.
pub(super) struct Library {
    api: DynamicAPI,
    /// Made by `WelsCreateSVCEncoder`, never null, destroyed once on drop.
    encoder: *mut ISVCEncoder,
    parameters: SEncParamExt,
    output: Box<SFrameBSInfo>,
}

// SAFETY: the library keeps no thread-local state; the pointers are owned by this value alone and used
// through `&mut self`.
unsafe impl Send for Library {}

/// Planes of one I420 picture without padding, as long as the parameters say.
#[derive(Clone, Copy)]
pub(super) struct Planes<'a> {
    pub(super) luma: &'a [u8],
    pub(super) cb: &'a [u8],
    pub(super) cr: &'a [u8],
}

impl Library {
    pub(super) fn open(parameters: Parameters) -> Result<Self, EncodeError> {
        let api = DynamicAPI::from_source();
        let mut encoder: *mut ISVCEncoder = null_mut();
        // SAFETY: the pointer to write to is valid for the call.
        let created = unsafe { api.WelsCreateSVCEncoder(from_mut(&mut encoder)) };
        check("creating the encoder", created)?;
        if encoder.is_null() {
            return Err(failure("creating the encoder", "it gave none".to_owned()));
        }
        let mut library = Self {
            api,
            encoder,
            parameters: SEncParamExt::default(),
            output: Box::new(SFrameBSInfo::default()),
        };
        library.initialise(parameters)?;
        Ok(library)
    }

    fn initialise(&mut self, parameters: Parameters) -> Result<(), EncodeError> {
        const DOING: &str = "setting up";
        let mut quiet: c_int = WELS_LOG_QUIET;
        self.set_option(ENCODER_OPTION_TRACE_LEVEL, from_mut(&mut quiet).cast())?;
        self.set_parameters(parameters)?;
        let initialise = self.vtable().InitializeExt.ok_or_else(missing)?;
        // SAFETY: the encoder is alive; the library copies the parameters.
        check(DOING, unsafe { initialise(self.encoder, &raw const self.parameters) })?;
        self.read_parameters()
    }

    /// Starts the stream anew with other parameters. Ids of refresh pictures go on where they were, as
    /// 7.4.3 wants of two that follow each other.
    pub(super) fn restart(&mut self, parameters: Parameters) -> Result<(), EncodeError> {
        self.set_parameters(parameters)?;
        let pointer = (&raw mut self.parameters).cast();
        self.set_option(ENCODER_OPTION_SVC_ENCODE_PARAM_EXT, pointer)?;
        self.read_parameters()
    }

    fn set_parameters(&mut self, parameters: Parameters) -> Result<(), EncodeError> {
        let defaults = self.vtable().GetDefaultParams.ok_or_else(missing)?;
        // SAFETY: the encoder is alive and the pointer is to a whole SEncParamExt.
        check("reading its defaults", unsafe { defaults(self.encoder, &raw mut self.parameters) })?;
        configure(&mut self.parameters, parameters);
        Ok(())
    }

    /// What was set is corrected by the library; later changes start from the corrected values, since any
    /// other difference would restart the stream.
    fn read_parameters(&mut self) -> Result<(), EncodeError> {
        const DOING: &str = "reading its parameters";
        let option = self.vtable().GetOption.ok_or_else(missing)?;
        let pointer = (&raw mut self.parameters).cast();
        // SAFETY: this option writes one SEncParamExt.
        check(DOING, unsafe { option(self.encoder, ENCODER_OPTION_SVC_ENCODE_PARAM_EXT, pointer) })
    }

    /// The quantiser of all macroblocks from the next picture on, 0..=51.
    pub(super) fn set_qp(&mut self, qp: u8) -> Result<(), EncodeError> {
        let layer = &mut self.parameters.sSpatialLayers[0];
        if layer.iDLayerQp == c_int::from(qp) {
            return Ok(());
        }
        layer.iDLayerQp = c_int::from(qp);
        let pointer = (&raw mut self.parameters).cast();
        self.set_option(ENCODER_OPTION_SVC_ENCODE_PARAM_EXT, pointer)
    }

    /// The receiver has the picture that was marked.
    pub(super) fn confirm(&mut self, feedback: Feedback) -> Result<(), EncodeError> {
        let mut feedback = SLTRMarkingFeedback {
            uiFeedbackType: LTR_MARKING_SUCCESS as c_uint,
            uiIDRPicId: feedback.idr_pic_id,
            iLTRFrameNum: frame_num(feedback.frame_num),
            iLayerId: 0,
        };
        self.set_option(ENCODER_LTR_MARKING_FEEDBACK, from_mut(&mut feedback).cast())
    }

    /// Makes the next picture refer to the long-term reference that was confirmed last.
    pub(super) fn recover(&mut self, recovery: Recovery) -> Result<(), EncodeError> {
        let mut request = SLTRRecoverRequest {
            uiFeedbackType: LTR_RECOVERY_REQUEST as c_uint,
            uiIDRPicId: recovery.idr_pic_id,
            iLastCorrectFrameNum: frame_num(recovery.last_correct),
            iCurrentFrameNum: frame_num(recovery.current),
            iLayerId: 0,
        };
        self.set_option(ENCODER_LTR_RECOVERY_REQUEST, from_mut(&mut request).cast())
    }

    /// Makes the next picture a refresh picture.
    pub(super) fn force_keyframe(&mut self) -> Result<(), EncodeError> {
        let force = self.vtable().ForceIntraFrame.ok_or_else(missing)?;
        // SAFETY: the encoder is alive and initialised.
        check("asking for a keyframe", unsafe { force(self.encoder, true) })
    }

    /// Encodes one picture and appends its NAL units to `stream`. True: it is a refresh picture.
    pub(super) fn encode(
        &mut self,
        planes: Planes<'_>,
        at_ms: i64,
        stream: &mut Vec<u8>,
    ) -> Result<bool, EncodeError> {
        let (width, height) = (self.parameters.iPicWidth, self.parameters.iPicHeight);
        let pixels = width as usize * height as usize;
        assert!(
            planes.luma.len() == pixels && planes.cb.len() == pixels / 4 && planes.cr.len() == pixels / 4,
            "surfaces are checked against the settings before they get here"
        );
        let picture = SSourcePicture {
            iColorFormat: videoFormatI420,
            iStride: [width, width / 2, width / 2, 0],
            pData: [
                planes.luma.as_ptr().cast_mut(),
                planes.cb.as_ptr().cast_mut(),
                planes.cr.as_ptr().cast_mut(),
                null_mut(),
            ],
            iPicWidth: width,
            iPicHeight: height,
            uiTimeStamp: at_ms,
            ..Default::default()
        };
        let encode = self.vtable().EncodeFrame.ok_or_else(missing)?;
        // SAFETY: the planes are as long as sizes and strides say and outlive the call, which only reads
        // them; the output is owned by `self`.
        check("encoding", unsafe { encode(self.encoder, &raw const picture, &raw mut *self.output) })?;
        self.append_output(stream);
        Ok(self.output.eFrameType == videoFrameTypeIDR)
    }

    fn append_output(&self, stream: &mut Vec<u8>) {
        let layers = usize::try_from(self.output.iLayerNum).unwrap_or(0);
        for layer in self.output.sLayerInfo.iter().take(layers) {
            let count = usize::try_from(layer.iNalCount).unwrap_or(0);
            if count == 0 || layer.pNalLengthInByte.is_null() || layer.pBsBuf.is_null() {
                continue;
            }
            // SAFETY: after a successful call a layer lists the lengths of `iNalCount` NAL units, which lie
            // one after the other in `pBsBuf`; both stay untouched until the next call.
            let bytes = unsafe {
                let lengths = std::slice::from_raw_parts(layer.pNalLengthInByte, count);
                let total = lengths.iter().map(|&length| usize::try_from(length).unwrap_or(0)).sum();
                std::slice::from_raw_parts(layer.pBsBuf, total)
            };
            stream.extend_from_slice(bytes);
        }
    }

    fn set_option(&mut self, option: ENCODER_OPTION, value: *mut c_void) -> Result<(), EncodeError> {
        let set = self.vtable().SetOption.ok_or_else(missing)?;
        // SAFETY: the callers in this file pass the type that the option takes, alive for the call.
        check("changing an option", unsafe { set(self.encoder, option, value) })
    }

    fn vtable(&self) -> &ISVCEncoderVtbl {
        // SAFETY: a created encoder begins with a pointer to its function table, which lives as long as it.
        unsafe { &**self.encoder }
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: the encoder was created by this API and is destroyed only here; the library uninitialises
        // it where needed.
        unsafe { self.api.WelsDestroySVCEncoder(self.encoder) }
    }
}

fn frame_num(value: u32) -> c_int {
    c_int::try_from(value).expect("slice headers hold at most 16 bits of frame_num")
}

/// Constant quantiser a frame (our own rate control chooses it), one reference, no B-frames, refresh
/// pictures only on request, and nothing that drops or re-codes frames behind our back.
fn configure(target: &mut SEncParamExt, parameters: Parameters) {
    target.iUsageType = CAMERA_VIDEO_REAL_TIME;
    target.iPicWidth = parameters.width;
    target.iPicHeight = parameters.height;
    target.iTargetBitrate = parameters.bitrate_bps;
    target.iRCMode = RC_OFF_MODE;
    target.fMaxFrameRate = parameters.fps;
    target.iTemporalLayerNum = 1;
    target.iSpatialLayerNum = 1;
    target.iComplexityMode = LOW_COMPLEXITY;
    target.uiIntraPeriod = 0;
    target.iNumRefFrame = REFERENCES;
    target.eSpsPpsIdStrategy = CONSTANT_ID;
    target.bEnableFrameSkip = false;
    target.uiMaxNalSize = MAX_SLICE_BYTES;
    target.bEnableLongTermReference = true;
    target.iLTRRefNum = REFERENCES - 1;
    target.iLtrMarkPeriod = MARKING_PERIOD;
    target.iMultipleThreadIdc = THREADS;
    target.bEnableDenoise = false;
    target.bEnableBackgroundDetection = false;
    target.bEnableAdaptiveQuant = false;
    target.bEnableSceneChangeDetect = false;
    let layer = &mut target.sSpatialLayers[0];
    layer.iVideoWidth = parameters.width;
    layer.iVideoHeight = parameters.height;
    layer.fFrameRate = parameters.fps;
    layer.iSpatialBitrate = parameters.bitrate_bps;
    layer.uiProfileIdc = PRO_BASELINE;
    layer.uiLevelIdc = parameters.level_idc as ELevelIdc;
    layer.sSliceArgument.uiSliceMode = SM_SIZELIMITED_SLICE;
    layer.sSliceArgument.uiSliceSizeConstraint = MAX_SLICE_BYTES;
    // BT.709 in limited range; without these browsers take small pictures for BT.601.
    layer.bVideoSignalTypePresent = true;
    layer.bColorDescriptionPresent = true;
    layer.bFullRange = false;
    (layer.uiColorPrimaries, layer.uiTransferCharacteristics, layer.uiColorMatrix) = (1, 1, 1);
}

fn check(doing: &'static str, code: c_int) -> Result<(), EncodeError> {
    if code == 0 { Ok(()) } else { Err(failure(doing, format!("code {code}"))) }
}

pub(super) fn failure(doing: &'static str, detail: String) -> EncodeError {
    EncodeError::Backend { encoder: NAME, doing, detail }
}

fn missing() -> EncodeError {
    failure("calling the library", "a function is missing from its table".to_owned())
}
