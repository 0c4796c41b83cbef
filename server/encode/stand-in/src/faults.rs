//! What goes wrong on purpose, ordered as words with a number: `sessions=1 fail-at=30`. Tests order by a call, or
//! by a file beside the library.

use std::str::FromStr;

/// Faults and facts of the machine that is stood in for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Faults {
    /// `version=110`: the newest interface, ten times its number.
    pub(crate) version: u32,
    /// `devices=2`: GPUs.
    pub(crate) devices: usize,
    /// `load=60:2,10:0`: percent and sessions of each GPU's encoder.
    pub(crate) loads: Vec<(u32, u32)>,
    /// `encoders=0`: GPUs that have an encoder.
    pub(crate) encoders: usize,
    /// `sessions=1`: sessions at once.
    pub(crate) sessions: usize,
    /// `fail-at=30`: the picture with this number fails, from 0.
    pub(crate) fail_at: Option<u64>,
    /// `lost-at=30`: from this picture on the GPU is gone.
    pub(crate) lost_at: Option<u64>,
    /// `hang-at=30`: this picture is not finished for [`HANG`].
    pub(crate) hang_at: Option<u64>,
    /// `memory=2`: buffers that can be created.
    pub(crate) buffers: usize,
    /// `codecs=1`: H.264 alone; 2 adds HEVC, 3 AV1.
    pub(crate) codecs: usize,
    /// `size=640`: largest width and height.
    pub(crate) size: i32,
    /// `resize=0`: no change of size while running.
    pub(crate) resize: i32,
    /// `streams=0`: the encoder takes no CUDA streams.
    pub(crate) streams: bool,
    /// `picture-us=8000`: a picture takes so long, and its slices are there one after the other; 0: at once, a slice for
    /// each time that they are asked for.
    pub(crate) picture_us: u64,
}

/// How long a hanging picture takes.
pub(crate) const HANG: std::time::Duration = std::time::Duration::from_millis(1_500);

impl Default for Faults {
    fn default() -> Self {
        Self {
            version: 130,
            devices: 1,
            loads: Vec::new(),
            encoders: usize::MAX,
            sessions: 8,
            fail_at: None,
            lost_at: None,
            hang_at: None,
            buffers: usize::MAX,
            codecs: 3,
            size: 4096,
            resize: 1,
            streams: true,
            picture_us: 0,
        }
    }
}

impl FromStr for Faults {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut faults = Self::default();
        for word in text.split_whitespace() {
            let (name, value) = word.split_once('=').ok_or(())?;
            if name == "load" {
                faults.loads = value.split(',').map(load).collect::<Option<_>>().ok_or(())?;
                continue;
            }
            let number: u64 = value.parse().map_err(|_| ())?;
            match name {
                "version" => faults.version = number as u32,
                "devices" => faults.devices = number as usize,
                "encoders" => faults.encoders = number as usize,
                "sessions" => faults.sessions = number as usize,
                "fail-at" => faults.fail_at = Some(number),
                "lost-at" => faults.lost_at = Some(number),
                "hang-at" => faults.hang_at = Some(number),
                "memory" => faults.buffers = number as usize,
                "codecs" => faults.codecs = number as usize,
                "size" => faults.size = number as i32,
                "resize" => faults.resize = number as i32,
                "streams" => faults.streams = number > 0,
                "picture-us" => faults.picture_us = number,
                _ => return Err(()),
            }
        }
        Ok(faults)
    }
}

fn load(text: &str) -> Option<(u32, u32)> {
    let (percent, sessions) = text.split_once(':')?;
    Some((percent.parse().ok()?, sessions.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_ordered_in_words() {
        let faults: Faults = "sessions=1 fail-at=30 load=60:2,10:0".parse().unwrap();
        assert_eq!((faults.sessions, faults.fail_at, faults.loads.len()), (1, Some(30), 2));
        assert_eq!("".parse(), Ok(Faults::default()));
        assert!("sessions".parse::<Faults>().is_err() && "what=1".parse::<Faults>().is_err());
    }
}
