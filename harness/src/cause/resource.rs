//! What a machine has only so much of.

use super::Cause;
use crate::evidence::FixKind::{ChangesState, NeedsRoot, Safe};
use crate::evidence::Horizon::{Long, Medium, Short};
use crate::evidence::Layer;

/// Of the layer `resource`.
pub const CAUSES: &[Cause] = &[
    Cause {
        code: "resource.disk_full",
        layer: Layer::Resource,
        title: "the disk is full",
        explanation: "What the programs printed or recorded could not be written (ENOSPC): the file system of the \
                      run's files is full. Whatever is missing or cut in these files says nothing about the \
                      programs. They may have gone on as if nothing had happened, or ended because they could not \
                      log.",
        settled_by: "A write failed with ENOSPC (28), and statvfs of that folder shows no free blocks.",
        confounder: "No free inodes give the same errno (df -i); a quota gives EDQUOT, and a file system that became \
                     read-only EROFS.",
        fixes: &[
            (Safe, "write elsewhere: --out FOLDER on a disk with room"),
            (ChangesState, "free space: df -h and du -xsh show where; older runs in reports/ may go (--keep N)"),
            (NeedsRoot, "find deleted files that are still open (lsof +L1) and restart their owners"),
        ],
        later: &[
            (Short, "alert at 80 % of the disk, and rotate logs by size"),
            (
                Medium,
                "keep logs and recordings on a file system of their own, so that they cannot fill that of the system",
            ),
        ],
        scenario: "",
    },
    Cause {
        code: "resource.fd_limit",
        layer: Layer::Resource,
        title: "descriptors are used up or leaked",
        explanation: "Each connection needs a descriptor, and a process may have only so many (RLIMIT_NOFILE, often \
                      1024). At the limit accept fails with EMFILE: the kernel still completes connections, so \
                      clients are connected and then hear nothing. A server that keeps more descriptors after \
                      everybody has left than it had before leaks them, and reaches any limit sooner or later.",
        settled_by: "accept failed with EMFILE (24) and the number of open descriptors is at the limit; or, for a \
                     leak, there are more entries in /proc/PID/fd after all clients have left than before they came.",
        confounder: "process.stopped: connections complete and nobody answers, too, but its state is T and no accept \
                     fails. ENFILE is the limit of the whole machine.",
        fixes: &[
            (Safe, "see what is open: ls -l /proc/PID/fd, before a client joins and after it has left"),
            (ChangesState, "start the server again with a higher limit: ulimit -n 65536, or LimitNOFILE= in its unit"),
            (NeedsRoot, "raise it for the running process: prlimit --pid PID --nofile=65536"),
        ],
        later: &[
            (Short, "set LimitNOFILE= for what the server is meant to carry, and --max-clients below it"),
            (Medium, "close what the leak test shows: a join and a leave must leave /proc/PID/fd as it was"),
            (Long, "keep one descriptor in reserve to accept and refuse with, and alert at 80 % of the limit"),
        ],
        scenario: "out-of-descriptors",
    },
];
