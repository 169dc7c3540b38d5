//! Which numbers of 16 bits a network gets: tensor cores multiply f16 and bf16 at the same rate, and f16 is eight times as exact, but ends at 65,504.

use crate::Result;
use crate::engine::native::{NativeEngine, Options};
use crate::engine::{Batch, Compute, Engine};
use crate::plan::Plan;

/// Values of a sample that f16 holds with room to spare: a photo may go sixteen times beyond it.
const LARGEST: f32 = 4096.0;

/// What a plan computes in where `asked` was asked for: f16 stands for bf16 where all values of a sample, `[C, H, W]` as the plan takes it, are small
/// enough.
///
/// # Errors
/// As [`NativeEngine::new`]; a sample of another size.
pub fn numbers(plan: &Plan, asked: Compute, sample: &[f32]) -> Result<Compute> {
    let fits = asked == Compute::Bf16 && stays_small(plan, sample)?;
    Ok(if fits { Compute::F16 } else { asked })
}

/// Whether no value of one image is beyond [`LARGEST`], nor NaN, in f32.
fn stays_small(plan: &Plan, sample: &[f32]) -> Result<bool> {
    let all = Plan { taps: (0..plan.shapes.len()).collect(), ..plan.clone() };
    let shape = [0, 1, 2].map(|i| plan.input_shape()[i]);
    let batch = Batch::Floats { images: 1, shape, data: sample };
    let values = NativeEngine::new(&all, 1, Options::default())?.run(batch)?;
    Ok(values.iter().flatten().all(|value| value.abs() <= LARGEST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Graph, Op};
    use crate::weights::Formula;

    #[test]
    fn f16_stands_for_bf16_where_no_value_comes_near_its_end() {
        let (mut graph, x) = Graph::new(3);
        let scaled = graph.add("scaled", Op::Affine { scale: vec![1.0, 10.0, -20.0], shift: vec![0.0; 3] }, &[x]);
        let mean = graph.add("mean", Op::AdaptiveAvgPool([1, 1]), &[scaled]);
        graph.tap("mean", mean);
        let plan = Plan::new(&graph, &Formula::new(graph.parameters(), 0), &["mean".into()], [3, 2, 2]).unwrap();
        let choice = |asked, value| {
            let mut sample = [1.0; 12];
            sample[9] = value;
            numbers(&plan, asked, &sample).unwrap()
        };
        assert_eq!(choice(Compute::Bf16, -204.0), Compute::F16);
        for large in [205.0, f32::NAN, f32::INFINITY] {
            assert_eq!(choice(Compute::Bf16, large), Compute::Bf16, "{large}");
        }
        assert_eq!([choice(Compute::F32, 1.0), choice(Compute::F16, 1e5)], [Compute::F32, Compute::F16]);
        assert!(numbers(&plan, Compute::Bf16, &[0.0; 3]).is_err());
    }
}
