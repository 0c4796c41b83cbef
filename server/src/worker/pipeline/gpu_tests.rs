//! What follows when the GPU fails under a running title.

use super::*;
use crate::worker::transport::memory::MemoryTransport;

const METEOR: &str = r#"
id = "meteor"
name = "Meteor"
version = "1"
[run]
kind = "builtin"
builtin = "meteor"
width = 320
height = 180
"#;

/// A protocol deadline, asserted at twice its value with real threads.
const RECOVERED_WITHIN: Duration = Duration::from_secs(10);

/// Every device that was opened, and what opening gives from the second on.
#[derive(Default)]
struct Devices {
    opened: Mutex<Vec<Arc<Gpu>>>,
    refused: AtomicBool,
}

impl Devices {
    fn source(self: &Arc<Self>) -> GpuSource {
        let devices = Arc::clone(self);
        Arc::new(move || {
            if devices.refused.load(Ordering::Acquire) {
                return Err(GpuError::NoAdapter);
            }
            let gpu = Gpu::open()?;
            devices.opened.lock().unwrap().push(Arc::clone(&gpu));
            Ok(gpu)
        })
    }

    fn newest(&self) -> Arc<Gpu> {
        Arc::clone(self.opened.lock().unwrap().last().unwrap())
    }
}

type Running = (Pipeline, Arc<MemoryTransport>, mpsc::UnboundedReceiver<PipelineEvent>);

/// Meteor with a player who has seen a few frames.
fn running(devices: &Arc<Devices>) -> Running {
    let (events, receiver) = mpsc::unbounded_channel();
    let pipeline = Pipeline::start(PipelineConfig {
        title_dir: PathBuf::from("."),
        manifest: TitleManifest::parse(METEOR).unwrap(),
        seed: 1,
        around: Surroundings {
            dir: PathBuf::new(),
            home: PathBuf::new(),
            launcher: PathBuf::new(),
            gpu: None,
        },
        open_gpu: devices.source(),
        start_bps: 1_000_000,
        video: VideoOptions::default(),
        input: Arc::new(InputPort::new(Instant::now())),
        voice: Arc::default(),
        events,
    })
    .unwrap();
    let peer = Arc::new(MemoryTransport::default());
    pipeline.set_peers(vec![Arc::clone(&peer) as _]);
    peer.wait_for(|received| (received.video.len() >= 5).then_some(()));
    (pipeline, peer, receiver)
}

#[test]
fn a_lost_gpu_is_replaced_and_the_title_goes_on_with_a_keyframe() {
    let devices = Arc::default();
    let (_pipeline, peer, mut events) = running(&devices);
    for round in 1..=2 {
        let before = peer.wait_for(|received| Some(received.video.len()));
        let start = Instant::now();
        devices.newest().lose("reset by the test");
        // Frames that were converted before still arrive; the keyframe is the first of the new device.
        peer.wait_for(|received| received.video[before..].iter().find(|frame| frame.1).map(|_| ()));
        assert!(start.elapsed() < RECOVERED_WITHIN, "{:?}", start.elapsed());
        assert_eq!(devices.opened.lock().unwrap().len(), 1 + round);
        let newest = peer.wait_for(|received| Some(received.video.len()));
        peer.wait_for(|received| (received.video.len() >= newest + 5).then_some(()));
    }
    while let Ok(event) = events.try_recv() {
        assert!(!matches!(event, PipelineEvent::Failed(_) | PipelineEvent::GpuGone(_)), "{event:?}");
    }
}

#[test]
fn a_gpu_that_does_not_come_back_ends_the_session_so_that_it_is_placed_again() {
    let devices: Arc<Devices> = Arc::default();
    let (_pipeline, _peer, mut events) = running(&devices);
    devices.refused.store(true, Ordering::Release);
    devices.newest().lose("reset by the test");
    let why = loop {
        match events.blocking_recv() {
            Some(PipelineEvent::GpuGone(why)) => break why,
            Some(PipelineEvent::Failed(why)) => panic!("blamed on the title: {why}"),
            Some(_) => {}
            None => panic!("ended without a word"),
        }
    };
    assert!(why.contains("no GPU adapter"), "{why}");
}
