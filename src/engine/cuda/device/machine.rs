//! A program on its GPU: memory taken once, libraries prepared once, everything captured in one
//! graph.

use std::sync::Arc;

use candle_core::cuda_backend::cudarc::driver::{CudaContext, CudaEvent, CudaGraph, CudaSlice, CudaStream, sys};

use super::address::{Addresses, Workspace, address};
use super::convolve::{Convolve, Dnn};
use super::failure::failed;
use super::launch::{Kernels, Launch};
use super::multiply::{self, Blas, Multiply};
use crate::Result;
use crate::engine::cuda::program::{Call, Convolution, Finish, Kernel, Place, Product, Program, Space};

/// Bytes of `Normalise` on the device: scales, shifts, and whether blue comes first.
const NORMALISE: usize = 7;

/// A call that is ready to run.
enum Step {
    Kernel(Launch),
    /// The product, and what the library leaves to do.
    Product(Multiply, Option<Launch>),
    Convolution(Convolve, Option<Launch>),
}

/// Everything on the device that one batch at a time may use.
pub struct Machine {
    // Dropped in this order: the graph before what it names, handles before the stream that they
    // work on, memory last.
    graph: Option<CudaGraph>,
    steps: Vec<Step>,
    entries: [Launch; 2],
    dnn: Dnn,
    blas: Blas,
    /// The kernels' modules must stay loaded.
    _kernels: Kernels,
    normalise: [f32; NORMALISE],
    blocks: Blocks,
    workspace: Option<CudaSlice<u8>>,
    stream: Arc<CudaStream>,
}

// SAFETY: cuDNN, cuBLASLt and graph handles may be used by any thread, by one at a time;
// `CudaEngine` keeps a machine behind a mutex.
unsafe impl Send for Machine {}

/// The blocks of memory that places name.
struct Blocks {
    arena: CudaSlice<u8>,
    constants: CudaSlice<u8>,
    normalise: CudaSlice<f32>,
    features: CudaSlice<u8>,
    stream: Arc<CudaStream>,
}

impl Blocks {
    fn new(program: &Program, stream: &Arc<CudaStream>) -> Result<Blocks> {
        let zeros = |bytes: usize| stream.alloc_zeros::<u8>(bytes.max(1)).map_err(failed("taking memory"));
        Ok(Blocks {
            arena: zeros(program.arena)?,
            constants: match program.constants.is_empty() {
                true => zeros(1)?,
                false => stream.clone_htod(&program.constants).map_err(failed("copying weights"))?,
            },
            normalise: stream.alloc_zeros(NORMALISE).map_err(failed("taking memory"))?,
            features: zeros(program.features)?,
            stream: stream.clone(),
        })
    }

    /// The address of a place. The input's comes with each batch: 0 stands for it.
    fn address(&self, place: Place) -> u64 {
        let base = match place.space {
            Space::Arena => address(&self.arena, &self.stream),
            Space::Constants => address(&self.constants, &self.stream),
            Space::Normalise => address(&self.normalise, &self.stream),
            Space::Features => address(&self.features, &self.stream),
            Space::Input => 0,
        };
        base + place.at as u64
    }
}

/// Prepares calls.
struct Preparation<'a> {
    blocks: &'a Blocks,
    kernels: &'a Kernels,
    dnn: &'a Dnn,
    blas: &'a Blas,
}

impl Preparation<'_> {
    fn launch(&self, kernel: &Kernel) -> Result<Launch> {
        let maybe = |place: Option<Place>| place.map_or(0, |p| self.blocks.address(p));
        let [y, x] = [kernel.y, kernel.x].map(|p| self.blocks.address(p));
        Ok(Launch::new(self.kernels.get(kernel)?, [y, x, maybe(kernel.z), maybe(kernel.p), maybe(kernel.q)], kernel.numbers))
    }

    fn addresses(&self, [x, weight, y]: [Place; 3], finish: &Finish) -> Addresses {
        let [x, weight, y, bias] = [x, weight, y, finish.bias].map(|p| self.blocks.address(p));
        Addresses { x, weight, y, bias, residual: finish.residual.map(|p| self.blocks.address(p)) }
    }

    /// With all that follows where the library takes it, else bare and finished by a kernel of
    /// ours.
    fn product(&self, p: &Product, finish: &Finish) -> Result<Step> {
        let at = self.addresses([p.x, p.weight, p.y], finish);
        let make = |relu| Multiply::new(self.blas, p, relu, at);
        if let Some(Ok(fused)) = finish.relu.map(|relu| make(Some(relu))) {
            return Ok(Step::Product(fused, None));
        }
        Ok(Step::Product(make(None).map_err(failed("preparing a product"))?, Some(self.launch(&finish.kernel)?)))
    }

    fn convolution(&self, c: &Convolution, finish: &Finish) -> Result<Step> {
        let at = self.addresses([c.x, c.weight, c.y], finish);
        let make = |relu| Convolve::new(self.dnn, c, relu, at);
        if let Some(Ok(fused)) = finish.relu.map(|relu| make(Some(relu))) {
            return Ok(Step::Convolution(fused, None));
        }
        Ok(Step::Convolution(make(None).map_err(failed("preparing a convolution"))?, Some(self.launch(&finish.kernel)?)))
    }

    fn step(&self, call: &Call) -> Result<Step> {
        match call {
            Call::Kernel(kernel) => Ok(Step::Kernel(self.launch(kernel)?)),
            Call::Product(p, finish) => self.product(p, finish),
            Call::Convolution(c, finish) => self.convolution(c, finish),
        }
    }
}

impl Machine {
    /// Takes memory, copies weights, compiles kernels, asks the libraries how, runs everything once
    /// and captures it.
    pub fn new(program: &Program, context: &Arc<CudaContext>) -> Result<Machine> {
        let stream = context.new_stream().map_err(failed("making a stream"))?;
        let blocks = Blocks::new(program, &stream)?;
        let kernels = Kernels::new(context, program.element)?;
        let dnn = Dnn::new(&stream).map_err(failed("starting cuDNN"))?;
        let blas = Blas::new().map_err(failed("starting cuBLAS"))?;
        let preparation = Preparation { blocks: &blocks, kernels: &kernels, dnn: &dnn, blas: &blas };
        let steps = program.calls.iter().map(|call| preparation.step(call)).collect::<Result<_>>()?;
        let entries = [preparation.launch(&program.pixels)?, preparation.launch(&program.planes)?];
        let normalise = [0.0; NORMALISE];
        let mut machine = Machine { graph: None, steps, entries, dnn, blas, _kernels: kernels, normalise, blocks, workspace: None, stream };
        machine.take_workspace()?;
        machine.rehearse(program)?;
        machine.capture()?;
        Ok(machine)
    }

    fn take_workspace(&mut self) -> Result<()> {
        let asked = self.steps.iter().map(|step| match step {
            Step::Kernel(_) => 0,
            Step::Product(..) => multiply::WORKSPACE,
            Step::Convolution(convolve, _) => convolve.workspace,
        });
        let bytes = asked.max().unwrap_or(0).max(1);
        self.workspace = Some(self.stream.alloc_zeros(bytes).map_err(failed("taking workspace"))?);
        Ok(())
    }

    fn workspace(&self) -> Workspace {
        self.workspace.as_ref().map_or(Workspace { at: 0, bytes: 0 }, |w| Workspace { at: address(w, &self.stream), bytes: w.len() })
    }

    /// Runs every step once on what lies there. What cuDNN promised to fuse and then refuses is
    /// done apart from now on.
    fn rehearse(&mut self, program: &Program) -> Result<()> {
        for (i, call) in program.calls.iter().enumerate() {
            let refused = self.run_step(&self.steps[i]).err();
            if let (Some(error), Call::Convolution(c, finish)) = (&refused, call)
                && matches!(&self.steps[i], Step::Convolution(convolve, None) if convolve.fused)
                && !error.is_out_of_memory()
            {
                let Machine { blocks, _kernels: kernels, dnn, blas, .. } = self;
                let preparation = Preparation { blocks, kernels, dnn, blas };
                let bare = Finish { relu: None, ..*finish };
                self.steps[i] = preparation.convolution(c, &bare)?;
                self.take_workspace()?;
                self.run_step(&self.steps[i])?;
            } else if let Some(error) = refused {
                return Err(error);
            }
        }
        self.stream.synchronize().map_err(failed("running every step once"))
    }

    fn run_step(&self, step: &Step) -> Result<()> {
        let finish = |launch: &Option<Launch>| match launch {
            Some(launch) => launch.run(&self.stream).map_err(failed("finishing a layer")),
            None => Ok(()),
        };
        match step {
            Step::Kernel(launch) => launch.run(&self.stream).map_err(failed("running a kernel")),
            Step::Product(multiply, rest) => {
                multiply.run(&self.blas, self.workspace(), &self.stream).map_err(failed("running a product"))?;
                finish(rest)
            }
            Step::Convolution(convolve, rest) => {
                convolve.run(&self.dnn, self.workspace()).map_err(failed("running a convolution"))?;
                finish(rest)
            }
        }
    }

    fn capture(&mut self) -> Result<()> {
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        self.stream.begin_capture(mode).map_err(failed("beginning to capture"))?;
        let ran = self.steps.iter().try_for_each(|step| self.run_step(step));
        // Ended in any case, so that the stream is usable again.
        let captured = self.stream.end_capture(sys::CUgraphInstantiate_flags(0));
        ran?;
        self.graph = captured.map_err(failed("capturing the network"))?;
        match &self.graph {
            Some(graph) => graph.upload().map_err(failed("uploading the captured network")),
            None => Ok(()),
        }
    }

    /// Starts the network on an input that will be there after `ready`; `normalise` for bytes,
    /// `None` for floats. The features are in their place once `done` has happened, and stay there
    /// until the next start.
    pub fn start(&mut self, input: u64, normalise: Option<[f32; NORMALISE]>, ready: &CudaEvent) -> Result<()> {
        self.stream.wait(ready).map_err(failed("waiting for the images"))?;
        if let Some(normalise) = normalise.filter(|n| *n != self.normalise) {
            self.stream.memcpy_htod(&normalise, &mut self.blocks.normalise).map_err(failed("copying scales"))?;
            self.normalise = normalise;
        }
        let entry = &self.entries[usize::from(normalise.is_none())];
        entry.run_on(input, &self.stream).map_err(failed("normalising"))?;
        match &self.graph {
            Some(graph) => graph.launch().map_err(failed("starting the network")),
            None => self.steps.iter().try_for_each(|step| self.run_step(step)),
        }
    }

    /// Puts the features of the network that was started last where they stay, and marks when they
    /// are there.
    pub fn hand_over(&self, to: &CudaSlice<u8>, done: &CudaEvent) -> Result<()> {
        let from = address(&self.blocks.features, &self.stream);
        let bytes = self.blocks.features.len().min(to.len());
        // SAFETY: both blocks have `bytes` bytes, and are allocated as long as machine and slot
        // live; the slot waits for `done`.
        unsafe {
            use candle_core::cuda_backend::cudarc::driver::result::memcpy_dtod_async;
            memcpy_dtod_async(address(to, &self.stream), from, bytes, self.stream.cu_stream())
        }
        .map_err(failed("handing features over"))?;
        done.record(&self.stream).map_err(failed("marking the features"))
    }

    /// A summary in words.
    pub fn summary(&self) -> String {
        let (mut fused, mut apart, mut kernels) = (0, 0, 0);
        for step in &self.steps {
            match step {
                Step::Kernel(_) => kernels += 1,
                Step::Product(_, None) | Step::Convolution(_, None) => fused += 1,
                Step::Product(..) | Step::Convolution(..) => apart += 1,
            }
        }
        let graph = if self.graph.is_some() { "captured" } else { "not captured" };
        let workspace = self.workspace().bytes >> 20;
        format!("{fused} library calls fused, {apart} finished apart, {kernels} kernels, {graph}; {workspace} MiB of workspace")
    }
}
