//! Systems without a subreaper.

use super::Restrict;
use std::ffi::{OsStr, OsString};

/// Always refuses.
pub(super) fn run(_program: &OsStr, _args: impl Iterator<Item = OsString>, _restrict: Restrict) -> Result<(), String> {
    Err("not available on this system".to_owned())
}
