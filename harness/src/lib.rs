//! Sidetone's harness: launches servers and clients, looks at what the kernel, the network, the logs and the sound itself
//! say, names what is wrong with the evidence for it, and writes the report.
//!
//! ```text
//! scenario.toml -> plan -> launch -> observe (logs, sockets, probes, media, resources)
//!               -> evidence.json -> diagnose -> reporters -> reports/, exit code
//! ```
//!
//! | module | kind | what it is |
//! |---|---|---|
//! | [`evidence`] | pure | all that was observed, and what is concluded from it, as data |
//! | [`cause`] | pure | the catalogue of causes |
//! | [`diagnosis`] | pure | evidence in, checks and findings out: a const table of checks |
//! | [`timeline`] | pure | one clock for what the programs logged and what the harness saw |
//! | [`report`] | pure | conclusions in, a document out: one reporter a format |
//! | [`scenario`] | I/O | TOML in, run out |
//! | [`probe`] | I/O | what a running server answers; answers to the questions of the diagnosis |
//! | [`supervise`] | I/O | the small process between the harness and each program: nothing survives the harness |
//! | [`launch`] | I/O | programs under a supervisor, their output captured; what the system says about processes |
//! | [`browser`] | I/O | a real browser as a client program |
//! | [`fault`] | I/O | what is broken on purpose, carried out |
//! | [`isolate`] | I/O | a network of one's own |
//! | [`sockets`] | I/O | the kernel's TCP table through two independent readers, and whether they work |
//! | [`clock`] | I/O | the two clocks of the I/O modules |
//! | [`cli`] | I/O | the command line and the exit codes |
pub mod browser;
pub mod cause;
pub mod cli;
pub mod clock;
pub mod diagnosis;
pub mod evidence;
pub mod fault;
pub mod isolate;
pub mod launch;
pub mod probe;
pub mod report;
pub mod scenario;
pub mod sockets;
pub mod supervise;
pub mod timeline;
