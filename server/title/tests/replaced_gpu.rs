//! Titles that go on with another GPU device when theirs is lost.

use nearframe_gpu::{Conversion, Converter, Gpu, Layout, Picture};
use nearframe_protocol::Seat;
use nearframe_protocol::input::{InputEvent, Key};
use nearframe_title::{FrameTick, TitleFailure, TitleSource, catalogue, open};
use std::path::PathBuf;
use std::sync::Arc;

const SIZE: (u32, u32) = (320, 180);

fn gpu() -> Arc<Gpu> {
    Gpu::open().expect("a GPU, if only one of software: mesa-vulkan-drivers")
}

fn started(id: &str, gpu: &Gpu) -> Box<dyn TitleSource> {
    let dir: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "..", "titles", id].iter().collect();
    let mut title = catalogue::load_title(&dir).expect("the shipped title loads");
    (title.manifest.run.width, title.manifest.run.height) = SIZE;
    let handles = || Ok::<_, TitleFailure>((gpu.device().clone(), gpu.queue().clone()));
    open(&title.manifest, &dir, 5, None, &handles).expect("the shipped title opens")
}

/// Draws a frame; where it is to be seen, its samples.
fn draw(source: &mut dyn TitleSource, frame: u32, see: Option<&Arc<Gpu>>) -> Vec<u8> {
    let tick = FrameTick { frame, now_us: u64::from(frame) * 16_667, input_serial: 0 };
    let drawn = source.draw(tick).expect("a frame is drawn");
    assert!(matches!(drawn.picture, Picture::Gpu(_)), "this title draws on the GPU");
    let Some(gpu) = see else { return Vec::new() };
    let (width, height) = SIZE;
    let mut converter =
        Converter::with_conversion(Arc::clone(gpu), Layout::Nv12, width, height, Conversion::Simd)
            .expect("the converter opens");
    let surface = converter.convert(&drawn.picture).expect("it is converted").expect("a surface is free");
    let surface = surface.as_cpu().expect("it lies in CPU memory");
    [surface.luma(), surface.chroma()].concat()
}

#[test]
fn a_title_goes_on_where_it_was_when_its_gpu_is_replaced() {
    for id in ["meteor", "scene"] {
        let (first, second) = (gpu(), gpu());
        let (mut moved, mut still) = (started(id, &first), started(id, &second));
        let fire = InputEvent::Key { key: Key(44), down: true };
        for frame in 1..60 {
            for source in [&mut moved, &mut still] {
                if frame == 20 {
                    source.apply(Seat(0), &fire);
                }
                draw(source.as_mut(), frame, None);
            }
        }
        first.lose("reset by the test");
        let third = gpu();
        moved.replace_gpu(&third).expect("the title moves");
        let (here, there) = (draw(moved.as_mut(), 60, Some(&third)), draw(still.as_mut(), 60, Some(&second)));
        assert!(here == there, "{id} shows something else after its GPU was replaced");
    }
}
