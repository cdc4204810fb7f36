//! Names of operating system errors.

use crate::event::Errno;
use std::io;

/// Number and name (`EADDRINUSE`) of the system call's error; `None` for an error that no system call made.
pub fn errno(error: &io::Error) -> Option<Errno> {
    error.raw_os_error().map(of_number)
}

/// The same for a bare number.
pub fn of_number(number: i32) -> Errno {
    let known = nix::errno::Errno::from_raw(number);
    let unknown = known == nix::errno::Errno::UnknownErrno;
    let name = if unknown { format!("errno {number}") } else { format!("{known:?}") };
    Errno { number, name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_errors_have_their_names() {
        let refused = errno(&io::Error::from_raw_os_error(nix::libc::EADDRINUSE)).unwrap();
        assert_eq!(refused.name, "EADDRINUSE");
        assert_eq!(refused.number, nix::libc::EADDRINUSE);
        assert_eq!(of_number(nix::libc::EAFNOSUPPORT).name, "EAFNOSUPPORT");
        assert_eq!(of_number(9_999).name, "errno 9999");
    }

    #[test]
    fn an_error_of_our_own_has_no_number() {
        assert_eq!(errno(&io::Error::other("made up")), None);
    }
}
