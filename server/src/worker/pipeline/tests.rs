use super::*;
use crate::worker::transport::memory::MemoryTransport;
use nearframe_encode::{NvencOptions, NvidiaLibraries, VideoBackend, VideoPreference};
use nearframe_protocol::Seat;
use nearframe_protocol::check::challenge::MOST_FRAMES;
use nearframe_protocol::input::{HeldState, InputEvent, InputPacket, Key, TimedEvent};

const TESTCARD: &str = r#"
id = "testcard"
name = "Testcard"
version = "1"
[run]
kind = "builtin"
builtin = "testcard"
width = 320
height = 180
"#;

fn pipeline() -> Running {
    pipeline_with(VideoOptions::default())
}

type Running = (Pipeline, Arc<InputPort>, mpsc::UnboundedReceiver<PipelineEvent>);

fn pipeline_with(video: VideoOptions) -> Running {
    pipeline_of(TESTCARD, video)
}

fn pipeline_of(manifest: &str, video: VideoOptions) -> Running {
    let (events, receiver) = mpsc::unbounded_channel();
    let input = Arc::new(InputPort::new(Instant::now()));
    let config = PipelineConfig {
        title_dir: PathBuf::from("."),
        manifest: TitleManifest::parse(manifest).unwrap(),
        seed: 1,
        around: Surroundings {
            dir: PathBuf::new(),
            home: PathBuf::new(),
            launcher: PathBuf::new(),
            gpu: None,
        },
        open_gpu: Arc::new(Gpu::open),
        start_bps: 1_000_000,
        video,
        input: Arc::clone(&input),
        voice: Arc::default(),
        events,
    };
    (Pipeline::start(config).unwrap(), input, receiver)
}

/// Whether a picture's time is that moment or later.
fn is_since(moment: u32, rtp_timestamp: u32) -> bool {
    rtp_timestamp.wrapping_sub(moment) < u32::MAX / 2
}

fn press(serial: u32) -> InputPacket {
    let mut held = HeldState::default();
    held.set_key(Key(4), true);
    let events = vec![TimedEvent { age: 0, event: InputEvent::Key { key: Key(4), down: true } }];
    InputPacket { seat: Seat(0), focused: true, first_serial: serial, sent_us: 0, events, held }
}

#[test]
fn nothing_is_drawn_for_nobody_and_a_player_starts_with_a_keyframe() {
    let (pipeline, _, mut events) = pipeline();
    let Some(PipelineEvent::Opened(info)) = events.blocking_recv() else { panic!("not opened") };
    assert_eq!((info.whole.width, info.whole.height), (320, 180));
    assert_eq!(pipeline.encoder_us(), 0);
    let peer = Arc::new(MemoryTransport::default());
    pipeline.set_peers(vec![Arc::clone(&peer) as _]);
    let frames = peer.wait_for(|received| (received.video.len() >= 5).then(|| received.video.clone()));
    assert!(frames[0].1, "the first frame is a keyframe");
    assert!(frames[1..5].iter().all(|frame| !frame.1), "and only the first");
    assert!(frames.windows(2).all(|pair| pair[1].0 > pair[0].0 && pair[1].2 != pair[0].2));
    assert!(matches!(events.blocking_recv(), Some(PipelineEvent::FirstFrame)));
}

#[test]
fn a_challenged_session_answers_first_and_then_its_title_begins() {
    let (pipeline, _, mut events) = pipeline();
    pipeline.challenge(Nonce::from_bytes([1; 32]));
    let peer = Arc::new(MemoryTransport::default());
    pipeline.set_peers(vec![Arc::clone(&peer) as _]);
    peer.wait_for(|received| (!received.video.is_empty()).then_some(()));
    pipeline.greeted(true);
    let begins = loop {
        match events.blocking_recv() {
            Some(PipelineEvent::Begins(rtp_timestamp)) => break rtp_timestamp,
            Some(_) => {}
            None => panic!("the title never began"),
        }
    };
    let (first, frames) = peer.wait_for(|received| {
        let first = received.video.iter().position(|frame| is_since(begins, frame.2))?;
        Some((first, received.video.clone()))
    });
    assert!((1..=MOST_FRAMES as usize).contains(&first), "{first} frames before the title");
    // The one before may have taken the wish for a keyframe, when it had to wait.
    assert!(frames[first - 1..=first].iter().any(|frame| frame.1) && frames.len() > first);
}

#[test]
fn a_page_that_covers_nothing_sees_the_title_at_once() {
    let (pipeline, _, mut events) = pipeline();
    pipeline.challenge(Nonce::from_bytes([1; 32]));
    pipeline.greeted(false);
    let peer = Arc::new(MemoryTransport::default());
    pipeline.set_peers(vec![Arc::clone(&peer) as _]);
    let first = peer.wait_for(|received| received.video.first().map(|frame| frame.2));
    while let Some(event) = events.blocking_recv() {
        if let PipelineEvent::Begins(rtp_timestamp) = event {
            // A busy machine may have left the very first out.
            return assert!(is_since(rtp_timestamp, first), "{first} came before {rtp_timestamp}");
        }
    }
    panic!("the title never began");
}

#[test]
fn a_second_player_and_a_request_get_a_keyframe_each() {
    let (pipeline, ..) = pipeline();
    let (first, second) = (Arc::new(MemoryTransport::default()), Arc::new(MemoryTransport::default()));
    pipeline.set_peers(vec![Arc::clone(&first) as _]);
    first.wait_for(|received| (received.video.len() >= 3).then_some(()));
    pipeline.set_peers(vec![Arc::clone(&first) as _, Arc::clone(&second) as _]);
    second.wait_for(|received| received.video.iter().find(|frame| frame.1).map(|_| ()));
    let before = first.wait_for(|received| Some(received.video.len()));
    pipeline.request_keyframe();
    first.wait_for(|received| received.video[before..].iter().find(|frame| frame.1).map(|_| ()));
}

#[test]
fn facts_name_the_input_that_a_frame_shows_and_their_trace_is_in_order() {
    let (pipeline, input, _events) = pipeline();
    let peer = Arc::new(MemoryTransport::default());
    pipeline.set_peers(vec![Arc::clone(&peer) as _]);
    peer.wait_for(|received| (!received.facts.is_empty()).then_some(()));
    input.receive(Seat(0), &press(1), Instant::now());
    let facts =
        peer.wait_for(|received| received.facts.iter().find(|facts| facts.input_serial == 1).copied());
    assert!(facts.drawn_us <= facts.converted_us && facts.converted_us <= facts.encoded_us);
    assert!(facts.encoded_us <= facts.sent_us);
    peer.wait_for(|received| received.video.iter().find(|frame| frame.2 == facts.rtp_timestamp).map(|_| ()));
    peer.wait_for(|received| (received.audio.len() >= 2).then_some(()));
}

#[test]
fn a_player_who_looks_away_costs_nothing_and_comes_back_to_a_keyframe() {
    let (pipeline, ..) = pipeline();
    let peer = Arc::new(MemoryTransport::default());
    pipeline.set_peers(vec![Arc::clone(&peer) as _]);
    peer.wait_for(|received| (received.video.len() >= 3).then_some(()));
    pipeline.set_hidden(true);
    std::thread::sleep(Duration::from_millis(150));
    let before = peer.wait_for(|received| Some(received.video.len()));
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(peer.wait_for(|received| Some(received.video.len())), before);
    pipeline.set_hidden(false);
    let next = peer.wait_for(|received| received.video.get(before).copied());
    assert!(next.1, "a keyframe");
}

/// The stand-in for NVIDIA's driver, a copy of its own with these faults.
fn stand_in(faults: &str) -> (tempfile::TempDir, VideoOptions) {
    const FILE: &str = "libnearframe_nvenc_stand_in.so";
    let folder = tempfile::tempdir().unwrap();
    let built = std::env::current_exe().unwrap().with_file_name(FILE);
    let path = folder.path().join(FILE);
    std::fs::copy(&built, &path).unwrap_or_else(|error| panic!("{}: {error}", built.display()));
    std::fs::write(path.with_extension("faults"), faults).unwrap();
    let libraries = NvidiaLibraries { cuda: path.clone(), encode: path.clone(), management: path };
    let nvenc = NvencOptions { libraries, ..Default::default() };
    (folder, VideoOptions { preference: VideoPreference::Best, nvenc, near: None, hdr: None })
}

#[test]
fn an_encoder_that_fails_gives_way_within_a_second_and_the_stream_goes_on() {
    for fault in ["fail-at=10", "lost-at=10", "hang-at=10"] {
        let (_folder, video) = stand_in(fault);
        let (pipeline, _, mut events) = pipeline_with(video);
        let Some(PipelineEvent::Opened(info)) = events.blocking_recv() else { panic!("{fault}: not opened") };
        assert_eq!(info.encoder.name, "NVENC", "{fault}");
        let peer = Arc::new(MemoryTransport::default());
        pipeline.set_peers(vec![Arc::clone(&peer) as _]);
        let frames = peer.wait_for(|received| (received.video.len() >= 30).then(|| received.video.clone()));
        let keyframes: Vec<_> = frames.iter().filter(|frame| frame.1).map(|frame| frame.0).collect();
        assert_eq!(keyframes.len(), 2, "{fault}: one to begin with, one of the next encoder: {keyframes:?}");
        assert!(frames.windows(2).all(|pair| pair[1].0 > pair[0].0), "{fault}");
        let changed = std::iter::from_fn(|| events.blocking_recv()).find_map(|event| match event {
            PipelineEvent::EncoderChanged { encoder, change } => Some((encoder, change)),
            PipelineEvent::Failed(why) => panic!("{fault}: {why}"),
            _ => None,
        });
        let (encoder, change) = changed.unwrap();
        assert_eq!((encoder.name.as_str(), change.from), ("OpenH264", VideoBackend::Nvenc), "{fault}");
        assert!(change.took < Duration::from_secs(1) && change.why.contains("NVENC failed"), "{change:?}");
        eprintln!("{fault}: encoder_fallback_ms {:.1}", change.took.as_secs_f64() * 1e3);
    }
}

/// A picture of the stand-in takes 24 ms here, and its slices are there one after the other: of a picture so small, two.
#[test]
fn slices_leave_while_the_rest_of_their_picture_is_still_being_encoded() {
    let (_folder, video) = stand_in("picture-us=24000");
    let nvenc = NvencOptions { slices: 4, ..video.nvenc.clone() };
    let (pipeline, ..) = pipeline_with(VideoOptions { nvenc, ..video });
    let peer = Arc::new(MemoryTransport::default());
    pipeline.set_peers(vec![Arc::clone(&peer) as _]);
    peer.wait_for(|received| (received.parts.iter().filter(|part| part.2).count() >= 8).then_some(()));
    peer.wait_for(|received| {
        let whole: Vec<u32> = received.video.iter().map(|frame| frame.0).collect();
        let pictures: Vec<&[(u32, Instant, bool)]> = received
            .parts
            .chunk_by(|one, other| one.0 == other.0)
            .filter(|parts| parts[parts.len() - 1].2)
            .collect();
        let mut leads = Vec::new();
        for parts in pictures {
            assert!(!whole.contains(&parts[0].0), "a picture leaves in slices or whole");
            leads.push(parts[parts.len() - 1].1.duration_since(parts[0].1));
        }
        assert!(received.video.iter().all(|frame| frame.1), "keyframes leave whole, and nothing else does");
        leads.sort_unstable();
        let lead = leads[leads.len() / 2];
        // Half of the time lies between two slices, more between more; less than that is far from nothing too.
        assert!(lead >= Duration::from_millis(9), "{leads:?}");
        eprintln!("first slice before the last: {:.1} ms of 24", lead.as_secs_f64() * 1e3);
        Some(())
    });
}

#[test]
fn the_next_encoder_begins_with_a_keyframe_after_slices_of_the_one_that_failed() {
    let (_folder, video) = stand_in("picture-us=3000 fail-at=10");
    let nvenc = NvencOptions { slices: 4, ..video.nvenc.clone() };
    let (pipeline, _, mut events) = pipeline_with(VideoOptions { nvenc, ..video });
    let peer = Arc::new(MemoryTransport::default());
    pipeline.set_peers(vec![Arc::clone(&peer) as _]);
    let encoder = next(&mut events, |event| match event {
        PipelineEvent::EncoderChanged { encoder, .. } => Some(encoder),
        _ => None,
    });
    assert_eq!(encoder.name, "OpenH264");
    peer.wait_for(|received| {
        let last = received.parts.last()?.0;
        received.video.iter().find(|frame| frame.0 > last && frame.1).map(|_| ())
    });
}

#[test]
fn without_a_free_session_of_the_gpu_the_next_encoder_is_used_from_the_start() {
    for fault in ["sessions=0", "version=111", "devices=0", "memory=0"] {
        let (_folder, video) = stand_in(fault);
        let (pipeline, _, mut events) = pipeline_with(video);
        let Some(PipelineEvent::Opened(info)) = events.blocking_recv() else { panic!("{fault}: not opened") };
        assert_eq!(info.encoder.name, "OpenH264", "{fault}");
        let peer = Arc::new(MemoryTransport::default());
        pipeline.set_peers(vec![Arc::clone(&peer) as _]);
        peer.wait_for(|received| (received.video.len() >= 5).then_some(()));
    }
}

#[test]
fn the_only_encoder_that_may_be_used_ends_the_session_when_it_fails() {
    let (_folder, best) = stand_in("fail-at=5");
    let only = VideoOptions { preference: VideoPreference::Only(VideoBackend::Nvenc), ..best };
    let (pipeline, _, mut events) = pipeline_with(only);
    let peer = Arc::new(MemoryTransport::default());
    pipeline.set_peers(vec![Arc::clone(&peer) as _]);
    let why = std::iter::from_fn(|| events.blocking_recv()).find_map(|event| match event {
        PipelineEvent::Failed(why) => Some(why),
        _ => None,
    });
    assert!(why.unwrap().contains("NV_ENC_ERR_GENERIC"));
}

/// The next event that `wanted` knows.
fn next<T>(
    events: &mut mpsc::UnboundedReceiver<PipelineEvent>,
    wanted: impl Fn(PipelineEvent) -> Option<T>,
) -> T {
    std::iter::from_fn(|| events.blocking_recv()).find_map(wanted).expect("the pipeline goes on")
}

#[test]
fn pictures_go_over_to_an_agreed_codec_with_a_keyframe_and_back_where_its_encoder_fails() {
    let (_folder, video) = stand_in("fail-at=60");
    let (pipeline, _, mut events) = pipeline_with(video);
    let Some(PipelineEvent::Opened(info)) = events.blocking_recv() else { panic!("not opened") };
    assert_eq!(info.encoder.codecs, VideoCodec::ALL);
    let peer = Arc::new(MemoryTransport::default());
    pipeline.set_peers(vec![Arc::clone(&peer) as _]);
    peer.wait_for(|received| (received.video.len() >= 5).then_some(()));
    pipeline.set_codec(VideoCodec::Av1);
    let encoder = next(&mut events, |event| match event {
        PipelineEvent::CodecChanged(encoder) => Some(encoder),
        _ => None,
    });
    assert_eq!((encoder.name.as_str(), encoder.codec), ("NVENC, AV1", VideoCodec::Av1));
    let (encoder, change) = next(&mut events, |event| match event {
        PipelineEvent::EncoderChanged { encoder, change } => Some((encoder, change)),
        _ => None,
    });
    assert_eq!((encoder.codec, encoder.codecs.as_slice()), (VideoCodec::H264, [VideoCodec::H264].as_slice()));
    assert!(change.took < Duration::from_secs(1), "{change:?}");
    peer.wait_for(|received| (received.codecs.last() == Some(&VideoCodec::H264)).then_some(()));
    peer.wait_for(|received| {
        let changes: Vec<usize> =
            (1..received.codecs.len()).filter(|&at| received.codecs[at] != received.codecs[at - 1]).collect();
        assert_eq!(changes.len(), 2, "there and back");
        assert!(changes.iter().all(|&at| received.video[at].1), "each begins with a keyframe");
        Some(())
    });
}

/// Whether a keyframe of HEVC says this much light of itself: `content_light_level_info`.
fn says_light(keyframe: &[u8], peak_nits: u16) -> bool {
    let wanted = [&[144, 4][..], &peak_nits.to_be_bytes()].concat();
    nearframe_encode::h264::nals(keyframe)
        .filter(|nal| nal.bytes[0] >> 1 & 0x3f == 39)
        .any(|nal| nal.payload(usize::MAX).windows(4).any(|window| window == wanted))
}

#[test]
fn a_title_in_hdr10_is_tone_mapped_until_ten_bits_are_agreed_on_and_again_after_that() {
    let (_folder, video) = stand_in("");
    let title = format!("{TESTCARD}hdr = {{ peak_nits = 600 }}\n");
    let (pipeline, _, mut events) = pipeline_of(&title, video);
    let peer = Arc::new(MemoryTransport::default());
    pipeline.set_peers(vec![Arc::clone(&peer) as _]);
    peer.wait_for(|received| (received.video.len() >= 5).then_some(()));
    for (codec, wide) in [(VideoCodec::Hevc10, true), (VideoCodec::H264, false)] {
        pipeline.set_codec(codec);
        let encoder = next(&mut events, |event| match event {
            PipelineEvent::CodecChanged(encoder) => Some(encoder),
            PipelineEvent::Failed(why) => panic!("{why}"),
            _ => None,
        });
        assert_eq!(encoder.codec, codec);
        let before = peer.wait_for(|received| Some(received.video.len()));
        peer.wait_for(|received| {
            let newest = received.codecs.get(before + 5..)?.last()?;
            (*newest == codec).then_some(())
        });
        peer.wait_for(|received| {
            let keyframe = received.keyframes.last()?;
            assert_eq!(says_light(keyframe, 600), wide, "{codec}");
            Some(())
        });
    }
    peer.wait_for(|received| {
        assert!(!says_light(&received.keyframes[0], 600), "a session begins in H.264");
        Some(())
    });
}

#[test]
fn a_codec_that_the_encoder_lacks_is_refused_and_pictures_stay_as_they_are() {
    let (_folder, video) = stand_in("codecs=1");
    let (pipeline, _, mut events) = pipeline_with(video);
    let peer = Arc::new(MemoryTransport::default());
    pipeline.set_peers(vec![Arc::clone(&peer) as _]);
    pipeline.set_codec(VideoCodec::Av1);
    let why = next(&mut events, |event| match event {
        PipelineEvent::CodecRefused { codec: VideoCodec::Av1, why } => Some(why),
        _ => None,
    });
    assert!(why.contains("AV1: allowed is H.264"), "{why}");
    let before = peer.wait_for(|received| Some(received.video.len()));
    peer.wait_for(|received| (received.video.len() >= before + 5).then_some(()));
    peer.wait_for(|received| {
        assert!(received.codecs.iter().all(|codec| *codec == VideoCodec::H264));
        Some(())
    });
}
