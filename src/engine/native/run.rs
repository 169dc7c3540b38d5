//! Running a compiled plan: images over threads, and, where there are fewer units than threads,
//! tasks over threads.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rayon::prelude::*;

use super::compile::{Prepared, Program, compile};
use super::io;
use super::memory::{Common, SharedMemory, Space, Unit, zero_halo};
use super::options::NativeOptions;
use super::step::Stage;
use crate::engine::{Batch, Engine};
use crate::plan::Plan;
use crate::simd::{Isa, Line, floats_mut, zeroed_lines};
use crate::{Error, Result};

/// The native engine, planned for one input shape and a list of taps.
pub struct NativeEngine {
    program: Program,
    shape: [usize; 3],
    tap_lengths: Vec<usize>,
    largest_batch: usize,
    /// Memory not in use, made when first needed and kept.
    memory: Pools,
}

#[derive(Default)]
struct Pools {
    local: Pool,
    shared: Pool,
    common: Pool,
    scratch: Pool,
}

/// Buffers of one size.
#[derive(Default)]
struct Pool(Mutex<Vec<Vec<Line>>>);

impl Pool {
    fn with<T>(&self, floats: usize, f: impl FnOnce(&mut [f32]) -> T) -> T {
        if floats == 0 {
            return f(&mut []);
        }
        let kept = lock(&self.0).pop();
        let mut buffer = kept.unwrap_or_else(|| zeroed_lines(floats));
        let result = f(floats_mut(&mut buffer));
        lock(&self.0).push(buffer);
        result
    }
}

/// Time of one layer over a batch.
#[derive(Debug, Clone)]
pub struct LayerTime {
    /// Module path.
    pub name: String,
    /// Shapes in and out.
    pub shape: String,
    /// The kernel chosen.
    pub kernel: String,
    /// Milliseconds that the batch spends in it: where threads work on different images, their
    /// mean.
    pub ms: f64,
    /// 10⁹ floating-point operations a second, counted as for a direct computation; 0 where none
    /// are counted.
    pub gflops: f64,
}

/// One image of a batch and the targets of its taps.
struct Work<'a> {
    image: usize,
    taps: Vec<&'a mut [f32]>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The data behind these mutexes is never left half-changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl NativeEngine {
    /// Chooses and packs kernels for `plan`, for batches of up to `largest_batch` images (larger
    /// ones are cut).
    ///
    /// # Errors
    /// `HEADSTART_ISA` naming an instruction set that this CPU lacks; bf16 without AMX; a plan
    /// whose input is not a map.
    pub fn new(plan: &Plan, largest_batch: usize, options: NativeOptions) -> Result<NativeEngine> {
        Isa::chosen()?;
        options.check()?;
        let shape = <[usize; 3]>::try_from(plan.input_shape().as_slice())
            .map_err(|_| Error::graph("input", format!("is {:?}: the engine takes maps [C, H, W]", plan.input_shape())))?;
        let largest_batch = largest_batch.max(1);
        let program = compile(plan, options, largest_batch)?;
        let tap_lengths = plan.tap_shapes().iter().map(|s| s.iter().product()).collect();
        Ok(NativeEngine { program, shape, tap_lengths, largest_batch, memory: Pools::default() })
    }

    /// Bytes of activations and scratch memory that a run needs at most.
    pub fn arena_bytes(&self) -> usize {
        let Program { local, shared, common, scratch, .. } = &self.program;
        let threads = rayon::current_num_threads();
        (threads.min(self.largest_batch) * local + shared + common + threads * scratch[0].max(scratch[1])) * size_of::<f32>()
    }

    /// The kernels chosen: module path and strategy of each step.
    pub fn kernels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.program.steps.iter().map(|s| (s.name.as_str(), s.kernel.label()))
    }

    /// Runs a batch and times each layer.
    ///
    /// # Errors
    /// As [`Engine::run`].
    pub fn profile(&self, batch: Batch<'_>) -> Result<Vec<LayerTime>> {
        let seconds = Mutex::new(vec![0.0; self.program.steps.len()]);
        self.execute(batch, &|step, share| lock(&seconds)[step] += share)?;
        let time = |(step, &seconds): (&Prepared, &f64)| LayerTime {
            name: step.name.clone(),
            shape: step.shape.clone(),
            kernel: step.kernel.label().into(),
            ms: 1e3 * seconds,
            gflops: step.flops as f64 * batch.images() as f64 / seconds / 1e9,
        };
        let seconds = lock(&seconds);
        Ok(self.program.steps.iter().zip(seconds.iter()).map(time).collect())
    }

    fn check(&self, batch: &Batch<'_>) -> Result<()> {
        let fail = |reason: String| Err(Error::Engine { engine: "native", doing: "taking a batch".into(), reason });
        let values = batch.images() * self.shape.iter().product::<usize>();
        let given = match batch {
            Batch::Pixels { rgb, .. } => rgb.len(),
            Batch::Floats { data, .. } => data.len(),
        };
        if batch.shape() != self.shape {
            fail(format!("planned for images of {:?}, given {:?}", self.shape, batch.shape()))
        } else if given != values {
            fail(format!("{} images need {values} values, given {given}", batch.images()))
        } else {
            Ok(())
        }
    }

    /// Runs a batch; `note` receives each step's share of the wall time.
    fn execute(&self, batch: Batch<'_>, note: &(dyn Fn(usize, f64) + Sync)) -> Result<Vec<Vec<f32>>> {
        self.check(&batch)?;
        let mut taps: Vec<Vec<f32>> = self.tap_lengths.iter().map(|&len| vec![0.0; batch.images() * len]).collect();
        let mut work: Vec<Work<'_>> = (0..batch.images()).map(|image| Work { image, taps: vec![] }).collect();
        for (tap, &len) in taps.iter_mut().zip(&self.tap_lengths) {
            tap.chunks_mut(len.max(1)).zip(&mut work).for_each(|(part, work)| work.taps.push(part));
        }
        for part in work.chunks_mut(self.largest_batch) {
            self.memory.shared.with(self.program.shared, |shared| self.part(&batch, part, SharedMemory::new(shared), note));
        }
        Ok(taps)
    }

    /// Up to the largest batch: image by image, a thread each, then layer by layer, all threads
    /// together.
    fn part(&self, batch: &Batch<'_>, work: &mut [Work<'_>], shared: SharedMemory<'_>, note: &(dyn Fn(usize, f64) + Sync)) {
        let threads = rayon::current_num_threads();
        let (first, images) = (work[0].image, work.len());
        // Whole rounds of images go to a thread each; those left over are shared by all threads.
        let (rounds, rest) = work.split_at_mut(images / threads * threads);
        let queue = Mutex::new(rounds.iter_mut());
        rayon::scope(|scope| {
            for _ in 0..threads.min(images / threads * threads) {
                scope.spawn(|_| {
                    while let Some(work) = { lock(&queue).next() } {
                        self.image(batch, work, first, shared, 1, &|step, seconds| note(step, seconds / threads as f64));
                    }
                });
            }
        });
        rest.iter_mut().for_each(|work| self.image(batch, work, first, shared, threads, note));
        let unit = Unit::new(&mut [], shared, 0, images);
        if self.program.alone == 0 {
            self.load(batch, first, &unit);
        }
        for step in self.program.alone..self.program.steps.len() {
            self.step(step, &unit, threads, note);
        }
        work.par_iter_mut().for_each(|work| self.store(Space::Shared, &unit, work.image - first, &mut work.taps));
    }

    /// The steps that run image by image, by `workers` workers together.
    fn image(
        &self,
        batch: &Batch<'_>,
        work: &mut Work<'_>,
        first: usize,
        shared: SharedMemory<'_>,
        workers: usize,
        note: &(dyn Fn(usize, f64) + Sync),
    ) {
        if self.program.alone == 0 {
            return;
        }
        self.memory.local.with(self.program.local, |local| {
            let unit = Unit::new(local, shared, work.image - first, 1);
            self.load(batch, work.image, &unit);
            (0..self.program.alone).for_each(|step| self.step(step, &unit, workers, note));
            self.store(Space::Local, &unit, 0, &mut work.taps);
        });
    }

    fn load(&self, batch: &Batch<'_>, first: usize, unit: &Unit<'_>) {
        zero_halo(unit, &self.program.input);
        (0..unit.images).for_each(|slot| io::load(batch, first + slot, unit, slot, &self.program.input));
    }

    fn step(&self, index: usize, unit: &Unit<'_>, workers: usize, note: &(dyn Fn(usize, f64) + Sync)) {
        let start = Instant::now();
        let kernel = &self.program.steps[index].kernel;
        kernel.outputs().iter().for_each(|output| zero_halo(unit, output));
        let scratch = if kernel.scratch(unit.images) == 0 { 0 } else { self.program.scratch[0].max(self.program.scratch[1]) };
        let common = if kernel.common(unit.images) == 0 { 0 } else { self.program.common };
        self.memory.common.with(common, |common| {
            let common = Common::new(common);
            for index in 0..kernel.stages(unit.images) {
                let tasks = kernel.stage_tasks(index, unit.images, workers);
                let run = |task: usize| {
                    let stage = Stage { index, task, tasks, common };
                    self.memory.scratch.with(scratch, |scratch| kernel.run_stage(unit, stage, scratch));
                };
                if workers == 1 {
                    (0..tasks).for_each(run);
                } else {
                    (0..tasks).into_par_iter().for_each(run);
                }
            }
        });
        note(index, start.elapsed().as_secs_f64());
    }

    /// Copies out the taps that lie in `space`.
    fn store(&self, space: Space, unit: &Unit<'_>, slot: usize, taps: &mut [&mut [f32]]) {
        for (operand, to) in self.program.taps.iter().zip(taps).filter(|(operand, _)| operand.space == space) {
            // SAFETY: all steps that write to this space are complete, and no task is at work.
            io::store(&operand.map, unsafe { unit.read(operand, slot) }, to);
        }
    }
}

impl Engine for NativeEngine {
    fn name(&self) -> &'static str {
        "native"
    }

    fn device(&self) -> String {
        "cpu".into()
    }

    fn run(&self, batch: Batch<'_>) -> Result<Vec<Vec<f32>>> {
        self.execute(batch, &|_, _| {})
    }
}
