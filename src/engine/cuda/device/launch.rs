//! Our own kernels: compiled at run time for the GPU in use, launched on a stream.

use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;

use candle_core::cuda_backend::cudarc::driver::{CudaContext, CudaFunction, CudaModule, CudaStream, DriverError, result};
use candle_core::cuda_backend::cudarc::nvrtc::{CompileOptions, compile_ptx_with_opts};

use super::failure::failed;
use crate::engine::cuda::program::{Element, Kernel, Numbers, Variant};
use crate::{Error, Result};

const SOURCE: &str = include_str!("../kernels.cu");
/// Threads of a block.
const BLOCK: u32 = 256;

/// The compiled kernels.
pub struct Kernels(Vec<(Variant, Arc<CudaModule>)>);

/// The text that NVRTC compiles: settings, then the source.
fn source(Variant { element, wide }: Variant) -> String {
    let define = element.define().map_or(String::new(), |name| format!("#define {name}\n"));
    format!("#define LANES {}\n{define}{SOURCE}", if wide { 8 } else { 1 })
}

impl Kernels {
    /// For maps of this kind, and for values that are f32 in any case.
    pub fn new(context: &Arc<CudaContext>, element: Element) -> Result<Kernels> {
        let (major, minor) = context.compute_capability().map_err(failed("asking for the compute capability"))?;
        let module = |variant: Variant| {
            let options = vec![format!("--gpu-architecture=compute_{major}{minor}")];
            let options = CompileOptions { options, ..CompileOptions::default() };
            let ptx = compile_ptx_with_opts(source(variant), options).map_err(failed("compiling kernels"))?;
            Ok((variant, context.load_module(ptx).map_err(failed("loading kernels"))?))
        };
        let elements = if element == Element::F32 { &[element][..] } else { &[element, Element::F32] };
        let variants = elements.iter().flat_map(|&element| [true, false].map(|wide| Variant { element, wide }));
        Ok(Kernels(variants.map(module).collect::<Result<_>>()?))
    }

    pub fn get(&self, kernel: &Kernel) -> Result<CudaFunction> {
        let module = self.0.iter().find(|(variant, _)| *variant == kernel.variant).map(|(_, module)| module);
        let module = module.ok_or_else(|| Error::internal(format!("no kernel `{}` was compiled for {:?}", kernel.name, kernel.variant)))?;
        module.load_function(kernel.name).map_err(failed(kernel.name))
    }
}

/// A kernel with its arguments.
pub struct Launch {
    function: CudaFunction,
    /// Addresses of y, x, z, p and q; 0 for none.
    addresses: [u64; 5],
    numbers: Numbers,
}

impl Launch {
    pub fn new(function: CudaFunction, addresses: [u64; 5], numbers: Numbers) -> Launch {
        Launch { function, addresses, numbers }
    }

    /// The same with another input.
    pub fn run_on(&self, x: u64, stream: &CudaStream) -> Result<(), DriverError> {
        let [y, _, z, p, q] = self.addresses;
        self.start([y, x, z, p, q], stream)
    }

    pub fn run(&self, stream: &CudaStream) -> Result<(), DriverError> {
        self.start(self.addresses, stream)
    }

    fn start(&self, mut addresses: [u64; 5], stream: &CudaStream) -> Result<(), DriverError> {
        if self.numbers.count == 0 {
            return Ok(());
        }
        let mut numbers = self.numbers;
        let [y, x, z, p, q] = &mut addresses;
        let mut parameters = [y, x, z, p, q].map(|address| ptr::from_mut(address).cast::<c_void>()).to_vec();
        parameters.push(ptr::from_mut(&mut numbers).cast());
        let grid = (self.numbers.count.div_ceil(BLOCK), 1, 1);
        // SAFETY: the parameters are those of every kernel in `kernels.cu`, in their order and size
        // (`Numbers` is the same C struct on both sides); the driver copies them before it returns.
        // `lower` made extents and places from the same shapes, and all blocks are allocated for as
        // long as `Machine` lives.
        unsafe { result::launch_kernel(self.function.cu_function(), grid, (BLOCK, 1, 1), 0, stream.cu_stream(), &mut parameters) }
    }
}
