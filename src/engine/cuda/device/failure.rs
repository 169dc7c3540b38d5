//! Errors of CUDA and its libraries as this crate's, a lack of memory told from other failures by
//! their codes.

use std::fmt::Display;

use candle_core::cuda_backend::cudarc::cublaslt::{result::CublasError, sys::cublasStatus_t};
use candle_core::cuda_backend::cudarc::cudnn::{result::CudnnError, sys::cudnnStatus_t};
use candle_core::cuda_backend::cudarc::driver::{DriverError, sys::CUresult};
use candle_core::cuda_backend::cudarc::nvrtc::CompileError;

use crate::Error;

/// An error that can mean a lack of memory.
pub trait Failure: Display {
    /// Whether it does.
    fn is_lack_of_memory(&self) -> bool;
}

impl Failure for DriverError {
    fn is_lack_of_memory(&self) -> bool {
        self.0 == CUresult::CUDA_ERROR_OUT_OF_MEMORY
    }
}

impl Failure for CublasError {
    fn is_lack_of_memory(&self) -> bool {
        self.0 == cublasStatus_t::CUBLAS_STATUS_ALLOC_FAILED
    }
}

impl Failure for CudnnError {
    fn is_lack_of_memory(&self) -> bool {
        [cudnnStatus_t::CUDNN_STATUS_ALLOC_FAILED, cudnnStatus_t::CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED].contains(&self.0)
    }
}

impl Failure for CompileError {
    fn is_lack_of_memory(&self) -> bool {
        false
    }
}

/// Wraps an error of CUDA or one of its libraries with what the engine was doing.
pub fn failed<E: Failure>(doing: &'static str) -> impl FnOnce(E) -> Error + Copy {
    move |e| match e.is_lack_of_memory() {
        true => Error::out_of_memory("cuda", doing)(e),
        false => Error::engine("cuda", doing)(e),
    }
}
