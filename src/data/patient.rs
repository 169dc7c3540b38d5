//! Disks and networks that stumble: an image that cannot be read is asked for again before it is
//! given up.

use std::io::ErrorKind;
use std::thread::sleep;
use std::time::Duration;

use crate::{Error, Result};

/// Pauses before further tries.
const PAUSES: [Duration; 3] = [Duration::from_millis(10), Duration::from_millis(50), Duration::from_millis(200)];

/// Does it, and again a few times where the system failed at it.
///
/// # Errors
/// The last one, where the tries do not help, and at once those that no other try would mend: a
/// file that is not there or not allowed, an image that is none.
pub(crate) fn patiently<T>(read: impl Fn() -> Result<T>) -> Result<T> {
    let mut pauses = PAUSES.iter();
    loop {
        let error = match read() {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        match pauses.next() {
            Some(pause) if is_of_the_system(&error) && !is_refused(&error) => sleep(*pause),
            _ => return Err(error),
        }
    }
}

/// Whether the system could not read a file that is there: no fault of the image, and worth another
/// try in the next run.
pub(crate) fn is_of_the_system(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() != ErrorKind::NotFound)
}

fn is_refused(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == ErrorKind::PermissionDenied)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let tries = |kind: ErrorKind| {
            let count = Cell::new(0);
            let read = || -> Result<()> {
                count.set(count.get() + 1);
                Err(Error::io("read", "x.png")(kind.into()))
            };
            patiently(read).unwrap_err();
            count.get()
        };
        assert_eq!([ErrorKind::NotFound, ErrorKind::PermissionDenied, ErrorKind::TimedOut].map(tries), [1, 1, 4]);
        let count = Cell::new(0);
        let third = || {
            count.set(count.get() + 1);
            if count.get() < 3 { Err(Error::io("read", "x.png")(ErrorKind::TimedOut.into())) } else { Ok(count.get()) }
        };
        assert_eq!(patiently(third).unwrap(), 3);
    }
}
