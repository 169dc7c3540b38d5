//! Choice of the values that stay f32 where maps have 16 bits.
//!
//! They are means over whole maps and the values computed from these alone: gates of squeeze-excite
//! layers, pooled features. They are small, and the rounding error of one recurs at every pixel
//! that it multiplies: no later mean over pixels averages it out (MobileNet V3's features would be
//! 3e-2 off for that reason alone).

use super::map::Map;
use crate::plan::{Layer, Plan};

/// For each value whether it is f32. A kernel reads numbers of one kind, but for a mean and for a
/// map with its gate.
pub(super) fn exact(plan: &Plan, maps: &[Map]) -> Vec<bool> {
    let mut exact: Vec<bool> = maps.iter().map(|map| map.pixels() == 1).collect();
    exact[0] = false;
    loop {
        let before = exact.clone();
        for step in &plan.steps {
            let converts = matches!(step.layer, Layer::GlobalAvgPool | Layer::AdaptiveAvgPool(_));
            exact[step.output] &= converts || step.inputs.iter().all(|&v| exact[v]);
            let whole = converts || exact[step.output];
            for (input, &value) in step.inputs.iter().enumerate() {
                exact[value] &= whole || input == 1 && matches!(step.layer, Layer::Mul);
            }
        }
        if exact == before {
            return exact;
        }
    }
}
