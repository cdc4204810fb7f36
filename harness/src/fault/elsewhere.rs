//! Systems whose limits nobody else can change.

/// Always refuses.
pub fn limit(_pid: u32, _spare: u32) -> Result<String, String> {
    Err("the limits of a running process can be changed on Linux only".to_owned())
}
