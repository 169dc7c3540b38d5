//! The part of the engine that talks to a GPU.
//!
//! | file | what for |
//! |---|---|
//! | `machine.rs` | a program on its GPU: memory, prepared calls, the captured graph |
//! | `convolve.rs`, `multiply.rs`, `launch.rs` | one convolution by cuDNN, one product by cuBLASLt, one kernel of our own |
//! | `slot.rs` | page-locked memory and a stream for one batch on its way |
//! | `address.rs`, `failure.rs` | addresses as the libraries take them; their errors, a lack of memory told apart |

mod address;
mod convolve;
mod failure;
mod launch;
mod machine;
mod multiply;
mod slot;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use candle_core::cuda_backend::cudarc::driver::CudaContext;

use address::address;
use failure::failed;
use machine::Machine;
use slot::Slot;

use super::lower::compile;
use super::program::Program;
use crate::engine::{Batch, Compute, Engine};
use crate::plan::Plan;
use crate::{Error, Result};

/// Batches on their way at the same time.
const SLOTS: usize = 2;

/// Asks CUDA's libraries not to round f32 to TF32, also where candle's calls leave that to them.
///
/// # Safety
/// Sets an environment variable: call it before the process has a second thread and before any of
/// CUDA's libraries is used.
#[expect(clippy::disallowed_methods, reason = "the libraries take this wish from the environment alone")]
pub unsafe fn without_tf32() {
    // SAFETY: the caller promises that no other thread exists, which could read the environment
    // meanwhile.
    unsafe { std::env::set_var("NVIDIA_TF32_OVERRIDE", "0") }
}

/// Runs a plan on an NVIDIA GPU.
pub struct CudaEngine {
    // Dropped before the context.
    machine: Mutex<Machine>,
    slots: Mutex<Vec<Slot>>,
    returned: Condvar,
    program: Program,
    compute: Compute,
    context: Arc<CudaContext>,
}

impl CudaEngine {
    /// Makes a plan ready for batches of up to `batch` images on the GPU of this number.
    ///
    /// # Errors
    /// A transformer; too little memory; the libraries' own failure.
    pub fn new(plan: &Plan, gpu: usize, compute: Compute, batch: usize) -> Result<CudaEngine> {
        let mut program = compile(plan, compute.into(), batch.max(1))?;
        let context = CudaContext::new(gpu).map_err(failed("opening the GPU"))?;
        // SAFETY: this engine orders all uses of its memory by streams and events of its own: a
        // slot's blocks are used by its stream and, between the events `arrived` and `computed`, by
        // the machine's; everything else by the machine's alone.
        unsafe { context.disable_event_tracking() };
        let machine = Machine::new(&program, &context)?;
        let slots = (0..SLOTS).map(|_| Slot::new(&program, &context)).collect::<Result<_>>()?;
        // They are on the device now.
        program.constants = vec![];
        Ok(CudaEngine { machine: Mutex::new(machine), slots: Mutex::new(slots), returned: Condvar::new(), program, compute, context })
    }

    /// A free slot; waits for one.
    fn slot(&self) -> Taken<'_> {
        let mut slots = lock(&self.slots);
        loop {
            match slots.pop() {
                Some(slot) => return Taken { engine: self, slot: Some(slot) },
                None => slots = self.returned.wait(slots).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn compute(&self, slot: &mut Slot, batch: Batch<'_>) -> Result<Vec<Vec<f32>>> {
        let (input, normalise, _floats) = match batch {
            Batch::Pixels { rgb, normalise, .. } => {
                let [a, b, c] = normalise.scale;
                let [d, e, f] = normalise.shift;
                (slot.upload(rgb)?, Some([a, b, c, d, e, f, f32::from(u8::from(normalise.bgr))]), None)
            }
            Batch::Floats { data, .. } => {
                let floats = slot.upload_floats(data)?;
                (address(&floats, floats.stream()), None, Some(floats))
            }
        };
        {
            let mut machine = lock(&self.machine);
            machine.start(input, normalise, &slot.arrived)?;
            machine.hand_over(&slot.output, &slot.computed)?;
        }
        let features = slot.download(&self.program, batch.images())?;
        self.compute.check(&features).map(|()| features)
    }
}

/// A slot that returns to the engine when dropped.
struct Taken<'a> {
    engine: &'a CudaEngine,
    slot: Option<Slot>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            slot.wait();
            lock(&self.engine.slots).push(slot);
            self.engine.returned.notify_one();
        }
    }
}

/// A panic elsewhere leaves nothing half-done behind these locks that the next batch would not
/// write again.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine for CudaEngine {
    fn name(&self) -> &'static str {
        "cuda"
    }

    fn device(&self) -> String {
        format!("cuda:{}", self.context.ordinal())
    }

    fn in_flight(&self) -> usize {
        SLOTS
    }

    fn summary(&self) -> Option<String> {
        let device = self.context.name().unwrap_or_default();
        let gib = |bytes: usize| bytes as f64 / f64::from(1 << 30);
        let memory = self
            .context
            .mem_get_info()
            .map(|(free, total)| format!("; {:.2} of {:.1} GiB of {device} in use", gib(total - free), gib(total)));
        Some(lock(&self.machine).summary() + &memory.unwrap_or_default())
    }

    fn run(&self, batch: Batch<'_>) -> Result<Vec<Vec<f32>>> {
        let (planned, images) = (self.program.input, batch.images());
        if batch.shape() != planned || images > self.program.images {
            let most = self.program.images;
            return Err(Error::graph("input", format!("planned for {most} images of {planned:?}, not {images} of {:?}", batch.shape())));
        }
        if images == 0 {
            return Ok(vec![vec![]; self.program.taps.len()]);
        }
        self.context.bind_to_thread().map_err(failed("opening the GPU"))?;
        let mut taken = self.slot();
        match &mut taken.slot {
            Some(slot) => self.compute(slot, batch),
            None => unreachable!("a slot was taken"),
        }
    }
}
