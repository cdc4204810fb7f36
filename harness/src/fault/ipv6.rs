//! A network without IPv6.

use std::fs;

/// Where Linux switches it off, for interfaces to come and for those that are there.
const SWITCHES: [&str; 2] = ["/proc/sys/net/ipv6/conf/all/disable_ipv6", "/proc/sys/net/ipv6/conf/lo/disable_ipv6"];

/// Switches IPv6 off in the network namespace of this process, which must be a private one.
///
/// # Errors
/// Why it is still on, for instance because this process may not write there.
pub fn disable() -> Result<String, String> {
    for switch in SWITCHES {
        fs::write(switch, "1").map_err(|e| format!("write {switch}: {e}"))?;
    }
    Ok("IPv6 is switched off".to_owned())
}
