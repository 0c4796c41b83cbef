//! From a lost device to the first frame of the next one, with the title alive.

use crate::quantile::quantile;
use crate::report::{Report, Spec, lower};
use anyhow::{Context, Result, ensure};
use nearframe_gpu::{Converter, Gpu, Layout};
use nearframe_protocol::title::TitleManifest;
use nearframe_title::{FrameTick, TitleFailure};
use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// The worst of a few: every loss has to be survived in time.
const RECOVERY: Spec = lower("device_lost_recovery_ms", "ms", Some(5000.0));
const LOSSES: usize = 5;
const MANIFEST: &str = "id = \"bench\"\nname = \"Bench\"\nversion = \"1\"\n[run]\nkind = \"builtin\"\n\
                        builtin = \"meteor\"\nwidth = 1280\nheight = 720\n";

pub(super) fn run(report: &mut Report) {
    match measure() {
        Ok(times_ms) => report.add(RECOVERY, quantile(&times_ms, 1.0), "no loss was survived"),
        Err(error) => report.skip(RECOVERY, &format!("{error:#}")),
    }
}

/// What the pipeline does when it notices: a new device, the title's resources and the converter on it.
fn measure() -> Result<Vec<f64>> {
    let manifest = TitleManifest::parse(MANIFEST).context("the bench's manifest")?;
    let opened: RefCell<Option<Arc<Gpu>>> = RefCell::new(None);
    let open = || {
        let gpu = Gpu::open().map_err(|error| TitleFailure(error.to_string()))?;
        let handles = (gpu.device().clone(), gpu.queue().clone());
        *opened.borrow_mut() = Some(gpu);
        Ok(handles)
    };
    let mut title = nearframe_title::open(&manifest, Path::new("."), 1, None, &open)?;
    let mut gpu = opened.borrow_mut().take().context("the title took no GPU")?;
    let mut converter = Converter::new(Some(Arc::clone(&gpu)), Layout::I420, 1280, 720)?;
    let mut frame = 0;
    let mut show = |title: &mut dyn nearframe_title::TitleSource, converter: &mut Converter| {
        frame += 1;
        let tick = FrameTick { frame, now_us: u64::from(frame) * 16_667, input_serial: 0 };
        let drawn = title.draw(tick)?;
        converter.convert(&drawn.picture)?.context("no surface is free").map(drop)
    };
    let mut times = Vec::with_capacity(LOSSES);
    for _ in 0..LOSSES {
        show(title.as_mut(), &mut converter)?;
        gpu.lose("lost by the bench");
        let start = Instant::now();
        ensure!(show(title.as_mut(), &mut converter).is_err(), "a lost device went on drawing");
        gpu = Gpu::open()?;
        title.replace_gpu(&gpu)?;
        let conversion = converter.conversion();
        converter = Converter::with_conversion(Arc::clone(&gpu), Layout::I420, 1280, 720, conversion)?;
        show(title.as_mut(), &mut converter)?;
        times.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(times)
}
