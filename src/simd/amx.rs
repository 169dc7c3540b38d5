//! AMX: registers of sixteen rows of 64 bytes, and products of two of them.

use std::arch::asm;
use std::arch::x86_64::*;
use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::OnceLock;

use super::avx512::Avx512;
use super::vector::TILE_ROWS;

/// Token for AMX with products of bf16 and of int8, and for AVX-512 beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amx(Avx512);

impl Amx {
    /// The token, where the CPU has the tiles and the system lets this process use them.
    pub fn detect() -> Option<Amx> {
        static USABLE: OnceLock<bool> = OnceLock::new();
        let avx512 = Avx512::detect()?;
        USABLE.get_or_init(|| has_tiles() && granted()).then_some(Amx(avx512))
    }

    /// The token for AVX-512, which AMX stands on.
    pub fn vectors(self) -> Avx512 {
        self.0
    }

    /// Configures this thread's tiles: six of `rows` rows (sums of products and their left sides),
    /// two of sixteen.
    ///
    /// # Panics
    /// If `rows` is not one of 1 to 16, or this thread's tiles are configured already.
    pub fn tiles(self, rows: usize) -> Tiles {
        assert!((1..=TILE_ROWS).contains(&rows), "a tile has up to sixteen rows");
        assert!(!CONFIGURED.replace(true), "a thread has one configuration of tiles at a time");
        let mut all = Configuration { palette: 1, start: 0, reserved: [0; 14], bytes: [0; 16], rows: [0; 16] };
        all.bytes[..8].fill(64);
        all.rows[..6].fill(rows as u8);
        all.rows[6..8].fill(TILE_ROWS as u8);
        // SAFETY: `self` proves that the CPU has the instruction and the system allows the tile
        // state; `all` is the 64 bytes that it reads, laid out as palette 1 demands.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &all, options(nostack, readonly)) };
        Tiles(PhantomData)
    }
}

thread_local! {
    static CONFIGURED: Cell<bool> = const { Cell::new(false) };
}

/// The tiles of the thread that made this value, configured for as long as it lives: the proof that
/// tile instructions may run. Tiles are state of a thread, hence neither `Send` nor `Sync`.
#[derive(Debug)]
pub struct Tiles(PhantomData<*const ()>);

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: `Amx::tiles` configured the tiles of this very thread, and no other `Tiles` of it
        // lives.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
        CONFIGURED.set(false);
    }
}

/// The operand of `ldtilecfg`.
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start: u8,
    reserved: [u8; 14],
    bytes: [u16; 16],
    rows: [u8; 16],
}

/// Whether the CPU has tiles with products of bf16 and of int8, and the system saves their state.
fn has_tiles() -> bool {
    const BF16_TILE_INT8: u32 = 1 << 22 | 1 << 24 | 1 << 25;
    const TILE_STATE: u64 = 3 << 17;
    if !is_x86_feature_detected!("xsave") || __cpuid(0).eax < 7 {
        return false;
    }
    // SAFETY: XSAVE was detected just now, which includes that the system enabled it.
    __cpuid_count(7, 0).edx & BF16_TILE_INT8 == BF16_TILE_INT8 && unsafe { enabled() } & TILE_STATE == TILE_STATE
}

/// The extended states that the system saves.
///
/// # Safety
/// The CPU has XSAVE, and the system enabled it.
#[target_feature(enable = "xsave")]
fn enabled() -> u64 {
    // SAFETY: register 0 exists wherever XSAVE does.
    unsafe { _xgetbv(0) }
}

/// Asks Linux for the tile state (`arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)`); threads
/// inherit it.
#[cfg(target_os = "linux")]
fn granted() -> bool {
    const ARCH_PRCTL: i64 = 158;
    const REQUEST: u64 = 0x1023;
    const TILE_DATA: u64 = 18;
    let result: i64;
    // SAFETY: a system call that touches no memory of this process; the kernel clobbers rcx and
    // r11, as declared.
    unsafe {
        asm!("syscall", inlateout("rax") ARCH_PRCTL => result, in("rdi") REQUEST, in("rsi") TILE_DATA, out("rcx") _, out("r11") _,
             options(nostack));
    }
    result == 0
}

#[cfg(not(target_os = "linux"))]
fn granted() -> bool {
    false
}
