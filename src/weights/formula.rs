//! Weights from a formula: random-looking values that any language computes bit for bit, so that
//! goldens hold outputs only.
//!
//! For element `i` of the tensor `name`:
//!
//! ```text
//! key  = mix(fnv1a32(name) ^ mix(low32(seed) ^ mix(high32(seed))))      mix: MurmurHash3's 32-bit finaliser
//! unit = (mix(i · 0x9E3779B9 + key) >> 8) · 2⁻²⁴                        all integers modulo 2³²
//! value = low + width · unit                                            in f32, each step rounded
//! ```
//!
//! | last word of the name | low | width |
//! |---|---|---|
//! | depthwise `weight`, `[channels, 1, h, w]` | −0.5 / (h · w) | 3 / (h · w) |
//! | any other `weight` of two dimensions and more | −√(6 / fan_in), fan_in = product of all but the first | 2 · √(6 / fan_in) |
//! | `weight` of one dimension, `gamma`, `layer_scale` | 0.5 | 0.9 |
//! | `running_var` | 0.75 | 0.5 |
//! | any other | −0.05 | 0.1 |
//!
//! Depthwise kernels average more than they differentiate: with random signs they would make ReLU6
//! networks chaotic and all images alike to the last map. Other kernels are He's uniform; a batch
//! norm then keeps the mean square (E w² · E 1/v ≈ 1), so that features differ between images and
//! are neither 0 nor ∞ behind the last layer of all the torchvision families, gates and 150-layer
//! residual sums included. `tests/goldens/formula.py` is the twin.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::source::{Tensor, TensorSource, no_tensor};
use crate::Result;
use crate::graph::Parameter;

/// Raised with every change of the formula: it is part of the digest.
const VERSION: u32 = 2;

/// Values computed by one task: enough to hide its start, few enough to spread a layer over all
/// threads.
const CHUNK: usize = 1 << 16;

/// Weights computed from a seed, for any set of parameters.
#[derive(Debug, Clone)]
pub struct Formula {
    parameters: BTreeMap<String, Vec<usize>>,
    seed: u64,
}

impl Formula {
    /// Weights for these parameters; the same seed gives the same values.
    pub fn new(parameters: Vec<Parameter>, seed: u64) -> Formula {
        Formula { parameters: parameters.into_iter().map(|p| (p.name, p.shape)).collect(), seed }
    }
}

impl TensorSource for Formula {
    fn origin(&self) -> PathBuf {
        format!("random:{}", self.seed).into()
    }

    fn digest(&self) -> String {
        let mut text = format!("headstart formula {VERSION}, seed {}\n", self.seed);
        self.parameters.iter().for_each(|(name, shape)| text += &format!("{name} {shape:?}\n"));
        super::hex(&Sha256::digest(text))
    }

    fn entries(&self) -> Vec<Parameter> {
        self.parameters.iter().map(|(name, shape)| Parameter { name: name.clone(), shape: shape.clone() }).collect()
    }

    fn read(&self, name: &str) -> Result<Tensor> {
        let shape = self.parameters.get(name).ok_or_else(|| no_tensor(self, name))?;
        let (low, width) = spread(name, shape);
        let key = key(self.seed, name);
        let mut data = vec![0.0; shape.iter().product()];
        data.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, values)| {
            let start = (chunk * CHUNK) as u32;
            for (i, value) in values.iter_mut().enumerate() {
                let bits = mix(start.wrapping_add(i as u32).wrapping_mul(0x9E37_79B9).wrapping_add(key));
                *value = low + width * ((bits >> 8) as f32 * (-24f32).exp2());
            }
        });
        Ok(Tensor { shape: shape.clone(), data })
    }
}

/// Lowest value and width of the range.
fn spread(name: &str, shape: &[usize]) -> (f32, f32) {
    match name.rsplit('.').next() {
        Some("weight") if matches!(shape, [_, 1, h, w] if h * w > 1) => {
            let cells = (shape[2] * shape[3]) as f64;
            ((-0.5 / cells) as f32, (3.0 / cells) as f32)
        }
        Some("weight") if shape.len() >= 2 => {
            let fan_in = shape[1..].iter().product::<usize>().max(1);
            let bound = (6.0 / fan_in as f64).sqrt();
            (-bound as f32, (2.0 * bound) as f32)
        }
        Some("weight" | "gamma" | "layer_scale") => (0.5, 0.9),
        Some("running_var") => (0.75, 0.5),
        _ => (-0.05, 0.1),
    }
}

fn key(seed: u64, name: &str) -> u32 {
    let hash = name.bytes().fold(0x811C_9DC5_u32, |h, byte| (h ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    mix(hash ^ mix(seed as u32 ^ mix((seed >> 32) as u32)))
}

/// MurmurHash3's 32-bit finaliser.
const fn mix(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x85EB_CA6B);
    x ^= x >> 13;
    x = x.wrapping_mul(0xC2B2_AE35);
    x ^ (x >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formula(name: &str, shape: &[usize], seed: u64) -> Formula {
        Formula::new(vec![Parameter { name: name.into(), shape: shape.to_vec() }], seed)
    }

    /// Values that `tests/goldens/formula.py` printed: name, shape, seed, (index, bits of the
    /// value).
    #[allow(clippy::type_complexity)]
    const GOLDEN: &[(&str, &[usize], u64, &[(usize, u32)])] = &[
        ("features.1.conv.0.0.weight", &[32, 1, 3, 3], 0, &[(0, 0x3D4EF087), (1, 0x3DB41FC8), (287, 0xBCC29792)]),
        ("features.0.weight", &[8, 3, 3, 3], 0, &[(0, 0xBE99EBB8), (1, 0x3D9B649C), (215, 0x3EB0A595)]),
        ("layer1.0.bn1.weight", &[64], 0, &[(0, 0x3F4A1FE0), (63, 0x3F643C01)]),
        ("layer1.0.bn1.running_var", &[64], 7, &[(0, 0x3F499C74), (63, 0x3F90CB0B)]),
        ("classifier.1.bias", &[1000], 1099511627781, &[(0, 0xBD156F12), (999, 0xBCA8AFB3)]),
        ("classifier.6.weight", &[300, 1000], 1, &[(0, 0xBC0274F8), (65535, 0xBC1859E0), (65536, 0x3C1F5328), (299999, 0xBD97BFD1)]),
        ("features.1.0.layer_scale", &[96, 1, 1], 0, &[(0, 0x3F384257), (95, 0x3F035E18)]),
    ];

    #[test]
    fn values_are_those_of_the_python_twin_bit_for_bit() {
        for &(name, shape, seed, values) in GOLDEN {
            let tensor = formula(name, shape, seed).read(name).unwrap();
            assert_eq!(tensor.shape, shape);
            for &(i, bits) in values {
                assert_eq!(tensor.data[i].to_bits(), bits, "{name}[{i}] is {}", tensor.data[i]);
            }
        }
    }

    #[test]
    fn a_digest_tells_seeds_and_shapes_apart() {
        let digest = |name: &str, shape: &[usize], seed| formula(name, shape, seed).digest();
        let all = [digest("a.weight", &[2], 0), digest("a.weight", &[2], 1), digest("a.weight", &[3], 0), digest("b.weight", &[2], 0)];
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
        assert_eq!(all[0], digest("a.weight", &[2], 0));
        assert_eq!(all[0].len(), 64);
    }

    #[test]
    fn an_unknown_name_is_an_error_with_the_nearest_one() {
        let message = formula("features.0.weight", &[4], 0).read("feature.0.weight").unwrap_err().to_string();
        assert!(message.contains("holds no tensor `feature.0.weight`") && message.contains("features.0.weight"), "{message}");
    }
}
