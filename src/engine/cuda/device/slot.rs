//! A batch on its way to the GPU and back: page-locked memory on either side, a stream of its own,
//! so that its copies overlap with the computing of another batch.

use std::sync::Arc;

use candle_core::cuda_backend::cudarc::driver::{CudaContext, CudaEvent, CudaSlice, CudaStream, PinnedHostSlice, result, sys};

use super::address::address;
use super::failure::failed;
use crate::Result;
use crate::engine::cuda::program::Program;

/// Staging memory for one batch.
pub struct Slot {
    bytes: PinnedHostSlice<u8>,
    features: PinnedHostSlice<f32>,
    input: CudaSlice<u8>,
    /// The features on the device.
    pub output: CudaSlice<u8>,
    /// When the batch is on the device.
    pub arrived: CudaEvent,
    /// When the features are in `output`.
    pub computed: CudaEvent,
    stream: Arc<CudaStream>,
}

impl Slot {
    pub fn new(program: &Program, context: &Arc<CudaContext>) -> Result<Slot> {
        let memory = failed("taking memory for batches");
        let stream = context.new_stream().map_err(failed("making a stream"))?;
        let pixels = program.images * program.input[1] * program.input[2] * 3;
        let event = || context.new_event(Some(sys::CUevent_flags::CU_EVENT_DISABLE_TIMING)).map_err(failed("making an event"));
        // SAFETY: both are written before they are read: `upload` and `download` copy whole ranges
        // in first.
        let (bytes, features) = unsafe {
            let bytes = context.alloc_pinned(pixels.max(1));
            let features = context.alloc_pinned_with_flags((program.features / size_of::<f32>()).max(1), 0);
            (bytes.map_err(memory)?, features.map_err(failed("taking memory for features"))?)
        };
        let slot = Slot {
            bytes,
            features,
            input: stream.alloc_zeros(pixels.max(1)).map_err(failed("taking memory for batches"))?,
            output: stream.alloc_zeros(program.features.max(1)).map_err(failed("taking memory for features"))?,
            arrived: event()?,
            computed: event()?,
            stream,
        };
        slot.stream.synchronize().map_err(failed("taking memory for batches"))?;
        Ok(slot)
    }

    /// Starts copying pixels to the device; their address there.
    pub fn upload(&mut self, rgb: &[u8]) -> Result<u64> {
        let staged = self.bytes.as_mut_slice().map_err(failed("staging images"))?;
        staged[..rgb.len()].copy_from_slice(rgb);
        let to = address(&self.input, &self.stream);
        // SAFETY: the device has room for a whole batch; the staged bytes are not touched before
        // `download` has waited for this stream.
        unsafe { result::memcpy_htod_async(to, &staged[..rgb.len()], self.stream.cu_stream()) }.map_err(failed("copying images"))?;
        self.arrived.record(&self.stream).map_err(failed("marking the images"))?;
        Ok(to)
    }

    /// Copies floats to the device, into memory of their own.
    pub fn upload_floats(&mut self, data: &[f32]) -> Result<CudaSlice<f32>> {
        let there = self.stream.clone_htod(data).map_err(failed("copying images"))?;
        self.arrived.record(&self.stream).map_err(failed("marking the images"))?;
        Ok(there)
    }

    /// Waits for the features of the first `images` images and hands them out, tap by tap.
    pub fn download(&mut self, program: &Program, images: usize) -> Result<Vec<Vec<f32>>> {
        self.stream.wait(&self.computed).map_err(failed("waiting for features"))?;
        let from = address(&self.output, &self.stream);
        let host = self.features.as_mut_slice().map_err(failed("copying features"))?;
        for tap in &program.taps {
            let range = tap.at / size_of::<f32>()..tap.at / size_of::<f32>() + tap.length * images;
            // SAFETY: the tap's range lies in both blocks; the host's is read only after the stream
            // has been waited for.
            unsafe { result::memcpy_dtoh_async(&mut host[range], from + tap.at as u64, self.stream.cu_stream()) }
                .map_err(failed("copying features"))?;
        }
        self.stream.synchronize().map_err(failed("computing features"))?;
        let taps = program.taps.iter().map(|tap| host[tap.at / size_of::<f32>()..][..tap.length * images].to_vec());
        Ok(taps.collect())
    }

    /// Waits until nothing uses the slot any more, whether its batch succeeded or failed.
    pub fn wait(&self) {
        let _ = self.stream.synchronize();
    }
}
