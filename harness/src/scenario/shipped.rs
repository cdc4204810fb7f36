//! The scenarios in this binary.

macro_rules! scenarios {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../../fixtures/scenarios/", $name, ".toml")))),+]
    };
}

/// Calls that must be well: name and text of each, in the order of `run --list`.
pub const CALLS: &[(&str, &str)] = scenarios!["call", "call-speech", "call-browser"];

/// What is broken on purpose, with the cause that must be found. Together they are the group [`FAULTS_NAME`].
pub const FAULTS: &[(&str, &str)] = scenarios![
    "websocket-port-held",
    "websocket-port-outgoing",
    "websocket-port-time-wait",
    "tcp-port-held",
    "wildcard-conflict",
    "bound-not-listening",
    "privileged-port",
    "address-not-local",
    "ipv6-disabled",
    "ephemeral-range-exhausted",
    "out-of-descriptors",
    "fallback-port",
    "strict-port",
    "server-killed-early",
    "server-crashes",
    "server-killed",
    "server-hangs-before-bind",
    "server-stopped",
    "no-server",
    "claims-to-listen",
    "mdns-claims-only",
    "silent-microphone",
    "nothing-sent",
    "still-filling",
    "late-data",
    "late-callback",
    "receive-only-client",
    "browser-page-policy",
    "browser-wrong-origin",
    "browser-websocket-refused",
    "browser-insecure-origin",
    "browser-permission-denied",
    "browser-autoplay-locked",
];

/// All of [`FAULTS`], where a scenario is named.
pub const FAULTS_NAME: &str = "faults";

/// Run when no scenario is named.
pub const DEFAULT: &str = "call";

/// All shipped scenarios.
pub fn all() -> impl Iterator<Item = (&'static str, &'static str)> + Clone {
    CALLS.iter().chain(FAULTS).copied()
}
