//! Pictures in shared memory: written with `pwrite`, so that nothing is mapped here.

use super::Client;
use anyhow::{Context, Result};
use nearframe_probe::canvas::{Canvas, runs};
use rustix::fs::{MemfdFlags, memfd_create};
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use wayland_client::protocol::wl_buffer::{self, WlBuffer};
use wayland_client::protocol::wl_shm::{Format, WlShm};
use wayland_client::protocol::wl_shm_pool::WlShmPool;
use wayland_client::protocol::wl_surface::WlSurface;
use wayland_client::{Connection, Dispatch, QueueHandle, delegate_noop};

/// Buffers of one window: one with the compositor, one queued, and one or two to draw into.
const MAX_BUFFERS: usize = 4;

/// A buffer, its memory, and whether the compositor has it.
pub(super) type Memory = (WlBuffer, File, Arc<AtomicBool>);

/// One buffer.
struct Buffer {
    buffer: WlBuffer,
    file: File,
    busy: Arc<AtomicBool>,
    /// Rows that are older than the canvas.
    stale: Vec<bool>,
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.buffer.destroy();
    }
}

/// Buffers of one size, and what the compositor has not seen yet.
pub(super) struct Buffers {
    buffers: Vec<Buffer>,
    damaged: Vec<bool>,
}

/// Whether a buffer that the compositor still reads may be drawn over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manners {
    /// No: the picture waits.
    Polite,
    /// Yes, rather than waiting.
    Rude,
}

impl Buffers {
    pub(super) fn new(height: usize) -> Self {
        Self { buffers: Vec::new(), damaged: vec![true; height] }
    }

    /// Attaches the canvas to the surface with its damage; false if every buffer is with the compositor.
    pub(super) fn attach(
        &mut self,
        canvas: &mut Canvas,
        surface: &WlSurface,
        manners: Manners,
        allocate: impl FnOnce(&Canvas) -> Result<Memory>,
    ) -> Result<bool> {
        let touched = canvas.take_touched();
        let stale = self.buffers.iter_mut().map(|buffer| &mut buffer.stale);
        for rows in stale.chain([&mut self.damaged]) {
            rows.iter_mut().zip(&touched).for_each(|(row, touched)| *row |= touched);
        }
        let Some(chosen) = self.choose(canvas, manners, allocate)? else { return Ok(false) };
        let stride = canvas.stride();
        for (y, count) in runs(&chosen.stale) {
            chosen.file.write_all_at(canvas.rows(y, count), (y * stride) as u64).context("drawing")?;
        }
        chosen.stale.fill(false);
        chosen.busy.store(true, Ordering::Relaxed);
        surface.attach(Some(&chosen.buffer), 0, 0);
        for (y, count) in runs(&self.damaged) {
            surface.damage_buffer(0, y as i32, canvas.width() as i32, count as i32);
        }
        self.damaged.fill(false);
        Ok(true)
    }

    fn choose(
        &mut self,
        canvas: &Canvas,
        manners: Manners,
        allocate: impl FnOnce(&Canvas) -> Result<Memory>,
    ) -> Result<Option<&mut Buffer>> {
        let free = self.buffers.iter().position(|buffer| !buffer.busy.load(Ordering::Relaxed));
        let index = match free {
            Some(index) => index,
            None if self.buffers.len() < MAX_BUFFERS => {
                let (buffer, file, busy) = allocate(canvas)?;
                self.buffers.push(Buffer { buffer, file, busy, stale: vec![true; canvas.height()] });
                self.buffers.len() - 1
            }
            None if manners == Manners::Rude => 0,
            None => return Ok(None),
        };
        Ok(self.buffers.get_mut(index))
    }
}

/// A new buffer of the canvas's size.
pub(super) fn allocate(
    shm: &WlShm,
    queue: &QueueHandle<Client>,
    canvas: &Canvas,
    format: Format,
) -> Result<Memory> {
    let size = canvas.stride() * canvas.height();
    let fd = memfd_create("probe", MemfdFlags::CLOEXEC).context("creating memory for pictures")?;
    let file = File::from(fd);
    file.set_len(size as u64).context("sizing memory for pictures")?;
    let pool_size = i32::try_from(size).context("the picture is too large")?;
    let pool = shm.create_pool(file.as_fd(), pool_size, queue, ());
    let busy = Arc::new(AtomicBool::new(false));
    let (width, height, stride) = (canvas.width() as i32, canvas.height() as i32, canvas.stride() as i32);
    let buffer = pool.create_buffer(0, width, height, stride, format, queue, busy.clone());
    pool.destroy();
    Ok((buffer, file, busy))
}

impl Dispatch<WlBuffer, Arc<AtomicBool>> for Client {
    fn event(
        _: &mut Self,
        _: &WlBuffer,
        event: wl_buffer::Event,
        busy: &Arc<AtomicBool>,
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let wl_buffer::Event::Release = event {
            busy.store(false, Ordering::Relaxed);
        }
    }
}

delegate_noop!(Client: WlShmPool);
