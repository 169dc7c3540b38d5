//! Running a compiled plan: images over threads, and, where there are fewer units than threads, tasks over threads.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rayon::prelude::*;

use super::compile::{Prepared, Program, compile};
use super::io;
use super::memory::{Line, Unit, floats_mut, zero_halo, zeroed_lines};
use super::simd::Isa;
use crate::engine::{Batch, Engine};
use crate::plan::Plan;
use crate::{Error, Result};

/// How to build a [`NativeEngine`].
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Instruction set.
    pub isa: Isa,
}

impl Default for Options {
    fn default() -> Self {
        Options { isa: Isa::best() }
    }
}

/// The native engine, planned for one input shape and a list of taps.
pub struct NativeEngine {
    program: Program,
    shape: [usize; 3],
    tap_lengths: Vec<usize>,
    largest_batch: usize,
    /// Arenas not in use: one for each worker, made when first needed and kept.
    arenas: Mutex<Vec<Vec<Line>>>,
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
    /// Milliseconds for the whole batch, all threads together on this layer.
    pub ms: f64,
    /// 10⁹ floating-point operations a second, counted as for a direct computation; 0 where none are counted.
    pub gflops: f64,
}

/// Images of a batch that one worker takes together, and where their taps go.
struct Work<'a> {
    first: usize,
    images: usize,
    taps: Vec<&'a mut [f32]>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What these mutexes guard is never left half-changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl NativeEngine {
    /// Chooses and packs kernels for `plan`, for batches of up to `largest_batch` images.
    ///
    /// # Errors
    /// An instruction set that this CPU lacks, a plan whose input is no map.
    pub fn new(plan: &Plan, largest_batch: usize, options: Options) -> Result<NativeEngine> {
        if !Isa::available().contains(&options.isa) {
            let problem = format!("this CPU has no {}", options.isa.name());
            let names: Vec<_> = Isa::available().iter().map(|i| i.name()).collect();
            return Err(Error::setting(problem, format!("choose one of {}", names.join(", "))));
        }
        let shape = <[usize; 3]>::try_from(plan.input_shape().as_slice())
            .map_err(|_| Error::graph("input", format!("is {:?}: the engine takes maps [C, H, W]", plan.input_shape())))?;
        let program = compile(plan, options.isa, 1)?;
        let tap_lengths = plan.tap_shapes().iter().map(|s| s.iter().product()).collect();
        Ok(NativeEngine { program, shape, tap_lengths, largest_batch, arenas: Mutex::default() })
    }

    /// Bytes of activations that a run needs: an arena for each thread.
    pub fn arena_bytes(&self) -> usize {
        self.program.floats * size_of::<f32>() * rayon::current_num_threads().min(self.largest_batch.div_ceil(self.program.unit))
    }

    /// The kernels chosen: module path and strategy of each step.
    pub fn kernels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.program.steps.iter().map(|s| (s.name.as_str(), s.kernel.label()))
    }

    /// Runs a batch layer by layer, all threads on one layer, and times each.
    ///
    /// # Errors
    /// As [`Engine::run`].
    pub fn profile(&self, batch: Batch<'_>) -> Result<Vec<LayerTime>> {
        self.check(&batch)?;
        let mut seconds = vec![0.0; self.program.steps.len()];
        let mut taps = self.blank_taps(batch.images());
        for mut work in self.share_out(batch.images(), &mut taps) {
            self.with_arena(|memory| {
                self.compute(&batch, &mut work, memory, |step, unit| {
                    let start = Instant::now();
                    in_parallel(&self.program.steps[step], unit);
                    seconds[step] += start.elapsed().as_secs_f64();
                });
            });
        }
        let time = |(step, seconds): (&Prepared, f64)| LayerTime {
            name: step.name.clone(),
            shape: step.shape.clone(),
            kernel: step.kernel.label().into(),
            ms: 1e3 * seconds,
            gflops: step.flops as f64 * batch.images() as f64 / seconds / 1e9,
        };
        Ok(self.program.steps.iter().zip(seconds).map(time).collect())
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

    fn blank_taps(&self, images: usize) -> Vec<Vec<f32>> {
        self.tap_lengths.iter().map(|&len| vec![0.0; images * len]).collect()
    }

    /// Cuts a batch into units, in order.
    fn share_out<'a>(&self, images: usize, taps: &'a mut [Vec<f32>]) -> Vec<Work<'a>> {
        let unit = self.program.unit;
        let starts = (0..images).step_by(unit);
        let mut work: Vec<Work<'a>> = starts.map(|first| Work { first, images: unit.min(images - first), taps: vec![] }).collect();
        for (tap, &len) in taps.iter_mut().zip(&self.tap_lengths) {
            if len == 0 {
                continue;
            }
            tap.chunks_mut(unit * len).zip(&mut work).for_each(|(part, work)| work.taps.push(part));
        }
        work
    }

    fn with_arena<T>(&self, f: impl FnOnce(&mut [f32]) -> T) -> T {
        let kept = lock(&self.arenas).pop();
        let mut arena = kept.unwrap_or_else(|| zeroed_lines(self.program.floats));
        let result = f(floats_mut(&mut arena));
        lock(&self.arenas).push(arena);
        result
    }

    /// Computes one unit: input, steps by `run_step`, taps.
    fn compute(&self, batch: &Batch<'_>, work: &mut Work<'_>, memory: &mut [f32], mut run_step: impl FnMut(usize, &Unit<'_>)) {
        let unit = Unit::new(memory, work.images);
        zero_halo(&unit, &self.program.input);
        (0..work.images).for_each(|slot| io::load(batch, work.first + slot, &unit, slot, &self.program.input));
        for (i, step) in self.program.steps.iter().enumerate() {
            step.kernel.outputs().iter().for_each(|o| zero_halo(&unit, o));
            run_step(i, &unit);
        }
        for (operand, to) in self.program.taps.iter().zip(&mut work.taps) {
            let len = to.len() / work.images;
            for (slot, to) in to.chunks_exact_mut(len).enumerate() {
                // SAFETY: all steps are complete.
                io::store(&operand.map, unsafe { unit.read(operand, slot) }, to);
            }
        }
    }
}

fn in_parallel(step: &Prepared, unit: &Unit<'_>) {
    (0..step.kernel.tasks(unit.images)).into_par_iter().for_each(|task| step.kernel.run(unit, task));
}

impl Engine for NativeEngine {
    fn name(&self) -> &'static str {
        "native"
    }

    fn device(&self) -> String {
        "cpu".into()
    }

    fn run(&self, batch: Batch<'_>) -> Result<Vec<Vec<f32>>> {
        self.check(&batch)?;
        let mut taps = self.blank_taps(batch.images());
        let mut work = self.share_out(batch.images(), &mut taps);
        // Whole rounds go a unit to a thread; what is left over is shared by all threads, layer by layer.
        let threads = rayon::current_num_threads();
        let alone = work.split_off(work.len() / threads * threads);
        let queue = Mutex::new(work.into_iter());
        rayon::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|_| {
                    while let Some(mut work) = { lock(&queue).next() } {
                        self.with_arena(|memory| {
                            self.compute(&batch, &mut work, memory, |step, unit| {
                                let kernel = &self.program.steps[step].kernel;
                                (0..kernel.tasks(unit.images)).for_each(|task| kernel.run(unit, task));
                            });
                        });
                    }
                });
            }
        });
        for mut work in alone {
            self.with_arena(|memory| self.compute(&batch, &mut work, memory, |step, unit| in_parallel(&self.program.steps[step], unit)));
        }
        Ok(taps)
    }
}
