//! The catalogue of causes. PURE. Codes are an interface: never renamed, never reused.
//!
//! To add one: an entry in [`CAUSES`], a rule in [`crate::diagnosis::rules`] that finds it, evidence that proves the rule.

use crate::evidence::Layer;

/// What the catalogue says of one cause.
#[derive(Clone, Copy, Debug)]
pub struct Cause {
    /// `layer.kind`.
    pub code: &'static str,
    /// Its layer.
    pub layer: Layer,
    /// In a few words.
    pub title: &'static str,
    /// What it means and how it comes about.
    pub explanation: &'static str,
    /// What to do without changing anything else.
    pub remedy: &'static str,
}

/// The causes that rules can find so far.
pub const CAUSES: &[Cause] = &[
    Cause {
        code: "log.contradicts_observation",
        layer: Layer::Log,
        title: "the log claims what the kernel denies",
        explanation: "An event says that a listener is bound, and the kernel's table, read by a reader that passed its \
                      self-test, has no such socket. The kernel is right.",
        remedy: "find the code that reports before it has bound, and report the result of listen() instead",
    },
    Cause {
        code: "media.silence",
        layer: Layer::Media,
        title: "sound is sent, and silence comes out",
        explanation: "The server received packets with sound from the speakers, and every listener's recording is silent.",
        remedy: "look at the mixer: what it received is in session.left (inbound), what it sent too (audio_sent)",
    },
    Cause {
        code: "media.echo",
        layer: Layer::Media,
        title: "speakers hear themselves",
        explanation: "A recording holds the tone that its own client sent: the mix is not the mix without oneself, or \
                      mixes go to the wrong listeners.",
        remedy: "check which stream each mix is made without, and to whom it is sent",
    },
    Cause {
        code: "media.no_video_frame",
        layer: Layer::Media,
        title: "pictures are sent, and none arrives",
        explanation: "The server received whole pictures, and no client received any.",
        remedy: "compare pictures_received and pictures_sent in the server's session.left events",
    },
    Cause {
        code: "resource.disk_full",
        layer: Layer::Resource,
        title: "the disk is full",
        explanation: "What the programs printed or recorded could not be written (ENOSPC). Whatever is missing or cut in \
                      the files of this run says nothing about the programs.",
        remedy: "free space there, or write elsewhere with --out FOLDER",
    },
    Cause {
        code: "resource.fd_limit",
        layer: Layer::Resource,
        title: "descriptors are leaked or used up",
        explanation: "The server holds more descriptors after all clients have left than before they came. Each leaked \
                      one brings EMFILE on accept nearer.",
        remedy: "list /proc/PID/fd after a join and a leave, and close what is new there",
    },
];

/// The entry of a code.
pub fn by_code(code: &str) -> Option<&'static Cause> {
    CAUSES.iter().find(|c| c.code == code)
}
