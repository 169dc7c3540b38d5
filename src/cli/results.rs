//! stdout as commands see it: writing never fails there and then. The first failure is kept, and
//! decides how the program ends.

use std::io::{self, ErrorKind, Write};
use std::sync::OnceLock;

/// Why nothing more gets to stdout.
static FAILURE: OnceLock<io::Error> = OnceLock::new();

/// Results on their way to stdout.
#[derive(Debug, Clone, Copy)]
pub(super) struct Results;

impl Results {
    /// Writes one line.
    pub(super) fn line(self, text: &[u8]) {
        let mut out = io::stdout().lock();
        keep(out.write_all(text).and_then(|()| out.write_all(b"\n")));
    }

    /// Whether anybody hears what is written still: after a full disk, or when the reader has gone
    /// away (`| head`), further work is for nobody.
    pub(super) fn are_heard(self) -> bool {
        FAILURE.get().is_none()
    }

    /// Sends off what is buffered. A reader that has gone away has all that it wanted; anything
    /// else means that results are lost.
    ///
    /// # Errors
    /// The first failure of this program to write to stdout.
    pub(super) fn end(self) -> Result<(), &'static io::Error> {
        keep(io::stdout().flush());
        FAILURE.get().filter(|e| e.kind() != ErrorKind::BrokenPipe).map_or(Ok(()), Err)
    }
}

/// For writers that write through an [`io::Write`], such as CSV's.
impl Write for Results {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        keep(io::stdout().write_all(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        keep(io::stdout().flush());
        Ok(())
    }
}

fn keep(written: io::Result<()>) {
    if let Err(error) = written {
        // Later ones only repeat the first.
        let _ = FAILURE.set(error);
    }
}
