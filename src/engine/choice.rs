//! The device that a user asks for.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result, nearest};

/// Where to compute: `auto`, `cpu`, `cuda`, `cuda:N` or `metal`.
///
/// ```
/// use headstart::engine::DeviceChoice;
///
/// assert_eq!("cuda:1".parse::<DeviceChoice>()?, DeviceChoice::Cuda(1));
/// assert_eq!(DeviceChoice::default().to_string(), "auto");
/// # Ok::<(), headstart::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The GPU where the build supports one and one is present, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The NVIDIA GPU of this number.
    Cuda(usize),
    /// The Apple GPU.
    Metal,
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceChoice::Auto => f.pad("auto"),
            DeviceChoice::Cpu => f.pad("cpu"),
            DeviceChoice::Cuda(n) => write!(f, "cuda:{n}"),
            DeviceChoice::Metal => f.pad("metal"),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = Error;

    fn from_str(s: &str) -> Result<DeviceChoice> {
        let ordinal = s.strip_prefix("cuda:").map(str::parse);
        match (s, ordinal) {
            ("auto", _) => Ok(DeviceChoice::Auto),
            ("cpu", _) => Ok(DeviceChoice::Cpu),
            ("cuda", _) => Ok(DeviceChoice::Cuda(0)),
            ("metal", _) => Ok(DeviceChoice::Metal),
            (_, Some(Ok(n))) => Ok(DeviceChoice::Cuda(n)),
            _ => {
                let near = nearest(s, ["auto", "cpu", "cuda", "metal"]);
                let hint = near.map_or("use auto, cpu, cuda, cuda:N or metal".into(), |n| format!("did you mean `{n}`?"));
                Err(Error::setting(format!("`{s}` is not a device"), hint))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_device_reads_back() {
        for choice in [DeviceChoice::Auto, DeviceChoice::Cpu, DeviceChoice::Cuda(0), DeviceChoice::Cuda(3), DeviceChoice::Metal] {
            assert_eq!(choice.to_string().parse::<DeviceChoice>().unwrap(), choice);
        }
        assert_eq!("cuda".parse::<DeviceChoice>().unwrap(), DeviceChoice::Cuda(0));
    }

    #[test]
    fn a_mistyped_device_names_the_nearest() {
        for (typed, meant) in [("cuad", "`cuda`"), ("metl", "`metal`"), ("cuda:x", "`cuda`")] {
            assert!(typed.parse::<DeviceChoice>().unwrap_err().to_string().contains(meant), "{typed}");
        }
    }
}
