//! Settings as they are checked: what a real driver refuses, and what this project's own rules forbid.
#![expect(unsafe_code, reason = "reads structures and unions of a C interface")]

use nvidia_video_codec_sdk::sys::nvEncodeAPI as nv;

/// What a session was started with, as far as it matters later.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    pub(crate) codec: Codec,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) most: (u32, u32),
    pub(crate) fps: u32,
    pub(crate) bitrate_bps: u32,
    pub(crate) vbv_bits: u32,
    pub(crate) level: u32,
    pub(crate) references: u32,
    pub(crate) slices: u32,
    pub(crate) sub_frame: bool,
    pub(crate) ten_bit: bool,
    pub(crate) intra_refresh: u32,
    pub(crate) colours: Option<(bool, u32, u32, u32)>,
    pub(crate) restricts_reordering: bool,
}

/// Codecs of the stand-in, in the order in which they are switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub(crate) enum Codec {
    H264,
    Hevc,
    Av1,
}

impl Codec {
    pub(crate) const ALL: [Self; 3] = [Self::H264, Self::Hevc, Self::Av1];

    pub(crate) fn guid(self) -> nv::GUID {
        match self {
            Self::H264 => nv::NV_ENC_CODEC_H264_GUID,
            Self::Hevc => nv::NV_ENC_CODEC_HEVC_GUID,
            Self::Av1 => nv::NV_ENC_CODEC_AV1_GUID,
        }
    }

    pub(crate) fn profiles(self) -> Vec<nv::GUID> {
        match self {
            Self::H264 => vec![
                nv::NV_ENC_H264_PROFILE_BASELINE_GUID,
                nv::NV_ENC_H264_PROFILE_MAIN_GUID,
                nv::NV_ENC_H264_PROFILE_HIGH_GUID,
            ],
            Self::Hevc => vec![nv::NV_ENC_HEVC_PROFILE_MAIN_GUID, nv::NV_ENC_HEVC_PROFILE_MAIN10_GUID],
            Self::Av1 => vec![nv::NV_ENC_AV1_PROFILE_MAIN_GUID],
        }
    }
}

pub(crate) const PRESETS: [nv::GUID; 7] = [
    nv::NV_ENC_PRESET_P1_GUID,
    nv::NV_ENC_PRESET_P2_GUID,
    nv::NV_ENC_PRESET_P3_GUID,
    nv::NV_ENC_PRESET_P4_GUID,
    nv::NV_ENC_PRESET_P5_GUID,
    nv::NV_ENC_PRESET_P6_GUID,
    nv::NV_ENC_PRESET_P7_GUID,
];

/// Reads and checks the structure that starts or changes a session; what is wrong, in words.
///
/// # Safety
/// `params` is whole, and its configuration too where it points to one.
pub(crate) unsafe fn read(params: &nv::NV_ENC_INITIALIZE_PARAMS) -> Result<Settings, String> {
    let wrong = |what: &str| Err(what.to_owned());
    if params.version != nv::NV_ENC_INITIALIZE_PARAMS_VER {
        return wrong("NV_ENC_INITIALIZE_PARAMS of a wrong version");
    }
    let zero = params.reserved.iter().all(|&word| word == 0) && params.reserved2.iter().all(|p| p.is_null());
    if !zero || params.privDataSize != 0 || !params.privData.is_null() || params.reservedBitFields() != 0 {
        return wrong("reserved fields of NV_ENC_INITIALIZE_PARAMS are not zero");
    }
    let codec = Codec::ALL.into_iter().find(|codec| codec.guid() == params.encodeGUID);
    let Some(codec) = codec else { return wrong("encodeGUID is no codec") };
    if !PRESETS.contains(&params.presetGUID) {
        return wrong("presetGUID is no preset");
    }
    if params.tuningInfo != nv::NV_ENC_TUNING_INFO::NV_ENC_TUNING_INFO_ULTRA_LOW_LATENCY {
        return wrong("tuned for something else than ultra-low latency");
    }
    if params.enableEncodeAsync != 0 {
        return wrong("asynchronous mode is for Windows");
    }
    if params.enablePTD != 1 || params.frameRateNum == 0 || params.frameRateDen != 1 {
        return wrong("picture types are not the driver's to choose, or there is no frame rate");
    }
    if params.encodeConfig.is_null() {
        return wrong("no configuration");
    }
    // SAFETY: the caller's.
    let mut settings = unsafe { read_config(&*params.encodeConfig, codec) }?;
    (settings.width, settings.height) = (params.encodeWidth, params.encodeHeight);
    settings.most = (params.maxEncodeWidth, params.maxEncodeHeight);
    settings.fps = params.frameRateNum;
    settings.sub_frame = params.enableSubFrameWrite() == 1;
    if (params.darWidth, params.darHeight) != (params.encodeWidth, params.encodeHeight) {
        return wrong("pixels are not square");
    }
    if settings.sub_frame != (params.reportSliceOffsets() == 1) || settings.sub_frame != (settings.slices > 1)
    {
        return wrong("slices are handed out early without their offsets, or without more than one slice");
    }
    Ok(settings)
}

/// # Safety
/// `config` is whole.
unsafe fn read_config(config: &nv::NV_ENC_CONFIG, codec: Codec) -> Result<Settings, String> {
    let wrong = |what: &str| Err(what.to_owned());
    if config.version != nv::NV_ENC_CONFIG_VER {
        return wrong("NV_ENC_CONFIG of a wrong version");
    }
    if !codec.profiles().contains(&config.profileGUID) {
        return wrong("profileGUID is not one of the codec");
    }
    let endless = config.gopLength == nv::NVENC_INFINITE_GOPLENGTH && config.frameIntervalP == 1;
    if !endless || config.monoChromeEncoding != 0 {
        return wrong("not one endless group of P pictures");
    }
    let rc = &config.rcParams;
    let constant = rc.rateControlMode == nv::NV_ENC_PARAMS_RC_MODE::NV_ENC_PARAMS_RC_CBR;
    if !constant || rc.averageBitRate == 0 || rc.enableLookahead() != 0 || rc.zeroReorderDelay() != 1 {
        return wrong("not constant bitrate without delay");
    }
    if rc.reservedBitFields() != 0 || rc.reserved != [0; 4] {
        return wrong("reserved fields of NV_ENC_RC_PARAMS are not zero");
    }
    let mut settings = Settings {
        codec,
        width: 0,
        height: 0,
        most: (0, 0),
        fps: 0,
        bitrate_bps: rc.averageBitRate,
        vbv_bits: rc.vbvBufferSize,
        level: 0,
        references: 0,
        slices: 1,
        sub_frame: false,
        ten_bit: config.profileGUID == nv::NV_ENC_HEVC_PROFILE_MAIN10_GUID,
        intra_refresh: 0,
        colours: None,
        restricts_reordering: false,
    };
    // SAFETY: the union holds the structure of the codec.
    unsafe {
        match codec {
            Codec::H264 => h264(&config.encodeCodecConfig.h264Config, &mut settings),
            Codec::Hevc => hevc(&config.encodeCodecConfig.hevcConfig, &mut settings),
            Codec::Av1 => av1(&config.encodeCodecConfig.av1Config, &mut settings),
        }?;
    }
    Ok(settings)
}

fn h264(h264: &nv::NV_ENC_CONFIG_H264, settings: &mut Settings) -> Result<(), String> {
    let wrong = |what: &str| Err(what.to_owned());
    if h264.idrPeriod != nv::NVENC_INFINITE_GOPLENGTH || h264.repeatSPSPPS() != 1 || h264.disableSPSPPS() != 0
    {
        return wrong("keyframes come by themselves, or without parameter sets");
    }
    if h264.chromaFormatIDC != 1
        || h264.reservedBitFields() != 0
        || h264.reserved1.iter().any(|&word| word != 0)
    {
        return wrong("chroma or reserved fields of NV_ENC_CONFIG_H264");
    }
    if h264.entropyCodingMode != nv::NV_ENC_H264_ENTROPY_CODING_MODE::NV_ENC_H264_ENTROPY_CODING_MODE_CAVLC {
        return wrong("baseline has no CABAC");
    }
    (settings.level, settings.references) = (h264.level, h264.maxNumRefFrames);
    settings.slices = slices(h264.sliceMode, h264.sliceModeData)?;
    settings.intra_refresh =
        refresh(h264.enableIntraRefresh(), h264.intraRefreshPeriod, h264.intraRefreshCnt)?;
    vui(&h264.h264VUIParameters, settings);
    Ok(())
}

fn hevc(hevc: &nv::NV_ENC_CONFIG_HEVC, settings: &mut Settings) -> Result<(), String> {
    let wrong = |what: &str| Err(what.to_owned());
    if hevc.idrPeriod != nv::NVENC_INFINITE_GOPLENGTH || hevc.repeatSPSPPS() != 1 || hevc.disableSPSPPS() != 0
    {
        return wrong("keyframes come by themselves, or without parameter sets");
    }
    if hevc.chromaFormatIDC() != 1 || hevc.pixelBitDepthMinus8() != if settings.ten_bit { 2 } else { 0 } {
        return wrong("chroma or depth do not fit the profile");
    }
    (settings.level, settings.references) = (hevc.level, hevc.maxNumRefFramesInDPB);
    settings.slices = slices(hevc.sliceMode, hevc.sliceModeData)?;
    settings.intra_refresh =
        refresh(hevc.enableIntraRefresh(), hevc.intraRefreshPeriod, hevc.intraRefreshCnt)?;
    vui(&hevc.hevcVUIParameters, settings);
    // This project's own rule: ten bits are HDR10's (BT.2020, ST 2084), eight are BT.709's.
    let agreed = if settings.ten_bit { (false, 9, 16, 9) } else { (false, 1, 1, 1) };
    if settings.colours != Some(agreed) {
        return wrong("the colours that are declared are not those of the depth");
    }
    Ok(())
}

fn av1(av1: &nv::NV_ENC_CONFIG_AV1, settings: &mut Settings) -> Result<(), String> {
    let wrong = |what: &str| Err(what.to_owned());
    if av1.idrPeriod != nv::NVENC_INFINITE_GOPLENGTH
        || av1.repeatSeqHdr() != 1
        || av1.outputAnnexBFormat() != 0
    {
        return wrong("keyframes come by themselves, or without a sequence header, or as Annex B");
    }
    if av1.chromaFormatIDC() != 1 || (av1.inputPixelBitDepthMinus8(), av1.pixelBitDepthMinus8()) != (0, 0) {
        return wrong("chroma or depth do not fit the profile");
    }
    (settings.level, settings.references) = (av1.level, av1.maxNumRefFramesInDPB);
    settings.slices = (av1.numTileColumns * av1.numTileRows).max(1);
    settings.intra_refresh = refresh(av1.enableIntraRefresh(), av1.intraRefreshPeriod, av1.intraRefreshCnt)?;
    settings.colours = Some((
        av1.colorRange == 1,
        av1.colorPrimaries as u32,
        av1.transferCharacteristics as u32,
        av1.matrixCoefficients as u32,
    ));
    settings.restricts_reordering = true;
    Ok(())
}

fn slices(mode: u32, data: u32) -> Result<u32, String> {
    match (mode, data) {
        (0, 0) => Ok(1),
        (3, 1..) => Ok(data),
        _ => Err(format!("slice mode {mode} with {data}")),
    }
}

fn refresh(on: u32, period: u32, count: u32) -> Result<u32, String> {
    match (on, period, count) {
        (0, 0, 0) => Ok(0),
        (1, period, count) if count > 0 && count < period => Ok(count),
        _ => Err(format!("intra refresh {on} of {count} frames every {period}")),
    }
}

fn vui(vui: &nv::NV_ENC_CONFIG_H264_VUI_PARAMETERS, settings: &mut Settings) {
    settings.colours = (vui.videoSignalTypePresentFlag == 1 && vui.colourDescriptionPresentFlag == 1)
        .then_some((
            vui.videoFullRangeFlag == 1,
            vui.colourPrimaries as u32,
            vui.transferCharacteristics as u32,
            vui.colourMatrix as u32,
        ));
    settings.restricts_reordering = vui.bitstreamRestrictionFlag == 1;
}
