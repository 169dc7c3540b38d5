//! Minimising a smooth convex function by L-BFGS (Nocedal and Wright, *Numerical Optimization*,
//! algorithm 7.4).
//!
//! The first guess of the inverse Hessian is a diagonal one that the function itself supplies at
//! every point: with uncorrelated features that is most of the Hessian, and few steps are needed.
//! The line search looks at slopes alone: of a convex function they say all, and unlike differences
//! of values they keep their digits near the minimum.

use std::collections::VecDeque;

/// Steps that are remembered.
const MEMORY: usize = 10;
/// Steps without a smaller gradient after which f32 can do no better.
const IDLE: usize = 25;
/// Points that a line search tries at most.
const TRIES: usize = 20;

/// A function to be minimised.
pub(super) trait Convex {
    /// The gradient at a point.
    fn gradient(&mut self, point: &[f32]) -> Vec<f32>;

    /// Divides a gradient by the diagonal of the Hessian at the last point whose gradient was asked
    /// for (or what comes near it).
    fn precondition(&mut self, gradient: &mut [f32]);

    /// Whether a gradient counts as 0.
    fn is_small(&self, gradient: &[f32]) -> bool;
}

/// A step and how the gradient changed on it.
struct Pair {
    step: Vec<f32>,
    change: Vec<f32>,
    /// step · change
    product: f64,
}

/// The last steps: what they tell of a function holds for its neighbours, too.
#[derive(Default)]
pub(super) struct Memory(VecDeque<Pair>);

impl Memory {
    /// Makes it that of the function plus `curvature` · ‖x‖² / 2 over the first `count` variables.
    pub(super) fn add_curvature(&mut self, curvature: f64, count: usize) {
        for pair in &mut self.0 {
            add(&mut pair.change[..count], curvature, &pair.step[..count]);
            pair.product = dot(&pair.step, &pair.change);
        }
        self.0.retain(|pair| pair.product > 0.0);
    }
}

/// Moves a point to the minimum, in at most `most` steps; returns their number.
pub(super) fn minimise(function: &mut dyn Convex, point: &mut Vec<f32>, memory: &mut Memory, most: usize) -> usize {
    let mut gradient = function.gradient(point);
    let pairs = &mut memory.0;
    let (mut smallest, mut idle) = (f64::INFINITY, 0);
    for steps in 0..most {
        let size = dot(&gradient, &gradient);
        (smallest, idle) = if size < smallest { (size, 0) } else { (smallest, idle + 1) };
        if function.is_small(&gradient) || idle > IDLE {
            return steps;
        }
        let direction = direction(function, &gradient, pairs);
        let Some((next, next_gradient)) = search(function, point, &gradient, &direction) else { return steps };
        let step: Vec<f32> = next.iter().zip(&*point).map(|(a, b)| a - b).collect();
        let change: Vec<f32> = next_gradient.iter().zip(&gradient).map(|(a, b)| a - b).collect();
        let product = dot(&step, &change);
        if product > 0.0 {
            pairs.truncate(MEMORY - 1);
            pairs.push_front(Pair { step, change, product });
        }
        *point = next;
        gradient = next_gradient;
    }
    most
}

/// The two-loop recursion: minus the approximate inverse Hessian times the gradient.
fn direction(function: &mut dyn Convex, gradient: &[f32], pairs: &VecDeque<Pair>) -> Vec<f32> {
    let mut d: Vec<f32> = gradient.iter().map(|g| -g).collect();
    let mut shares = vec![];
    for pair in pairs {
        let share = dot(&pair.step, &d) / pair.product;
        add(&mut d, -share, &pair.change);
        shares.push(share);
    }
    function.precondition(&mut d);
    if let Some(last) = pairs.front() {
        let mut scaled = last.change.clone();
        function.precondition(&mut scaled);
        let scale = (last.product / dot(&last.change, &scaled)) as f32;
        d.iter_mut().for_each(|d| *d *= scale);
    }
    for (pair, share) in pairs.iter().zip(shares).rev() {
        let back = dot(&pair.change, &d) / pair.product;
        add(&mut d, share - back, &pair.step);
    }
    d
}

/// A point along the direction where the slope has fallen enough, with its gradient; `None` where
/// there is no way down.
fn search(function: &mut dyn Convex, point: &[f32], gradient: &[f32], direction: &[f32]) -> Option<(Vec<f32>, Vec<f32>)> {
    let start = dot(gradient, direction);
    if start >= 0.0 || !start.is_finite() {
        return None;
    }
    let (mut low, mut slope_low, mut high) = (0.0, start, None);
    let mut length = 1.0;
    for _ in 0..TRIES {
        let mut next = point.to_vec();
        add(&mut next, length, direction);
        let next_gradient = function.gradient(&next);
        let slope = dot(&next_gradient, direction);
        if slope > -0.5 * start {
            high = Some((length, slope));
        } else if slope < 0.9 * start {
            (low, slope_low) = (length, slope);
        } else {
            return Some((next, next_gradient));
        }
        length = match high {
            // Where a line through both slopes is 0, but not too near either end, nor too far.
            Some((far, slope)) => (low - slope_low * (far - low) / (slope - slope_low)).clamp(0.9 * low + 0.1 * far, 0.1 * low + 0.9 * far),
            None => (length * start / (start - slope)).clamp(2.0 * length, 10.0 * length),
        };
    }
    None
}

fn add(to: &mut [f32], factor: f64, what: &[f32]) {
    let factor = factor as f32;
    to.iter_mut().zip(what).for_each(|(a, b)| *a += factor * b);
}

/// A dot product in f64, on eight lanes so that a compiler vectorises it.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f64 {
    let ((a, rest_a), (b, rest_b)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut lanes = [0f64; 8];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..8 {
            lanes[lane] += f64::from(a[lane]) * f64::from(b[lane]);
        }
    }
    let rest: f64 = rest_a.iter().zip(rest_b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
    lanes.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Σ curvature · (x − x₀)² / 2 + Σ ln cosh(x), whose minimum is where each slope is 0.
    struct Bowl {
        curvature: Vec<f32>,
        asked: usize,
    }

    impl Convex for Bowl {
        fn gradient(&mut self, x: &[f32]) -> Vec<f32> {
            self.asked += 1;
            x.iter().zip(&self.curvature).map(|(x, c)| c * (x - 3.0) + x.tanh()).collect()
        }

        fn precondition(&mut self, gradient: &mut [f32]) {
            gradient.iter_mut().zip(&self.curvature).for_each(|(g, c)| *g /= c + 1.0);
        }

        fn is_small(&self, gradient: &[f32]) -> bool {
            gradient.iter().all(|g| g.abs() < 1e-4)
        }
    }

    #[test]
    fn a_badly_scaled_bowl_is_descended_in_few_steps() {
        let curvature: Vec<f32> = (0..101).map(|i| 10f32.powf(f32::from(i as u8) / 25.0 - 2.0)).collect();
        let mut bowl = Bowl { curvature, asked: 0 };
        let mut x = vec![-2.0; 101];
        let steps = minimise(&mut bowl, &mut x, &mut Memory::default(), 1000);
        assert!(steps < 40 && bowl.asked < 60, "{steps} steps, {} gradients", bowl.asked);
        let gradient = bowl.gradient(&x);
        assert!(bowl.is_small(&gradient));
    }
}
