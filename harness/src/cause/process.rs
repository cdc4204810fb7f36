//! What programs do, and what is done to them.

use super::Cause;
use crate::evidence::FixKind::{ChangesState, NeedsRoot, Safe};
use crate::evidence::Horizon::{Long, Medium, Short};
use crate::evidence::Layer;

/// Of the layer `process`.
pub const CAUSES: &[Cause] = &[
    Cause {
        code: "process.hung_before_bind",
        layer: Layer::Process,
        title: "the server waits for something before it listens",
        explanation: "The server runs and has bound nothing: it waits for something that does not come. Its start \
                      stops at the step after the last line of its log. Typical are a log file that is a FIFO \
                      without a reader, a full pipe, a mount that does not answer, a name that is slow to resolve, \
                      or a lock that another process holds.",
        settled_by: "The process is alive and sleeps (state S), its processor time stands still, the kernel's table \
                     has no listener of it, and it never said that it is ready.",
        confounder: "process.stopped: the state is T. A busy loop: the state is R and its processor time grows. A \
                     slow start: its log goes on.",
        fixes: &[
            (Safe, "see what it waits for: /proc/PID/wchan and the last line of its log"),
            (ChangesState, "give it what it waits for (a reader for the FIFO, the mount, the lock)"),
            (ChangesState, "end it and start it with a log in an ordinary file (--log-file FILE)"),
            (NeedsRoot, "if wchan is empty, read /proc/PID/stack, or attach: strace -f -p PID"),
        ],
        later: &[
            (Short, "give the start a deadline in the service manager (Type=notify or a probe of /readyz)"),
            (Medium, "log each step of the start before it is done, so that the last line names what it waits for"),
            (Long, "bind first and do everything else after it, each step with a deadline of its own"),
        ],
        scenario: "server-hangs-before-bind",
    },
    Cause {
        code: "process.stopped",
        layer: Layer::Process,
        title: "the process is stopped",
        explanation: "The process was stopped (SIGSTOP, SIGTSTP, Ctrl-Z in its terminal, a debugger) and does \
                      nothing at all, until SIGCONT. It looks alive: the kernel still completes connections for its \
                      listener and acknowledges what is sent, until its queues are full. No byte is ever answered, \
                      so clients time out instead of being refused.",
        settled_by: "The state in /proc/PID/stat is T (t under a debugger), while connections complete at once and \
                     nothing is answered.",
        confounder: "A deadlock has state S and a busy loop state R; tcp.accept_queue_full refuses or drops \
                     connections while the process runs.",
        fixes: &[
            (Safe, "look who stopped it: TracerPid in /proc/PID/status names a debugger, T without one is a signal"),
            (ChangesState, "let it go on: kill -CONT PID (clients that timed out have to connect again)"),
        ],
        later: &[
            (Short, "run servers under a service manager and not in the background of a terminal"),
            (Medium, "watch the server with a probe that waits for an answer, not only for a connection"),
            (Long, "use a watchdog (WatchdogSec= in systemd) that restarts a server that says nothing"),
        ],
        scenario: "server-stopped",
    },
    Cause {
        code: "process.crashed",
        layer: Layer::Process,
        title: "the process crashed",
        explanation: "The kernel ended the process because of what it did itself: an access to memory that is not \
                      its own (SIGSEGV, SIGBUS), an instruction that the processor does not have (SIGILL), or its \
                      own call of abort (SIGABRT). All of its connections end at that moment, and its ports are \
                      free. What clients report after that is only the consequence.",
        settled_by: "It ended by SIGSEGV, SIGBUS, SIGILL, SIGFPE or SIGABRT, and the harness sent no such signal.",
        confounder: "process.killed_by_third_party: SIGKILL and SIGTERM come from others. A panic in Rust ends with \
                     exit code 101 and a message, unless it was built to abort.",
        fixes: &[
            (Safe, "read the last lines of its log and stderr; coredumpctl info shows the stack if a core was kept"),
            (ChangesState, "start it again; if it crashes at once, go back to the version before"),
        ],
        later: &[
            (Short, "keep cores (coredumpctl or ulimit -c unlimited) and debug symbols of what is deployed"),
            (Medium, "reproduce it under a debugger or a sanitizer, and keep what provoked it as a test"),
            (Long, "let a service manager restart the server, and alert on every restart"),
        ],
        scenario: "server-crashes",
    },
    Cause {
        code: "process.killed_by_third_party",
        layer: Layer::Process,
        title: "somebody else ended the process",
        explanation: "The process got SIGKILL or SIGTERM from somebody who is neither the harness nor the process \
                      itself: a person, a script, a service manager or a cleanup job. SIGKILL leaves no time to say \
                      anything, so its log just stops; a server that handles SIGTERM says so and drains. Clients see \
                      their connections cut and are refused when they try again.",
        settled_by: "It ended by SIGKILL or SIGTERM, or its log tells of a SIGTERM (server.draining), no signal of \
                     that time is in the harness's own record, and the memory limit of its cgroup was not hit \
                     (oom_kill in memory.events has not grown).",
        confounder: "process.killed_by_oom: oom_kill has grown. The harness's own signals are in its record, with \
                     their time.",
        fixes: &[
            (Safe, "find the sender: the journal of the service manager, cron and shell histories around that second"),
            (ChangesState, "start the server again"),
            (
                NeedsRoot,
                "catch the next one: auditctl -a always,exit -F arch=b64 -S kill -F a1=9, then ausearch -sc kill",
            ),
        ],
        later: &[
            (Short, "let a service manager own the server and restart it, so that one signal is no outage"),
            (Medium, "let scripts end processes by the id that they started, never by name (pkill, killall)"),
            (Long, "run the server as a user of its own, so that only root and itself can signal it"),
        ],
        scenario: "server-killed",
    },
    Cause {
        code: "process.blocked_on_io",
        layer: Layer::Process,
        title: "the process waits for a device",
        explanation: "The process is in state D: it waits in the kernel for a disk, a network file system or a driver, and not even \
                      SIGKILL reaches it until that ends. Connections to its listener are completed by the kernel all the \
                      same, and nobody answers. A moment of it is normal; seconds mean a device or a server behind a mount \
                      that does not answer.",
        settled_by: "The state in /proc/PID/stat is D and stays so, and wchan names where it waits.",
        confounder: "process.stopped: state T. A short wait for a busy disk is state D too, and over at the next look.",
        fixes: &[
            (
                Safe,
                "look again, and where it waits: cat /proc/PID/wchan; dmesg tells of disks and mounts that do not answer",
            ),
            (ChangesState, "bring back what it waits for (the file server, the disk, the network to it)"),
            (NeedsRoot, "read its stack: cat /proc/PID/stack; umount -l frees a mount whose server is gone"),
        ],
        later: &[
            (Short, "mount network file systems with soft or a short timeout where that is safe"),
            (Medium, "do file work in threads of its own, so that the accept loop never waits for a disk"),
        ],
        scenario: "",
    },
];
