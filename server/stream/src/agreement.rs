//! Which codec a session's pictures are in, by what encoder, players' browsers and paths can do.
//!
//! H.264 is what everybody decodes and what is cheapest to decode without hardware; the others give a better picture
//! for the same bits. So another codec is used where every player's device decodes it in hardware, or where a path is
//! too narrow for the whole picture in H.264 and nobody runs on a battery. HEVC main 10 is HDR10's: it is used where the
//! title draws in that and every player's display, browser and hardware take it. A codec that turns out to decode too slowly
//! is not used again in the session. Each change costs a keyframe, so that what is merely better waits.

use nearframe_protocol::VideoCodec;
use nearframe_protocol::control::DecoderFacts;
use std::time::{Duration, Instant};

/// Share of the frame interval that decoding may take before a codec is given up; below the share at which a smaller
/// picture is chosen.
const BUSY: f64 = 0.6;
/// For how long it must be so.
const OVERLOADED: Duration = Duration::from_millis(1500);
/// A path must be narrow for this long…
const NARROW: Duration = Duration::from_secs(2);
/// …and carry everything for this long before its codec goes.
const AMPLE: Duration = Duration::from_secs(60);

/// Those that are chosen among, the one with the best picture for its bits first.
const BEST_FIRST: [VideoCodec; 4] = [VideoCodec::Hevc10, VideoCodec::Av1, VideoCodec::Hevc, VideoCodec::H264];

/// What is known of one player.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CodecPlayer<'a> {
    /// Codecs that were negotiated beside H.264.
    pub negotiated: &'a [VideoCodec],
    /// What the page says of its decoders; empty before it has.
    pub decoders: &'a [DecoderFacts],
    /// The device runs on its battery.
    pub on_battery: bool,
    /// The display shows HDR10, and the browser takes it there.
    pub hdr: bool,
    /// Mean time of decoding a picture in the codec in use.
    pub decode: Option<Duration>,
}

impl CodecPlayer<'_> {
    fn facts(&self, codec: VideoCodec) -> Option<&DecoderFacts> {
        self.decoders.iter().find(|facts| facts.codec == codec)
    }

    fn can(&self, codec: VideoCodec) -> bool {
        self.negotiated.contains(&codec) && self.facts(codec).is_some_and(|facts| facts.smooth)
    }

    fn has_hardware(&self, codec: VideoCodec) -> bool {
        self.facts(codec).is_some_and(|facts| facts.efficient)
    }
}

/// What a choice is made by.
#[derive(Clone, Copy, Debug)]
pub struct CodecInputs<'a> {
    /// What the encoder can be opened for.
    pub encodable: &'a [VideoCodec],
    /// Everybody who is connected.
    pub players: &'a [CodecPlayer<'a>],
    /// The title draws in HDR10.
    pub hdr: bool,
    /// A path carries too little for the whole picture.
    pub narrow: bool,
    /// Between two frames.
    pub interval: Duration,
}

/// Chooses for one session.
#[derive(Debug)]
pub struct CodecAgreement {
    now: VideoCodec,
    too_slow: Vec<VideoCodec>,
    slow_since: Option<Instant>,
    narrow: bool,
    narrow_since: Option<Instant>,
    ample_since: Option<Instant>,
}

impl Default for CodecAgreement {
    fn default() -> Self {
        Self {
            now: VideoCodec::H264,
            too_slow: Vec::new(),
            slow_since: None,
            narrow: false,
            narrow_since: None,
            ample_since: None,
        }
    }
}

impl CodecAgreement {
    /// The codec that is agreed on.
    pub fn codec(&self) -> VideoCodec {
        self.now
    }

    /// Looks at what is known now; to be called a few times a second. `true`: [`Self::codec`] is another one.
    pub fn update(&mut self, now: Instant, inputs: &CodecInputs<'_>) -> bool {
        self.note_path(now, inputs.narrow);
        self.note_decoding(now, inputs);
        let best = BEST_FIRST.into_iter().find(|&codec| self.is_worth_it(codec, inputs));
        let best = best.unwrap_or(VideoCodec::H264);
        let changed = best != self.now;
        if changed {
            (self.now, self.slow_since) = (best, None);
        }
        changed
    }

    /// The encoder could not be opened for the codec, whatever it says of itself.
    pub fn refused(&mut self, codec: VideoCodec) {
        if codec != VideoCodec::H264 && !self.too_slow.contains(&codec) {
            self.too_slow.push(codec);
        }
    }

    fn is_worth_it(&self, codec: VideoCodec, inputs: &CodecInputs<'_>) -> bool {
        let CodecInputs { encodable, players, .. } = inputs;
        let possible = encodable.contains(&codec)
            && !self.too_slow.contains(&codec)
            && players.iter().all(|player| player.can(codec));
        let cheap = players.iter().all(|player| player.has_hardware(codec));
        let plugged_in = !players.iter().any(|player| player.on_battery);
        let worth_it = match codec {
            VideoCodec::Hevc10 => inputs.hdr && players.iter().all(|player| player.hdr) && cheap,
            VideoCodec::Av1 | VideoCodec::Hevc | VideoCodec::H264 => cheap || self.narrow && plugged_in,
        };
        possible && !players.is_empty() && worth_it
    }

    fn note_path(&mut self, now: Instant, narrow: bool) {
        let since = |at: &mut Option<Instant>, holds: bool| {
            *at = holds.then(|| at.unwrap_or(now));
            at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at))
        };
        let (narrow_for, ample_for) =
            (since(&mut self.narrow_since, narrow), since(&mut self.ample_since, !narrow));
        self.narrow = if self.narrow { ample_for < AMPLE } else { narrow_for >= NARROW };
    }

    fn note_decoding(&mut self, now: Instant, inputs: &CodecInputs<'_>) {
        let most = inputs.interval.mul_f64(BUSY);
        let slow = self.now != VideoCodec::H264
            && inputs.players.iter().any(|player| player.decode.is_some_and(|took| took > most));
        self.slow_since = slow.then(|| self.slow_since.unwrap_or(now));
        if self.slow_since.is_some_and(|since| now.saturating_duration_since(since) >= OVERLOADED) {
            self.too_slow.push(self.now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use VideoCodec::{Av1, H264, Hevc, Hevc10};

    const INTERVAL: Duration = Duration::from_micros(16_667);
    const ALL: [VideoCodec; 4] = [Av1, Hevc, Hevc10, H264];
    const NO_TEN: [VideoCodec; 3] = [Av1, Hevc, H264];

    fn decoders(of: &[(VideoCodec, bool, bool)]) -> Vec<DecoderFacts> {
        of.iter().map(|&(codec, smooth, efficient)| DecoderFacts { codec, smooth, efficient }).collect()
    }

    fn player<'a>(decoders: &'a [DecoderFacts]) -> CodecPlayer<'a> {
        CodecPlayer {
            negotiated: &[Hevc, Hevc10, Av1],
            decoders,
            on_battery: false,
            hdr: false,
            decode: None,
        }
    }

    fn inputs<'a>(players: &'a [CodecPlayer<'a>], narrow: bool) -> CodecInputs<'a> {
        CodecInputs { encodable: &ALL, players, hdr: false, narrow, interval: INTERVAL }
    }

    /// What is agreed on after a while in which nothing changes.
    fn settled(inputs: &CodecInputs<'_>) -> VideoCodec {
        let (mut agreement, start) = (CodecAgreement::default(), Instant::now());
        for tick in 0..40 {
            agreement.update(start + Duration::from_millis(250) * tick, inputs);
        }
        agreement.codec()
    }

    #[test]
    fn hardware_decides_where_the_path_is_ample_and_bits_where_it_is_narrow() {
        let software = decoders(&[(Av1, true, false), (Hevc, true, false), (H264, true, false)]);
        let hevc = decoders(&[(Av1, true, false), (Hevc, true, true), (H264, true, true)]);
        let both = decoders(&[(Av1, true, true), (Hevc, true, true), (H264, true, true)]);
        let jerky = decoders(&[(Av1, false, false), (H264, true, true)]);
        let at = |decoders: &[DecoderFacts], narrow| settled(&inputs(&[player(decoders)], narrow));
        assert_eq!((at(&software, false), at(&software, true)), (H264, Av1));
        assert_eq!((at(&hevc, false), at(&hevc, true)), (Hevc, Av1));
        assert_eq!((at(&both, false), at(&both, true)), (Av1, Av1));
        assert_eq!((at(&jerky, false), at(&jerky, true)), (H264, H264));
        assert_eq!((at(&[], false), at(&[], true)), (H264, H264), "nothing is known of an older page");
    }

    #[test]
    fn a_battery_pays_for_no_decoding_in_software() {
        let software = decoders(&[(Av1, true, false), (Hevc, true, true)]);
        let on_battery = CodecPlayer { on_battery: true, ..player(&software) };
        assert_eq!(settled(&inputs(&[on_battery], true)), Hevc);
    }

    #[test]
    fn all_players_and_the_encoder_must_know_it() {
        let all = decoders(&[(Av1, true, true), (Hevc, true, true)]);
        let without = CodecPlayer { negotiated: &[Hevc], ..player(&all) };
        assert_eq!(settled(&inputs(&[player(&all), without], false)), Hevc);
        assert_eq!(settled(&inputs(&[], false)), H264);
        let players = [player(&all)];
        let encoder = CodecInputs { encodable: &[H264, Hevc], ..inputs(&players, true) };
        assert_eq!(settled(&encoder), Hevc);
    }

    #[test]
    fn ten_bits_are_agreed_on_where_title_encoder_and_every_player_take_hdr10() {
        let hardware = decoders(&[(Av1, true, true), (Hevc, true, true), (Hevc10, true, true)]);
        let software = decoders(&[(Av1, true, true), (Hevc, true, true), (Hevc10, true, false)]);
        let jerky = decoders(&[(Av1, true, true), (Hevc, true, true), (Hevc10, false, true)]);
        let sees = |decoders| CodecPlayer { hdr: true, ..player(decoders) };
        let without = CodecPlayer { negotiated: &[Hevc, Av1], ..sees(&hardware) };
        for (title, encodable, players, wanted) in [
            (true, &ALL[..], &[sees(&hardware)][..], Hevc10),
            (true, &ALL, &[sees(&hardware), sees(&hardware)], Hevc10),
            (false, &ALL, &[sees(&hardware)], Av1),
            (true, &NO_TEN, &[sees(&hardware)], Av1),
            (true, &ALL, &[player(&hardware)], Av1),
            (true, &ALL, &[sees(&hardware), player(&hardware)], Av1),
            (true, &ALL, &[sees(&software)], Av1),
            (true, &ALL, &[sees(&jerky)], Av1),
            (true, &ALL, &[without], Av1),
            (true, &ALL, &[], H264),
        ] {
            for narrow in [false, true] {
                let inputs = CodecInputs { hdr: title, encodable, ..inputs(players, narrow) };
                assert_eq!(settled(&inputs), wanted, "{inputs:?}");
            }
        }
    }

    #[test]
    fn what_decodes_too_slowly_or_is_refused_is_not_tried_again() {
        let all = decoders(&[(Av1, true, true), (Hevc, true, true)]);
        let slow = CodecPlayer { decode: Some(INTERVAL.mul_f64(0.7)), ..player(&all) };
        let (mut agreement, start) = (CodecAgreement::default(), Instant::now());
        let quick = [player(&all)];
        assert!(agreement.update(start, &inputs(&quick, false)));
        assert_eq!(agreement.codec(), Av1);
        let at = |ms| start + Duration::from_millis(ms);
        assert!(!agreement.update(at(100), &inputs(&[slow], false)), "a moment is none");
        assert!(agreement.update(at(1700), &inputs(&[slow], false)));
        assert_eq!(agreement.codec(), Hevc);
        assert!(!agreement.update(at(1800), &inputs(&quick, false)));
        agreement.refused(Hevc);
        assert!(agreement.update(at(1900), &inputs(&quick, false)));
        assert_eq!(agreement.codec(), H264);
    }

    #[test]
    fn a_path_that_is_narrow_for_a_moment_changes_nothing_and_one_that_was_keeps_its_codec_for_a_while() {
        let software = decoders(&[(Av1, true, false), (H264, true, false)]);
        let players = [player(&software)];
        let (mut agreement, start) = (CodecAgreement::default(), Instant::now());
        let mut look = |ms, narrow| {
            agreement.update(start + Duration::from_millis(ms), &inputs(&players, narrow));
            agreement.codec()
        };
        assert_eq!(look(0, true), H264);
        assert_eq!(look(1900, true), H264);
        assert_eq!(look(2000, true), Av1);
        assert_eq!(look(2100, false), Av1);
        assert_eq!(look(62_000, false), Av1);
        assert_eq!(look(62_200, false), H264);
    }
}
