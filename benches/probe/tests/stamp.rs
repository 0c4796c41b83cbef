//! What the probe writes is what the testcard's reader reads.

use nearframe_probe::canvas::Canvas;
use nearframe_probe::cells::{self, Colour};
use nearframe_probe::mode::Mode;
use nearframe_probe::stamp::{MIN_WIDTH, Stamp};
use nearframe_title::stamp;

fn read(canvas: &Canvas) -> Result<stamp::Stamp, stamp::StampError> {
    let luma = |x, y| canvas.at(x as usize, y as usize)[1];
    stamp::read(canvas.width() as u32, canvas.height() as u32, luma)
}

#[test]
fn the_testcards_reader_reads_the_probes_stamp_at_any_size() {
    let written = Stamp { now_us: 0x8123_4567_89ab, frame: 0xdead_0001, input_serial: 77 };
    let expected = stamp::Stamp { now_us: 0x8123_4567_89ab, frame: 0xdead_0001, input_serial: 77 };
    for (width, height) in [(MIN_WIDTH, 180), (640, 360), (1280, 720), (1366, 768), (3840, 2160)] {
        let mut canvas = Canvas::new(width, height);
        written.draw(&mut canvas);
        assert_eq!(read(&canvas), Ok(expected), "{width} × {height}");
    }
}

#[test]
fn cells_leave_the_stamp_whole() {
    for (width, height) in [(320, 180), (1280, 720), (1920, 1080)] {
        let mut canvas = Canvas::new(width, height);
        Stamp { now_us: 5, frame: 6, input_serial: 7 }.draw(&mut canvas);
        cells::paint_mode(&mut canvas, Mode::Evil, 1);
        cells::paint_rows(&mut canvas, 2..cells::ROWS, Colour::White);
        assert_eq!(read(&canvas), Ok(stamp::Stamp { now_us: 5, frame: 6, input_serial: 7 }), "{width}");
        let seen = cells::read(canvas.pixels(), width, height, canvas.stride()).unwrap();
        assert_eq!(seen.mode(), Some((Mode::Evil, 1)));
        assert!(seen.all(2..cells::ROWS, Colour::White));
    }
}

#[test]
fn the_narrowest_picture_is_the_testcards() {
    assert_eq!(MIN_WIDTH, stamp::MIN_WIDTH as usize);
}
