//! The candle engine: CUDA and Metal, and on a CPU the plain reference that everything is checked
//! against.
//!
//! | file | what for |
//! |---|---|
//! | `forward.rs` | graphs and plans run over candle's tensors |
//! | `ops.rs`, `tokens.rs` | the layers of convolutional networks, and those of transformers, in candle's ops |

mod forward;
mod ops;
mod tokens;

use candle_core::{DType, Device, Tensor};

use super::{Batch, Engine, describe};
use crate::graph::Graph;
use crate::plan::Plan;
use crate::weights::TensorSource;
use crate::{Error, Result};

pub(crate) use forward::{Parameters, forward, parameters};

/// Runs a backbone in candle's own ops on any of its devices and float dtypes.
pub struct CandleEngine {
    network: Network,
    input: [usize; 3],
    device: Device,
    dtype: DType,
}

enum Network {
    /// The reference: the graph op by op.
    Graph(Graph, Parameters),
    /// Fewer and larger ops, for devices.
    Plan(forward::Planned),
}

impl CandleEngine {
    /// The reference: runs the graph op by op, unchanged, nothing folded.
    ///
    /// # Errors
    /// An unknown tap, an input shape that does not fit, a missing or misshapen tensor, the
    /// device's own failure.
    pub fn new(
        graph: &Graph,
        weights: &dyn TensorSource,
        taps: &[String],
        input: [usize; 3],
        device: &Device,
        dtype: DType,
    ) -> Result<CandleEngine> {
        let graph = graph.prune(taps)?;
        graph.shapes(input)?;
        let parameters = parameters(&graph, weights, device, dtype)?;
        Ok(CandleEngine { network: Network::Graph(graph, parameters), input, device: device.clone(), dtype })
    }

    /// Runs a plan: batch norm folded, the same values up to rounding.
    ///
    /// # Errors
    /// The device's own failure.
    pub fn planned(plan: Plan, device: &Device, dtype: DType) -> Result<CandleEngine> {
        let input = [0, 1, 2].map(|i| plan.input_shape()[i]);
        Ok(CandleEngine { network: Network::Plan(forward::Planned::new(plan, device, dtype)?), input, device: device.clone(), dtype })
    }

    fn upload(&self, batch: Batch<'_>) -> candle_core::Result<Tensor> {
        match batch {
            Batch::Pixels { images, size: [h, w], rgb, normalise } => {
                ops::normalise(rgb, [images, h, w, 3], normalise, self.dtype, &self.device)
            }
            Batch::Floats { images, shape: [c, h, w], data } => {
                Tensor::from_slice(data, (images, c, h, w), &self.device)?.to_dtype(self.dtype)
            }
        }
    }
}

impl Engine for CandleEngine {
    fn name(&self) -> &'static str {
        "candle"
    }

    fn device(&self) -> String {
        describe(&self.device)
    }

    fn in_flight(&self) -> usize {
        if self.device.is_cpu() { 1 } else { 2 }
    }

    fn run(&self, batch: Batch<'_>) -> Result<Vec<Vec<f32>>> {
        if batch.shape() != self.input {
            return Err(Error::graph("input", format!("planned for images of {:?}, not {:?}", self.input, batch.shape())));
        }
        let images = batch.images();
        let input = self.upload(batch).map_err(Error::candle(format_args!("copying {images} images to {}", self.device())))?;
        let values = match &self.network {
            Network::Graph(graph, parameters) => forward(graph, parameters, &input)?,
            Network::Plan(planned) => planned.forward(&input)?,
        };
        let download = |value: &Tensor| value.to_dtype(DType::F32)?.flatten_all()?.to_vec1();
        values.iter().map(|v| download(v).map_err(Error::candle(format_args!("copying features back from {}", self.device())))).collect()
    }
}

#[cfg(test)]
mod tests;
