//! The moving picture of the probe is the testcard's.

#![allow(clippy::unwrap_used, reason = "what a test cannot go on without has failed it")]

use nearframe_probe::canvas::Canvas;
use nearframe_probe::motion::Motion;
use nearframe_probe::stamp;
use nearframe_protocol::title::TitleManifest;
use nearframe_title::{FrameTick, TitleFailure};
use std::path::Path;

const SEED: u64 = 5;

#[test]
fn the_probe_moves_as_the_testcard_does() {
    for (width, height) in [(640, 360), (1280, 720)] {
        let manifest = format!(
            "id = \"card\"\nname = \"Card\"\nversion = \"1\"\n[run]\nkind = \"builtin\"\nbuiltin = \"testcard\"\n\
             width = {width}\nheight = {height}\n"
        );
        let manifest = TitleManifest::parse(&manifest).unwrap();
        let no_gpu = || Err(TitleFailure("the testcard needs no GPU".to_owned()));
        let mut card = nearframe_title::open(&manifest, Path::new("."), SEED, None, &no_gpu).unwrap();
        let motion = Motion::new(width, height, SEED);
        let mut canvas = Canvas::new(width, height);
        // Below the stamp and above the pointer's cross and the lamps; there is half of the plate.
        let rows = 3 * stamp::block_px(width)..height / 2 - height / 24 - 1;
        for frame in 0..90 {
            let tick = FrameTick { frame, now_us: 0, input_serial: 0 };
            let drawn = card.draw(tick).unwrap();
            let nearframe_gpu::Picture::Cpu(picture) = drawn.picture else { panic!("drawn by the CPU") };
            motion.draw(&mut canvas, frame);
            let wanted = &picture.data[rows.start * width * 4..rows.end * width * 4];
            assert!(
                canvas.rows(rows.start, rows.len()) == wanted,
                "{width} × {height} differs at step {frame}"
            );
        }
    }
}
