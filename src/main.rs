//! The `headstart` command: arguments in, one exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(feature = "cuda")]
    // SAFETY: nothing has run yet: this is the only thread, and no library is in use.
    unsafe {
        headstart::engine::without_tf32();
    }
    headstart::cli::main(std::env::args_os())
}
