//! Activations as plain functions: the reference of every trainer.

use crate::heads::settings::choices::Activation;

impl Activation {
    /// Its value.
    pub fn of(self, z: f32) -> f32 {
        match self {
            // NaN stays NaN, which `f32::max` does not guarantee.
            Activation::Relu => {
                if z < 0.0 {
                    0.0
                } else {
                    z
                }
            }
            Activation::Gelu => 0.5 * z * (1.0 + libm::erff(z * std::f32::consts::FRAC_1_SQRT_2)),
        }
    }

    /// Its slope at `z`.
    pub fn slope(self, z: f32) -> f32 {
        match self {
            Activation::Relu => f32::from(u8::from(z > 0.0)),
            Activation::Gelu => {
                let density = (-0.5 * z * z).exp() * 0.398_942_3;
                0.5 * (1.0 + libm::erff(z * std::f32::consts::FRAC_1_SQRT_2)) + z * density
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_are_those_of_the_values() {
        for z in [-2.0f32, -0.3, 0.4, 1.7] {
            for act in [Activation::Relu, Activation::Gelu] {
                let numeric = (act.of(z + 1e-2) - act.of(z - 1e-2)) / 2e-2;
                assert!((numeric - act.slope(z)).abs() < 1e-3, "{act} {z}");
            }
        }
    }
}
