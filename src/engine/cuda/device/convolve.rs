//! Convolutions by cuDNN: descriptors, algorithm and workspace chosen once.

use std::ffi::{c_int, c_void};
use std::ptr;

use candle_core::cuda_backend::cudarc::cudnn::result::{self, CudnnError};
use candle_core::cuda_backend::cudarc::cudnn::sys;
use candle_core::cuda_backend::cudarc::driver::CudaStream;

use super::address::{Addresses, Workspace};
use crate::engine::cuda::program::{Convolution, Element};

/// Algorithms that cuDNN knows.
const ALGORITHMS: usize = sys::cudnnConvolutionFwdAlgo_t::CUDNN_CONVOLUTION_FWD_ALGO_COUNT as usize;
/// The one that takes bias and residual without an activation.
const FOR_IDENTITY: sys::cudnnConvolutionFwdAlgo_t = sys::cudnnConvolutionFwdAlgo_t::CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM;
/// Bytes of workspace that an algorithm may ask for.
const MOST_WORKSPACE: usize = 1 << 30;

/// A cuDNN handle that works on one stream.
pub struct Dnn(sys::cudnnHandle_t);

impl Dnn {
    pub fn new(stream: &CudaStream) -> Result<Dnn, CudnnError> {
        let dnn = Dnn(result::create_handle()?);
        // SAFETY: the handle was just made; the stream outlives it, being held by the same
        // `Machine`.
        unsafe { result::set_stream(dnn.0, stream.cu_stream().cast()) }?;
        Ok(dnn)
    }
}

impl Drop for Dnn {
    fn drop(&mut self) {
        // SAFETY: `create_handle` made it, and it is destroyed once. A failure here has no
        // recipient.
        let _ = unsafe { result::destroy_handle(self.0) };
    }
}

/// A convolution that is ready to run.
pub struct Convolve {
    x: sys::cudnnTensorDescriptor_t,
    y: sys::cudnnTensorDescriptor_t,
    bias: sys::cudnnTensorDescriptor_t,
    weight: sys::cudnnFilterDescriptor_t,
    conv: sys::cudnnConvolutionDescriptor_t,
    activation: sys::cudnnActivationDescriptor_t,
    algorithm: sys::cudnnConvolutionFwdAlgo_t,
    /// Bytes of workspace.
    pub workspace: usize,
    at: Addresses,
    /// Whether bias, residual and activation are part of it.
    pub fused: bool,
}

impl Convolve {
    /// Settles everything; `relu` as in `Finish`, `None` for the bare convolution.
    pub fn new(dnn: &Dnn, c: &Convolution, relu: Option<bool>, at: Addresses) -> Result<Convolve, CudnnError> {
        let mut made = Convolve {
            x: ptr::null_mut(),
            y: ptr::null_mut(),
            bias: ptr::null_mut(),
            weight: ptr::null_mut(),
            conv: ptr::null_mut(),
            activation: ptr::null_mut(),
            algorithm: FOR_IDENTITY,
            workspace: 0,
            at,
            fused: relu.is_some(),
        };
        made.describe(c, relu.unwrap_or(false))?;
        made.choose(dnn, relu == Some(false))?;
        Ok(made)
    }

    fn describe(&mut self, c: &Convolution, relu: bool) -> Result<(), CudnnError> {
        let (numbers, math) = match c.element {
            // FMA: tensor cores would round f32 to TF32.
            Element::F32 => (sys::cudnnDataType_t::CUDNN_DATA_FLOAT, sys::cudnnMathType_t::CUDNN_FMA_MATH),
            Element::Bf16 => (sys::cudnnDataType_t::CUDNN_DATA_BFLOAT16, sys::cudnnMathType_t::CUDNN_TENSOR_OP_MATH),
            Element::F16 => (sys::cudnnDataType_t::CUDNN_DATA_HALF, sys::cudnnMathType_t::CUDNN_TENSOR_OP_MATH),
        };
        let nhwc = sys::cudnnTensorFormat_t::CUDNN_TENSOR_NHWC;
        let int = |n: usize| n as c_int;
        let dims = |[channels, rows, columns]: [usize; 3]| [c.images, channels, rows, columns].map(int);
        let mode = match relu {
            true => sys::cudnnActivationMode_t::CUDNN_ACTIVATION_RELU,
            false => sys::cudnnActivationMode_t::CUDNN_ACTIVATION_IDENTITY,
        };
        self.x = result::create_tensor_descriptor()?;
        self.y = result::create_tensor_descriptor()?;
        self.bias = result::create_tensor_descriptor()?;
        self.weight = result::create_filter_descriptor()?;
        self.conv = result::create_convolution_descriptor()?;
        self.activation = result::create_activation_descriptor()?;
        // SAFETY: every descriptor was just made and is destroyed only by `drop`.
        unsafe {
            result::set_tensor4d_descriptor(self.x, nhwc, numbers, dims(c.from))?;
            result::set_tensor4d_descriptor(self.y, nhwc, numbers, dims(c.to))?;
            result::set_tensor4d_descriptor(self.bias, nhwc, numbers, [1, int(c.to[0]), 1, 1])?;
            let weight = [c.to[0], c.from[0] / c.groups, c.kernel[0], c.kernel[1]].map(int);
            result::set_filter4d_descriptor(self.weight, numbers, nhwc, weight)?;
            let ([top, left], [down, right]) = (c.padding.map(int), c.stride.map(int));
            let cross = sys::cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION;
            let sums = sys::cudnnDataType_t::CUDNN_DATA_FLOAT;
            result::set_convolution2d_descriptor(self.conv, top, left, down, right, 1, 1, cross, sums)?;
            result::set_convolution_group_count(self.conv, int(c.groups))?;
            result::set_convolution_math_type(self.conv, math)?;
            let nan = sys::cudnnNanPropagation_t::CUDNN_PROPAGATE_NAN;
            result::set_activation_descriptor(self.activation, mode, nan, 0.0)
        }
    }

    /// Takes the fastest of the repeatable algorithms by cuDNN's heuristics: a function of shapes
    /// and device, not a timing.
    fn choose(&mut self, dnn: &Dnn, identity: bool) -> Result<(), CudnnError> {
        let mut count: c_int = 0;
        // SAFETY: a plain C struct of numbers, for which zeros are values.
        let mut found: [sys::cudnnConvolutionFwdAlgoPerf_t; ALGORITHMS] = unsafe { std::mem::zeroed() };
        // SAFETY: all descriptors are set; `found` has room for as many answers as are asked for.
        unsafe {
            let most = ALGORITHMS as c_int;
            result::get_convolution_forward_algorithm(dnn.0, self.x, self.weight, self.conv, self.y, most, &mut count, found.as_mut_ptr())?;
        }
        let usable = |f: &&sys::cudnnConvolutionFwdAlgoPerf_t| {
            f.status == sys::cudnnStatus_t::CUDNN_STATUS_SUCCESS
                && f.determinism == sys::cudnnDeterminism_t::CUDNN_DETERMINISTIC
                && f.memory <= MOST_WORKSPACE
                && (!identity || f.algo == FOR_IDENTITY)
        };
        let best = found.iter().take(count.max(0) as usize).find(usable);
        let best = best.ok_or(CudnnError(sys::cudnnStatus_t::CUDNN_STATUS_NOT_SUPPORTED))?;
        self.algorithm = best.algo;
        // SAFETY: the same descriptors; the library writes one size.
        self.workspace =
            unsafe { result::get_convolution_forward_workspace_size(dnn.0, self.x, self.weight, self.conv, self.y, self.algorithm) }?;
        Ok(())
    }

    /// Starts it on the handle's stream.
    pub fn run(&self, dnn: &Dnn, workspace: Workspace) -> Result<(), CudnnError> {
        let pointer = |address: u64| address as *mut c_void;
        let (one, zero) = (1f32, 0f32);
        let number = |n: &f32| ptr::from_ref(n).cast::<c_void>();
        let Addresses { x, weight, y, bias, residual } = self.at;
        // SAFETY: the descriptors tell what lies at the addresses: `lower` made both from the same
        // shapes, and all blocks are allocated for as long as `Machine` lives. The workspace is as
        // large as the largest that any convolution asked for.
        unsafe {
            if !self.fused {
                return result::convolution_forward(
                    dnn.0,
                    number(&one),
                    self.x,
                    pointer(x),
                    self.weight,
                    pointer(weight),
                    self.conv,
                    self.algorithm,
                    pointer(workspace.at),
                    self.workspace,
                    number(&zero),
                    self.y,
                    pointer(y),
                );
            }
            result::convolution_bias_activation_forward(
                dnn.0,
                number(&one),
                self.x,
                pointer(x),
                self.weight,
                pointer(weight),
                self.conv,
                self.algorithm,
                pointer(workspace.at),
                self.workspace,
                number(if residual.is_some() { &one } else { &zero }),
                self.y,
                pointer(residual.unwrap_or(y)),
                self.bias,
                pointer(bias),
                self.activation,
                self.y,
                pointer(y),
            )
        }
    }
}

impl Drop for Convolve {
    fn drop(&mut self) {
        // SAFETY: each was made by its `create` (or is null, where making another failed) and is
        // destroyed once.
        unsafe {
            for tensor in [self.x, self.y, self.bias] {
                if !tensor.is_null() {
                    let _ = result::destroy_tensor_descriptor(tensor);
                }
            }
            if !self.weight.is_null() {
                let _ = result::destroy_filter_descriptor(self.weight);
            }
            if !self.conv.is_null() {
                let _ = result::destroy_convolution_descriptor(self.conv);
            }
            if !self.activation.is_null() {
                let _ = sys::cudnnDestroyActivationDescriptor(self.activation);
            }
        }
    }
}
