//! Sidetone's harness: launches servers and clients, looks at what the kernel, the network, the logs and the sound itself
//! say, names what is wrong with the evidence for it, and writes the report.
//!
//! | module | kind | what it is |
//! |---|---|---|
//! | [`evidence`] | pure | all that was observed, and what is concluded from it, as data |
//! | [`supervise`] | I/O | the small process between the harness and each program: nothing survives the harness |
//! | [`launch`] | I/O | programs under a supervisor, their output captured; what the system says about processes |
//! | [`sockets`] | I/O | the kernel's TCP table through two independent readers, and whether they work |
//! | [`clock`] | I/O | the two clocks of the I/O modules |
pub mod clock;
pub mod evidence;
pub mod launch;
pub mod sockets;
pub mod supervise;
