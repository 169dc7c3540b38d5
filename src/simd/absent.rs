//! Tokens of instruction sets that no CPU of this architecture has: types without a value, so that
//! code for them compiles but cannot run.

/// A type without a value. The tokens keep it private, or the compiler would report all code behind
/// them as unreachable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Never {}

macro_rules! absent {
    ($($(#[$attribute:meta])* $name:ident),* $(,)?) => {
        $(
            $(#[$attribute])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub struct $name(Never);

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
pub struct Tiles(Never);

#[cfg(not(target_arch = "x86_64"))]
impl Amx {
    /// The token for AVX-512, which AMX stands on.
    pub fn vectors(self) -> Avx512 {
        match self.0 {}
    }

    /// Configures this thread's tiles.
    pub fn tiles(self, _rows: usize) -> Tiles {
        match self.0 {}
    }
}

#[cfg(not(target_arch = "x86_64"))]
impl Avx512 {
    /// Stands for code that needs this token.
    pub fn absent(self) -> ! {
        match self.0 {}
    }
}

#[cfg(not(target_arch = "x86_64"))]
impl Tiles {
    /// Stands for code that needs configured tiles.
    pub fn absent(&self) -> ! {
        match self.0 {}
    }
}
