//! Products by cuBLASLt: descriptors and algorithm chosen once, bias, residual and ReLU in the
//! epilogue.

use std::ffi::c_void;
use std::ptr;

use candle_core::cuda_backend::cudarc::cublas::sys::cublasOperation_t;
use candle_core::cuda_backend::cudarc::cublaslt::result::{self, CublasError};
use candle_core::cuda_backend::cudarc::cublaslt::sys;
use candle_core::cuda_backend::cudarc::driver::CudaStream;

use super::address::{Addresses, Workspace};
use crate::engine::cuda::program::{Element, Product};

/// Bytes of workspace that NVIDIA recommends for Hopper.
pub const WORKSPACE: usize = 32 << 20;

/// A cuBLASLt handle.
pub struct Blas(sys::cublasLtHandle_t);

impl Blas {
    pub fn new() -> Result<Blas, CublasError> {
        Ok(Blas(result::create_handle()?))
    }
}

impl Drop for Blas {
    fn drop(&mut self) {
        // SAFETY: `create_handle` made it, and it is destroyed once. A failure here has no
        // recipient.
        let _ = unsafe { result::destroy_handle(self.0) };
    }
}

/// A product that is ready to run. cuBLAS counts columns first: it computes `yᵀ = weight · xᵀ`.
pub struct Multiply {
    desc: sys::cublasLtMatmulDesc_t,
    weight: sys::cublasLtMatrixLayout_t,
    x: sys::cublasLtMatrixLayout_t,
    y: sys::cublasLtMatrixLayout_t,
    algorithm: sys::cublasLtMatmulAlgo_t,
    at: Addresses,
    /// Whether bias, residual and activation are part of it.
    pub fused: bool,
}

impl Multiply {
    /// Settles everything; `relu` as in `Finish`, `None` for the bare product.
    pub fn new(blas: &Blas, p: &Product, relu: Option<bool>, at: Addresses) -> Result<Multiply, CublasError> {
        let mut made = Multiply {
            desc: ptr::null_mut(),
            weight: ptr::null_mut(),
            x: ptr::null_mut(),
            y: ptr::null_mut(),
            algorithm: sys::cublasLtMatmulAlgo_t { data: [0; 8] },
            at,
            fused: relu.is_some(),
        };
        let numbers = match p.element {
            Element::F32 => sys::cudaDataType_t::CUDA_R_32F,
            Element::Bf16 => sys::cudaDataType_t::CUDA_R_16BF,
            Element::F16 => sys::cudaDataType_t::CUDA_R_16F,
        };
        let [rows, input, output] = [p.rows, p.input, p.output].map(|n| n as u64);
        // Plain f32 sums: TF32 would have to be asked for.
        made.desc = result::create_matmul_desc(sys::cublasComputeType_t::CUBLAS_COMPUTE_32F, sys::cudaDataType_t::CUDA_R_32F)?;
        made.weight = result::create_matrix_layout(numbers, input, output, p.input as i64)?;
        made.x = result::create_matrix_layout(numbers, input, rows, p.input as i64)?;
        made.y = result::create_matrix_layout(numbers, output, rows, p.output as i64)?;
        made.set(sys::cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_TRANSA, &(cublasOperation_t::CUBLAS_OP_T as u32))?;
        if let Some(relu) = relu {
            let epilogue = match relu {
                true => sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_RELU_BIAS,
                false => sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_BIAS,
            };
            made.set(sys::cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_EPILOGUE, &(epilogue as u32))?;
            made.set(sys::cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_BIAS_POINTER, &at.bias)?;
        }
        made.algorithm = made.choose(blas)?;
        Ok(made)
    }

    fn set<V: Copy>(&self, attribute: sys::cublasLtMatmulDescAttributes_t, value: &V) -> Result<(), CublasError> {
        // SAFETY: the descriptor was made; the library copies as many bytes as the value has.
        unsafe { result::set_matmul_desc_attribute(self.desc, attribute, ptr::from_ref(value).cast(), size_of::<V>()) }
    }

    /// The fastest of the repeatable algorithms by cuBLAS's heuristics: a function of shapes and
    /// device, not a timing.
    fn choose(&self, blas: &Blas) -> Result<sys::cublasLtMatmulAlgo_t, CublasError> {
        use sys::cublasLtMatmulPreferenceAttributes_t as Preference;
        let preference = result::create_matmul_pref()?;
        // Sums that several blocks add up in place would come in any order.
        let reductions = sys::cublasLtReductionScheme_t::CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE as u32
            | sys::cublasLtReductionScheme_t::CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE as u32;
        let set = |attribute, value: *const c_void, size| {
            // SAFETY: the preference was just made; `value` points to `size` bytes.
            unsafe { result::set_matmul_pref_attribute(preference, attribute, value, size) }
        };
        let workspace = WORKSPACE as u64;
        let found = set(Preference::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, ptr::from_ref(&workspace).cast(), size_of::<u64>())
            .and_then(|()| set(Preference::CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, ptr::from_ref(&reductions).cast(), size_of::<u32>()))
            // SAFETY: handle, descriptor and layouts are whole; C and D share a layout.
            .and_then(|()| unsafe {
                result::get_matmul_algo_heuristic(blas.0, self.desc, self.weight, self.x, self.y, self.y, preference)
            });
        // SAFETY: `create_matmul_pref` made it above, and it is destroyed once.
        let _ = unsafe { result::destroy_matmul_pref(preference) };
        Ok(found?.algo)
    }

    /// Starts it on a stream.
    pub fn run(&self, blas: &Blas, workspace: Workspace, stream: &CudaStream) -> Result<(), CublasError> {
        let pointer = |address: u64| address as *mut c_void;
        let (one, zero) = (1f32, 0f32);
        let Addresses { x, weight, y, residual, .. } = self.at;
        let residual = residual.filter(|_| self.fused);
        let beta = if residual.is_some() { &one } else { &zero };
        // SAFETY: the layouts tell what lies at the addresses: `lower` made both from the same
        // shapes, and all blocks are allocated for as long as `Machine` lives; the workspace has at
        // least `WORKSPACE` bytes.
        unsafe {
            result::matmul(
                blas.0,
                self.desc,
                ptr::from_ref(&one).cast(),
                ptr::from_ref(beta).cast(),
                pointer(weight),
                self.weight,
                pointer(x),
                self.x,
                pointer(residual.unwrap_or(y)),
                self.y,
                pointer(y),
                self.y,
                &self.algorithm,
                pointer(workspace.at),
                WORKSPACE.min(workspace.bytes),
                stream.cu_stream().cast(),
            )
        }
    }
}

impl Drop for Multiply {
    fn drop(&mut self) {
        // SAFETY: each was made by its `create` (or is null, where making another failed) and is
        // destroyed once.
        unsafe {
            if !self.desc.is_null() {
                let _ = result::destroy_matmul_desc(self.desc);
            }
            for layout in [self.weight, self.x, self.y] {
                if !layout.is_null() {
                    let _ = result::destroy_matrix_layout(layout);
                }
            }
        }
    }
}
