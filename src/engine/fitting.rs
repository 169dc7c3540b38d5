//! Batches too large for a device's memory: halved until they fit.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::{Batch, Engine};
use crate::{Error, Result};

/// An engine that receives as many images at once as its device's memory holds.
///
/// Features do not depend on the parts in which a batch is computed, but for the last bits that a
/// GPU's library may round otherwise for another number of images.
pub(crate) struct Fitting {
    engine: Box<dyn Engine>,
    /// Most images that it receives at once.
    most: AtomicUsize,
    messages: Mutex<Vec<String>>,
}

impl Fitting {
    /// Builds an engine for `batch` images, or for half as many, and so on, as long as memory runs
    /// out.
    ///
    /// # Errors
    /// An error of `build` other than a lack of memory, or a lack of memory with a single image.
    pub(crate) fn build(batch: usize, build: impl Fn(usize) -> Result<Box<dyn Engine>>) -> Result<Fitting> {
        let mut most = batch.max(1);
        let mut messages = vec![];
        loop {
            match build(most) {
                Ok(engine) => return Ok(Fitting { engine, most: AtomicUsize::new(most), messages: Mutex::new(messages) }),
                Err(e) if e.is_out_of_memory() && most > 1 => {
                    messages.push(halving(most));
                    most = most.div_ceil(2);
                }
                Err(e) => return Err(if e.is_out_of_memory() { too_large(&e) } else { e }),
            }
        }
    }

    /// Messages for the user since the last call.
    pub(crate) fn take_messages(&self) -> Vec<String> {
        std::mem::take(&mut *self.messages.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Runs `batch` in parts of `most` images.
    fn in_parts(&self, batch: Batch<'_>, most: usize) -> Result<Vec<Vec<f32>>> {
        if batch.images() <= most {
            return self.engine.run(batch);
        }
        let mut taps: Vec<Vec<f32>> = vec![];
        for start in (0..batch.images()).step_by(most) {
            let part = self.engine.run(batch.part(start, most))?;
            taps.resize_with(part.len(), Vec::new);
            taps.iter_mut().zip(part).for_each(|(tap, part)| tap.extend(part));
        }
        Ok(taps)
    }
}

impl Engine for Fitting {
    fn name(&self) -> &'static str {
        self.engine.name()
    }

    fn device(&self) -> String {
        self.engine.device()
    }

    fn in_flight(&self) -> usize {
        self.engine.in_flight()
    }

    fn summary(&self) -> Option<String> {
        self.engine.summary()
    }

    fn run(&self, batch: Batch<'_>) -> Result<Vec<Vec<f32>>> {
        loop {
            let most = self.most.load(Ordering::Relaxed);
            let error = match self.in_parts(batch, most) {
                Err(e) if e.is_out_of_memory() => e,
                done => return done,
            };
            let tried = most.min(batch.images());
            if tried <= 1 {
                return Err(too_large(&error));
            }
            // Two batches may run out of memory at once: the first halves, the second tries again.
            if self.most.compare_exchange(most, tried.div_ceil(2), Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                self.messages.lock().unwrap_or_else(PoisonError::into_inner).push(halving(tried));
            }
        }
    }
}

fn halving(most: usize) -> String {
    format!("the device's memory does not hold {most} images at once: going on with {}", most.div_ceil(2))
}

fn too_large(error: &Error) -> Error {
    Error::setting(
        format!("the device's memory does not hold even a single image: {error}"),
        "close the other programs that use the device, take a smaller option `size`, or use option `device=cpu`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device with memory for a number of images, which doubles each value of an image.
    struct Small(usize);

    impl Engine for Small {
        fn name(&self) -> &'static str {
            "small"
        }
        fn device(&self) -> String {
            "gpu".into()
        }
        fn run(&self, batch: Batch<'_>) -> Result<Vec<Vec<f32>>> {
            let Batch::Floats { images, data, .. } = batch else { panic!("floats") };
            if images > self.0 {
                return Err(Error::out_of_memory("small", "copying images")("the device is full"));
            }
            Ok(vec![data.iter().map(|v| v * 2.0).collect(), data.iter().step_by(2).copied().collect()])
        }
    }

    fn floats(data: &[f32]) -> Batch<'_> {
        Batch::Floats { images: data.len() / 2, shape: [2, 1, 1], data }
    }

    #[test]
    fn batches_are_halved_until_they_fit_and_that_is_reported_once() {
        let engine = Fitting::build(10, |_| Ok(Box::new(Small(3)))).unwrap();
        let data: Vec<f32> = (0..20u8).map(f32::from).collect();
        let whole = Small(10).run(floats(&data)).unwrap();
        assert_eq!(engine.run(floats(&data)).unwrap(), whole, "10, 5, then parts of 3, 3, 3 and 1");
        assert_eq!(engine.take_messages().len(), 2);
        assert_eq!(engine.run(floats(&data)).unwrap(), whole);
        assert!(engine.take_messages().is_empty(), "the smaller batch is remembered");
    }

    #[test]
    fn an_engine_that_takes_its_memory_when_built_is_built_smaller() {
        let small = |batch| {
            if batch > 4 { Err(Error::out_of_memory("small", "planning")("the device is full")) } else { Ok(Box::new(Small(4)) as Box<_>) }
        };
        let engine = Fitting::build(16, small).unwrap();
        assert_eq!(engine.take_messages(), [halving(16), halving(8)]);
        let data = [1.0; 20];
        assert_eq!(engine.run(floats(&data)).unwrap()[0], [2.0; 20]);
    }

    #[test]
    fn what_cannot_be_halved_ends_with_the_way_out() {
        let engine = Fitting::build(2, |_| Ok(Box::new(Small(0)))).unwrap();
        let error = engine.run(floats(&[1.0; 4])).unwrap_err().to_string();
        assert!(error.contains("single image") && error.contains("option `device=cpu`"), "{error}");
        let error = Fitting::build(4, |_| Err(Error::engine("small", "planning")("no such kernel"))).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("no such kernel"), "{error}");
    }
}
