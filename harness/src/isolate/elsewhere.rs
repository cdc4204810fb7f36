//! Systems without network namespaces.

/// Always refuses.
pub(super) fn enter() -> Result<(), String> {
    Err("a network of one's own is available on Linux only".to_owned())
}
