//! Addresses on the device, as the libraries take them.

use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaStream, DevicePtr};

/// Memory that the libraries may write on as they like.
#[derive(Debug, Clone, Copy)]
pub struct Workspace {
    /// Its address.
    pub at: u64,
    /// Its size.
    pub bytes: usize,
}

/// Operands of a product or a convolution.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// Input.
    pub x: u64,
    /// Weights.
    pub weight: u64,
    /// Output.
    pub y: u64,
    /// Bias of each output channel.
    pub bias: u64,
    /// A map like the output, to be added.
    pub residual: Option<u64>,
}

/// The address of memory whose uses this engine orders by itself: events are not tracked for it.
pub fn address<T>(slice: &CudaSlice<T>, stream: &CudaStream) -> u64 {
    slice.device_ptr(stream).0
}
