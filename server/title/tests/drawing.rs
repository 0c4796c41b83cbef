//! Draws the GPU titles on whatever adapter there is, software included.

mod support;

use nearframe_gpu::Picture;
use nearframe_protocol::Seat;
use nearframe_protocol::input::{InputEvent, Key};
use nearframe_title::{FrameTick, TitleSource, catalogue, open};
use std::collections::HashSet;
use std::path::PathBuf;

const SIZE: (u32, u32) = (320, 180);

/// The pictures of a shipped title after each group of events, half a second apart.
fn pictures(id: &str, groups: &[&[InputEvent]]) -> Vec<Vec<u8>> {
    let (device, queue) = support::device().expect("a GPU, if only one of software: mesa-vulkan-drivers");
    let dir: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "..", "titles", id].iter().collect();
    let mut title = catalogue::load_title(&dir).expect("the shipped title loads");
    (title.manifest.run.width, title.manifest.run.height) = SIZE;
    let mut source = open(&title.manifest, &dir, 5, None, &|| Ok((device.clone(), queue.clone())))
        .expect("the shipped title opens");
    assert_eq!(source.size(), SIZE);
    let mut frame = 0;
    let shown = groups.iter().map(|events| {
        events.iter().for_each(|event| source.apply(Seat(0), event));
        (0..29).for_each(|_| drop(draw(&mut *source, &mut frame, None)));
        draw(&mut *source, &mut frame, Some((&device, &queue)))
    });
    shown.collect()
}

fn draw(
    source: &mut dyn TitleSource,
    frame: &mut u32,
    see: Option<(&wgpu::Device, &wgpu::Queue)>,
) -> Vec<u8> {
    *frame += 1;
    let tick = FrameTick { frame: *frame, now_us: u64::from(*frame) * 16_667, input_serial: 0 };
    match source.draw(tick).expect("a frame is drawn").picture {
        Picture::Gpu(texture) => {
            assert_eq!(texture.format(), wgpu::TextureFormat::Rgba8Unorm);
            let usage = wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_SRC;
            assert!(texture.usage().contains(usage));
            see.map_or(Vec::new(), |(device, queue)| {
                support::read_back(device, queue, texture).expect("the picture is read back")
            })
        }
        other => panic!("this title draws on the GPU, in standard range: {other:?}"),
    }
}

fn colours(picture: &[u8]) -> usize {
    picture.chunks_exact(3).collect::<HashSet<_>>().len()
}

/// Pixels that differ clearly.
fn changed(a: &[u8], b: &[u8]) -> usize {
    let differ = |(p, q): &(&[u8], &[u8])| p.iter().zip(*q).any(|(p, q)| p.abs_diff(*q) > 24);
    a.chunks_exact(3).zip(b.chunks_exact(3)).filter(differ).count()
}

#[test]
fn meteor_is_colourful_deterministic_and_answers_fire() {
    let fire = InputEvent::Key { key: Key(44), down: true };
    let played = pictures("meteor", &[&[], std::slice::from_ref(&fire)]);
    assert!(colours(&played[0]) > 2000, "{}", colours(&played[0]));
    let again = pictures("meteor", &[&[], std::slice::from_ref(&fire)]);
    assert!(played == again, "equal input shows equal pictures");
    let idle = pictures("meteor", &[&[], &[]]);
    assert!(changed(&played[1], &idle[1]) > 2000, "the title has gone and the score has come");
}

#[test]
fn the_scene_is_lit_and_turns_when_dragged() {
    let at = |x| InputEvent::Position { x, y: 30_000 };
    let drag = [at(10_000), InputEvent::Button { button: 0, down: true }, at(40_000)];
    let shown = pictures("scene", &[&[], &drag, &[]]);
    assert!(colours(&shown[0]) > 1000, "{}", colours(&shown[0]));
    assert!(changed(&shown[0], &shown[1]) > 2000);
    assert!(changed(&shown[1], &shown[2]) < 400, "it rests once it was touched");
}
