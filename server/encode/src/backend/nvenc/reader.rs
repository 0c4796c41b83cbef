//! Exported pictures as CUDA reads them, for those who check that they are what was drawn.
#![expect(unsafe_code, reason = "CUDA speaks C; every call is wrapped here")]

use super::cuda::{Context, Device};
use super::driver::{NvidiaLibraries, load_cuda};
use super::import::{Memory, Timeline, drain, wait_for};
use super::status::{check_cuda, failure, unavailable};
use crate::video::EncodeError;
use nearframe_gpu::{DeviceUuid, GpuSurface};
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::Arc;

const DOING: &str = "reading a picture";

/// CUDA on one GPU, with or without an encoder.
#[derive(Debug)]
pub struct CudaReader(Arc<Context>);

impl CudaReader {
    /// On the GPU that pictures are exported from.
    pub fn open(libraries: &NvidiaLibraries, device: DeviceUuid) -> Result<Self, EncodeError> {
        let cuda = load_cuda(libraries)?;
        let is_it = |known: &&Device| known.uuid == Some(device);
        let found = cuda.devices().iter().find(is_it);
        let found = found.ok_or_else(|| {
            unavailable("the GPU that draws is no NVIDIA GPU of this driver: nothing is read".to_owned())
        })?;
        Context::retain(&cuda, found).map(Self)
    }

    /// The planes of a picture once it is drawn, padding of rows included. Takes its memory over and lets it go again.
    pub fn read(&self, surface: &GpuSurface) -> Result<Vec<u8>, EncodeError> {
        let slot = surface.slot();
        let (_, bytes) = slot.contiguous().ok_or_else(|| {
            failure(DOING, "its planes do not follow each other with one stride".to_owned())
        })?;
        let memory = Memory::import(&self.0, slot, bytes)?;
        if let Some(timeline) = &slot.timeline {
            self.wait(&Timeline::import(&self.0, timeline)?, surface.ready())?;
        }
        let (_current, external) = self.0.external()?;
        let mut read = vec![0u8; usize::try_from(bytes).unwrap_or_default()];
        // SAFETY: the context is current; as many bytes are mapped as there is room for.
        let code = unsafe { (external.read)(read.as_mut_ptr().cast::<c_void>(), memory.address, read.len()) };
        check_cuda(DOING, code)?;
        Ok(read)
    }

    fn wait(&self, timeline: &Timeline, value: u64) -> Result<(), EncodeError> {
        const NON_BLOCKING: u32 = 1;
        let (_current, external) = self.0.external()?;
        let mut stream = null_mut();
        // SAFETY: the context is current; the pointer to write to is valid for the call.
        check_cuda(DOING, unsafe { (external.create_stream)(&raw mut stream, NON_BLOCKING) })?;
        let waited = wait_for(external, timeline, value, stream).and_then(|()| drain(external, stream));
        // SAFETY: created above; nobody else knows it.
        unsafe { (external.destroy_stream)(stream) };
        waited
    }
}
