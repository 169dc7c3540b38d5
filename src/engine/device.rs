//! Opening the device that a user asked for.

use candle_core::{Device, DeviceLocation};

use super::DeviceChoice;
use crate::{Error, Result};

/// A GPU by its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gpu {
    /// The NVIDIA GPU of this number.
    Cuda(usize),
    /// The Apple GPU.
    Metal,
}

impl Gpu {
    /// The one that this build tries by itself.
    const fn of_this_build() -> Option<Gpu> {
        match (cfg!(feature = "cuda"), cfg!(feature = "metal")) {
            (true, _) => Some(Gpu::Cuda(0)),
            (false, true) => Some(Gpu::Metal),
            _ => None,
        }
    }

    fn open(self) -> candle_core::Result<Device> {
        match self {
            Gpu::Cuda(n) => Device::new_cuda(n),
            Gpu::Metal => Device::new_metal(0),
        }
    }

    fn choice(self) -> DeviceChoice {
        match self {
            Gpu::Cuda(n) => DeviceChoice::Cuda(n),
            Gpu::Metal => DeviceChoice::Metal,
        }
    }

    fn words(self) -> String {
        match self {
            Gpu::Cuda(n) => format!("CUDA GPU {n}"),
            Gpu::Metal => "Metal GPU".into(),
        }
    }
}

/// The device in words: `cpu`, `cuda:0`, `metal`.
pub(crate) fn describe(device: &Device) -> String {
    match device.location() {
        DeviceLocation::Cpu => "cpu".into(),
        DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
        DeviceLocation::Metal { .. } => "metal".into(),
    }
}

/// Resolves `auto`: the GPU where this build can use one and one is present, else the CPU, and
/// then, if the build looked for a GPU, a line that says so. Any other choice stays as it is.
pub(crate) fn resolve(choice: DeviceChoice) -> (DeviceChoice, Option<String>) {
    match (choice, Gpu::of_this_build()) {
        (DeviceChoice::Auto, Some(gpu)) => resolve_on(gpu, Gpu::open),
        (DeviceChoice::Auto, None) => (DeviceChoice::Cpu, None),
        (other, _) => (other, None),
    }
}

fn resolve_on(gpu: Gpu, open: impl Fn(Gpu) -> candle_core::Result<Device>) -> (DeviceChoice, Option<String>) {
    match open(gpu) {
        Ok(_) => (gpu.choice(), None),
        Err(e) => (DeviceChoice::Cpu, Some(format!("no usable {} ({}): computing on the CPU", gpu.words(), one_line(&e)))),
    }
}

/// Opens the device that was asked for; `auto` as `resolve` does.
///
/// # Errors
/// A device that this build does not support or this machine does not have, with the way out.
pub fn device(choice: &DeviceChoice) -> Result<Device> {
    match resolve(*choice).0 {
        DeviceChoice::Cpu | DeviceChoice::Auto => Ok(Device::Cpu),
        DeviceChoice::Cuda(_) if !cfg!(feature = "cuda") => Err(not_built_for("cuda")),
        DeviceChoice::Cuda(n) => opened(Gpu::Cuda(n), Gpu::open),
        DeviceChoice::Metal if !cfg!(feature = "metal") => Err(not_built_for("metal")),
        DeviceChoice::Metal => opened(Gpu::Metal, Gpu::open),
    }
}

fn opened(gpu: Gpu, open: impl Fn(Gpu) -> candle_core::Result<Device>) -> Result<Device> {
    open(gpu).map_err(|e| {
        let problem = format!("no usable {} on this machine: {}", gpu.words(), one_line(&e));
        Error::setting(problem, "check its driver, or use option `device=cpu`")
    })
}

/// The first line of an error: candle adds a backtrace where one was asked for.
fn one_line(e: &candle_core::Error) -> String {
    e.to_string().lines().next().unwrap_or_default().to_string()
}

fn not_built_for(feature: &str) -> Error {
    Error::setting(
        format!("this headstart was built without {feature}"),
        format!("build it with `cargo build --release --locked --features {feature}`, or use option `device=cpu`"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(_: Gpu) -> candle_core::Result<Device> {
        Err(candle_core::Error::Msg("CUDA_ERROR_NO_DEVICE\nbacktrace".into()))
    }

    #[test]
    fn without_a_usable_gpu_auto_takes_the_cpu_and_says_so_in_one_line() {
        let (choice, note) = resolve_on(Gpu::Cuda(0), broken);
        assert_eq!(choice, DeviceChoice::Cpu);
        assert_eq!(note.unwrap(), "no usable CUDA GPU 0 (CUDA_ERROR_NO_DEVICE): computing on the CPU");
    }

    #[test]
    fn auto_takes_a_gpu_that_opens() {
        assert_eq!(resolve_on(Gpu::Cuda(0), |_| Ok(Device::Cpu)), (DeviceChoice::Cuda(0), None));
        assert_eq!(resolve_on(Gpu::Metal, |_| Ok(Device::Cpu)), (DeviceChoice::Metal, None));
        assert_eq!(resolve(DeviceChoice::Cuda(7)), (DeviceChoice::Cuda(7), None));
    }

    #[test]
    fn a_gpu_that_was_asked_for_and_is_not_there_is_unusable_input() {
        let error = opened(Gpu::Cuda(3), broken).unwrap_err();
        assert!(error.is_unusable_input(), "exit code 2");
        let text = error.to_string();
        assert!(text.contains("CUDA GPU 3") && text.contains("CUDA_ERROR_NO_DEVICE") && text.contains("option `device=cpu`"), "{text}");
    }

    #[test]
    fn devices_that_this_build_does_not_know_are_refused_with_the_way_out() {
        assert!(matches!(device(&DeviceChoice::Cpu), Ok(Device::Cpu)));
        if cfg!(not(feature = "cuda")) {
            let error = device(&DeviceChoice::Cuda(0)).unwrap_err();
            assert!(error.is_unusable_input() && error.to_string().contains("--features cuda"), "{error}");
        }
        if cfg!(not(any(feature = "cuda", feature = "metal"))) {
            assert_eq!(resolve(DeviceChoice::Auto), (DeviceChoice::Cpu, None));
            assert!(matches!(device(&DeviceChoice::Auto), Ok(Device::Cpu)));
        }
    }
}
