//! Steps of a plan that are not computed as they stand.
//!
//! *Moves.* ShuffleNet's units end with a concatenation and a shuffle and begin with two slices.
//! Done one after the other, each would pass over the map. Every value behind a shuffle is
//! therefore taken directly from the values that were computed: one move for each value that is
//! read, none for a value that is only handed on.
//!
//! *Pairs.* A step may be computed within the step that reads it, some channels at a time
//! ([`super::pair`]).

use super::gather::Source;
use super::memory::as_map;
use crate::plan::{Layer, Plan, Step, ValueId};

/// A plan whose steps name the values that they read after rewriting.
pub(super) struct Rewritten {
    /// The plan, its steps and values as they were but for the inputs of moves and pairs.
    pub plan: Plan,
    /// For each step that moves channels: which input and channel each of its own comes from.
    /// Nothing for other steps.
    pub channels: Vec<Option<Vec<Source>>>,
    /// Steps that take channels from behind a shuffle: no view can express them.
    pub scattered: Vec<bool>,
    /// For each step the one that is computed within it, if there is one: its inputs are this
    /// step's.
    pub within: Vec<Option<Step>>,
    /// Steps that are not computed by themselves.
    pub idle: Vec<bool>,
}

impl Rewritten {
    /// For each step that is computed, the step that reads its inputs.
    pub(super) fn readers(&self) -> impl Iterator<Item = &Step> {
        let each = self.plan.steps.iter().zip(&self.within).zip(&self.idle).filter(|(_, idle)| !**idle);
        each.map(|((step, within), _)| within.as_ref().unwrap_or(step))
    }
}

/// Rewrites a plan; `pairs` says whether a step may be computed within the next, its only reader.
pub(super) fn rewrite(plan: &Plan, pairs: impl Fn(&Step, &Step) -> bool) -> Rewritten {
    let mut all = moves(plan);
    let Plan { steps, taps, .. } = &mut all.plan;
    for i in 1..steps.len() {
        let value = steps[i - 1].output;
        let only = steps[i].inputs == [value] && !taps.contains(&value) && steps.iter().filter(|s| s.inputs.contains(&value)).count() == 1;
        if only && all.within[i - 1].is_none() && pairs(&steps[i - 1], &steps[i]) {
            steps[i].inputs = steps[i - 1].inputs.clone();
            all.within[i] = Some(steps[i - 1].clone());
            all.idle[i - 1] = true;
        }
    }
    all
}

/// Value and channel that a channel is a copy of.
type Origin = (ValueId, usize);

/// Follows every channel behind a shuffle to where it was computed.
fn moves(plan: &Plan) -> Rewritten {
    let mut plan = plan.clone();
    let count = |v: ValueId| as_map(&plan.shapes[v])[0];
    let mut origins: Vec<Vec<Origin>> = (0..plan.shapes.len()).map(|v| (0..count(v)).map(|c| (v, c)).collect()).collect();
    let mut behind = vec![false; plan.shapes.len()];
    let (mut channels, mut scattered) = (vec![None; plan.steps.len()], vec![false; plan.steps.len()]);
    for (i, step) in plan.steps.iter_mut().enumerate() {
        let Some(mut from) = sources(step, &origins) else { continue };
        let own: Vec<Origin> = from.iter().flat_map(|&(input, c)| origins[step.inputs[input]].get(c).copied()).collect();
        scattered[i] = matches!(step.layer, Layer::Shuffle { .. }) || step.inputs.iter().any(|&v| behind[v]);
        if scattered[i] {
            step.inputs.clear();
            from = own.iter().map(|&(v, c)| (place(&mut step.inputs, v), c)).collect();
        }
        behind[step.output] = scattered[i];
        origins[step.output] = own;
        channels[i] = Some(from);
    }
    let mut readers = vec![0; plan.shapes.len()];
    plan.taps.iter().chain(plan.steps.iter().flat_map(|s| &s.inputs)).for_each(|&v| readers[v] += 1);
    let mut idle = vec![false; plan.steps.len()];
    for (i, step) in plan.steps.iter().enumerate().rev() {
        idle[i] = channels[i].is_some() && readers[step.output] == 0;
        if idle[i] {
            step.inputs.iter().for_each(|&v| readers[v] -= 1);
        }
    }
    Rewritten { within: vec![None; plan.steps.len()], plan, channels, scattered, idle }
}

/// Input and channel that each output channel of a step is a copy of, if the step only moves
/// channels.
fn sources(step: &Step, origins: &[Vec<Origin>]) -> Option<Vec<Source>> {
    let count = |input: usize| origins[step.inputs[input]].len();
    match step.layer {
        Layer::Concat => Some((0..step.inputs.len()).flat_map(|i| (0..count(i)).map(move |c| (i, c))).collect()),
        Layer::Slice { start, len } => Some((start..start + len).map(|c| (0, c)).collect()),
        Layer::Shuffle { groups } => Some((0..count(0)).map(|c| (0, c % groups * (count(0) / groups) + c / groups)).collect()),
        _ => None,
    }
}

/// Index of a value in a list, where it is put if it is not there.
fn place(list: &mut Vec<ValueId>, value: ValueId) -> usize {
    list.iter().position(|&v| v == value).unwrap_or_else(|| {
        list.push(value);
        list.len() - 1
    })
}
