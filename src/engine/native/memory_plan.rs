//! The memory plan: which values share storage as views, how wide each halo is, and where every
//! value lies in the arena.

use super::memory::{Map, Operand, Space, as_map};
use super::rewrite::Rewritten;
use crate::plan::{Layer, Plan, ValueId, arrange};
use crate::simd::LANES;

/// Input channels up to which an image stays planar.
const PLANAR: usize = 4;

/// A value as part of a storage, its own or another value's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct View {
    root: ValueId,
    /// First block in the root.
    block: usize,
}

/// The place of every value.
pub(super) struct MemoryPlan {
    /// One for each value of the plan.
    pub operands: Vec<Operand>,
    /// Steps without work: their output is in its place already, or no step reads it.
    pub done: Vec<bool>,
    /// Size of a worker's arena in floats.
    pub local: usize,
    /// Size of the arena of all workers in floats.
    pub shared: usize,
}

/// Plans memory, of `packed` values in bf16: steps before `split` run image by image on a worker,
/// those from there on for all of `batch` images together.
pub(super) fn plan_memory(all: &Rewritten, packed: &[bool], split: usize, batch: usize) -> MemoryPlan {
    let plan = &all.plan;
    let (views, done) = views(all);
    let halos = halos(all, &views);
    let planar = is_planar(all) && views[0].root == 0;
    let maps: Vec<Map> = (0..plan.shapes.len())
        .map(|v| {
            let shape = as_map(&plan.shapes[v]);
            match (v == 0 && planar, packed[v]) {
                (true, _) => Map::planar(shape, halos[0]),
                (_, true) => Map::packed(shape, halos[views[v].root]),
                _ => Map::blocked(shape, halos[views[v].root]),
            }
        })
        .collect();
    let lives = lives(all, &views);
    let space = |root: ValueId| match lives[root] {
        Some([_, last]) if last >= split && split < plan.steps.len() => Space::Shared,
        _ => Space::Local,
    };
    let roots = |of: Space| (0..plan.shapes.len()).filter(|&v| views[v].root == v && space(v) == of).collect();
    let mut offsets = vec![0; plan.shapes.len()];
    let local = arrange(roots(Space::Local), &lives, |v| maps[v].floats(), &mut offsets);
    let shared = arrange(roots(Space::Shared), &lives, |v| maps[v].floats() * batch, &mut offsets);
    let operands = (0..plan.shapes.len())
        .map(|v| {
            let View { root, block } = views[v];
            // A view has its root's geometry, its own channels.
            let map = Map { channels: maps[v].channels, ..maps[root] };
            Operand { map, space: space(root), offset: offsets[root] + block * map.block, image: maps[root].floats() }
        })
        .collect();
    MemoryPlan { operands, done, local, shared }
}

/// An image that only dense convolutions read needs no blocks of its own.
pub(super) fn is_planar(all: &Rewritten) -> bool {
    let dense = |layer: &Layer| matches!(layer, Layer::Conv { conv, residual: false, .. } if conv.groups == 1);
    let shape = &all.plan.shapes[0];
    shape.len() == 3 && shape[0] <= PLANAR && all.readers().all(|s| !s.inputs.contains(&0) || dense(&s.layer))
}

/// Finds values that can be parts of others: those concatenated or sliced at whole blocks,
/// and vectors made of maps of one pixel. Later steps come first, so that a concatenation of
/// concatenations (DenseNet's) becomes one long map.
fn views(all: &Rewritten) -> (Vec<View>, Vec<bool>) {
    let plan = &all.plan;
    let mut views: Vec<Option<View>> = vec![None; plan.shapes.len()];
    let mut done = all.idle.clone();
    for (i, step) in plan.steps.iter().enumerate().rev() {
        if matches!(step.layer, Layer::Concat) && !all.idle[i] && !all.scattered[i] {
            done[i] = join(plan, &step.inputs, step.output, &mut views);
        }
    }
    for (i, step) in plan.steps.iter().enumerate().filter(|&(i, _)| !all.idle[i] && !all.scattered[i]) {
        let input = step.inputs[0];
        let of_input = views[input].unwrap_or(View { root: input, block: 0 });
        let block = match step.layer {
            Layer::Slice { start, .. } if start % LANES == 0 => start / LANES,
            Layer::Flatten if as_map(&plan.shapes[input])[1..] == [1, 1] => 0,
            _ => continue,
        };
        if views[step.output].is_none() && (input != 0 || plan.shapes[0].len() != 3) {
            views[step.output] = Some(View { root: of_input.root, block: of_input.block + block });
            done[i] = true;
        }
    }
    let views = views.into_iter().enumerate().map(|(v, view)| view.unwrap_or(View { root: v, block: 0 })).collect();
    (views, done)
}

/// Makes a concatenation's inputs parts of its output, all or none.
fn join(plan: &Plan, inputs: &[ValueId], output: ValueId, views: &mut [Option<View>]) -> bool {
    let lengths = inputs.iter().map(|&v| as_map(&plan.shapes[v])[0]);
    let starts: Vec<usize> = lengths.scan(0, |end, len| Some(std::mem::replace(end, *end + len))).collect();
    if starts.iter().any(|s| s % LANES != 0) || inputs.contains(&0) {
        return false;
    }
    // An input that has a place already fixes the place of the whole.
    let placed = inputs.iter().zip(&starts).find_map(|(&v, s)| views[v].map(|view| (view, s / LANES)));
    let whole = match (views[output], placed) {
        (Some(whole), _) => whole,
        (None, Some((part, start))) if part.block >= start => View { root: part.root, block: part.block - start },
        (None, Some(_)) => return false,
        (None, None) => View { root: output, block: 0 },
    };
    let wanted: Vec<View> = starts.iter().map(|s| View { root: whole.root, block: whole.block + s / LANES }).collect();
    let repeated = inputs.iter().enumerate().any(|(i, v)| inputs[..i].contains(v));
    // A value without a place may get one. Unless `whole` is new, its space may belong to another
    // value: then all must fit already.
    let fits = |(&v, want): (&ValueId, &View)| views[v].is_none_or(|has| has == *want);
    let adopts = placed.is_some() && views[output].is_none() && inputs.iter().any(|&v| views[v].is_none());
    if repeated || adopts || !inputs.iter().zip(&wanted).all(fits) {
        return false;
    }
    views[output] = Some(whole);
    inputs.iter().zip(wanted).for_each(|(&v, want)| views[v] = Some(want));
    true
}

/// The widest padding that any reader of a storage asks for. Pools cut their windows themselves.
fn halos(all: &Rewritten, views: &[View]) -> Vec<[usize; 4]> {
    let mut halos = vec![[0; 4]; all.plan.shapes.len()];
    for step in all.readers() {
        if let Layer::Conv { conv, .. } = &step.layer {
            let halo = &mut halos[views[step.inputs[0]].root];
            halo.iter_mut().zip(conv.padding).for_each(|(h, p)| *h = (*h).max(p));
        }
    }
    halos
}

/// First and last step that touch each storage. A tap of the last steps lives on to the end; an
/// earlier one is copied out before.
fn lives(all: &Rewritten, views: &[View]) -> Vec<Option<[usize; 2]>> {
    let plan = &all.plan;
    let mut lives: Vec<Option<[usize; 2]>> = vec![None; plan.shapes.len()];
    let mut touch = |value: ValueId, step: usize| {
        let life = lives[views[value].root].get_or_insert([step, step]);
        *life = [life[0].min(step), life[1].max(step)];
    };
    touch(0, 0);
    for (i, step) in plan.steps.iter().enumerate().filter(|&(i, _)| !all.idle[i]) {
        step.inputs.iter().chain([&step.output]).for_each(|&v| touch(v, i));
    }
    plan.taps.iter().for_each(|&v| touch(v, plan.steps.len()));
    lives
}
