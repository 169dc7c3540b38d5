//! Tokens of instruction sets that no CPU of this architecture has: types without a value, so that
//! code for them cannot run.

macro_rules! absent {
    ($($(#[$attribute:meta])* $name:ident),* $(,)?) => {
        $(
            $(#[$attribute])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub enum $name {}

            impl $name {
                /// No token: no CPU of this architecture has the instructions.
                pub fn detect() -> Option<Self> {
                    None
                }
            }
        )*
    };
}

#[cfg(not(target_arch = "aarch64"))]
absent! {
    /// Token for Arm's Advanced SIMD.
    Neon,
}

#[cfg(not(target_arch = "x86_64"))]
absent! {
    /// Token for AVX2 with FMA.
    Avx2,
    /// Token for AVX-512.
    Avx512,
    /// Token for AMX.
    Amx,
}

/// Configured AMX tiles.
#[cfg(not(target_arch = "x86_64"))]
#[derive(Debug)]
pub enum Tiles {}

#[cfg(not(target_arch = "x86_64"))]
impl Amx {
    /// The token for AVX-512, which AMX stands on.
    pub fn vectors(self) -> Avx512 {
        match self {}
    }

    /// Configures this thread's tiles.
    pub fn tiles(self, _rows: usize) -> Tiles {
        match self {}
    }
}

#[cfg(not(target_arch = "x86_64"))]
impl Tiles {
    /// The token for AMX.
    pub fn amx(&self) -> Amx {
        match *self {}
    }
}
