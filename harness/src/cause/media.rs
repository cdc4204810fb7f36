//! Sound and pictures.

use super::Cause;
use crate::evidence::FixKind::{ChangesState, NeedsRoot, Safe};
use crate::evidence::Horizon::{Long, Medium, Short};
use crate::evidence::Layer;

/// Of the layer `media`.
pub const CAUSES: &[Cause] = &[
    Cause {
        code: "media.silence",
        layer: Layer::Media,
        title: "sound is sent, and silence comes out",
        explanation: "Packets of sound flow and what the listeners record is silent. Either the silence was there \
                      from the start: a microphone that is muted, not the one that is meant, or whose gain is zero \
                      delivers zeros, and they are encoded like anything else. Or there was sound on the way in and \
                      the mixer lost it: it mixes nothing, or sends nothing of what it has mixed.",
        settled_by: "The server received packets from the speaker, and the recording of every listener is below the \
                     threshold of silence. The level in the packets that came in splits the two: silent on the way \
                     in is the microphone, sound on the way in is the mixer.",
        confounder: "media.nothing_sent: no packet comes in at all. Loss on the way: the server counts packets out \
                     that the clients do not count in.",
        fixes: &[
            (
                Safe,
                "compare what came in with what went out: inbound and audio_sent in the server's session.left events",
            ),
            (Safe, "if what came in is silent already, unmute the microphone, or choose the right one"),
            (ChangesState, "let the speaker leave and join again, so that the device is opened anew"),
        ],
        later: &[
            (Short, "show every speaker the level of the own microphone, and warn when it is silent for seconds"),
            (Medium, "run the scenario call in CI, which listens for the tone of every speaker"),
        ],
        scenario: "silent-microphone",
    },
    Cause {
        code: "media.nothing_sent",
        layer: Layer::Media,
        title: "a client is in the room and sends no sound",
        explanation: "The client joined and not one packet of sound of it reached the server. It was started without \
                      a microphone (--mic none), is muted in a way that sends nothing, could not open its device, or \
                      may not use it. The others hear nothing of it, and nothing on the way is at fault.",
        settled_by: "The server's count of packets from that session is zero (inbound in session.left), while the \
                     session was up, and the client's own count of packets sent is zero as well.",
        confounder: "Loss on the way: the client counts packets out that the server does not count in. \
                     media.silence: packets come in and are silent.",
        fixes: &[
            (
                Safe,
                "see whether the client has a microphone (--mic) and may use it: device.failed in its log says why not",
            ),
            (ChangesState, "start the client again with one"),
        ],
        later: &[
            (Short, "say in the client that nothing is being sent, and why"),
            (Medium, "show in the room who has no microphone, so that nobody waits for an answer"),
        ],
        scenario: "nothing-sent",
    },
    Cause {
        code: "media.underrun_late_data",
        layer: Layer::Media,
        title: "sound came too late to be played",
        explanation: "Playback asked for samples that had not come yet: packets were later than the buffer was deep, \
                      so sound had to be made up. The way from the server stood still for a while (a loaded network, \
                      TCP that repeats a lost segment and holds back what follows, a stalled tunnel), or the sender \
                      paused. The buffer grows after that, which costs delay.",
        settled_by: "audio.underrun with the cause late-data and an empty buffer, or concealed samples that rise \
                     together with gaps in the arrival, while the callbacks of the device came on time.",
        confounder: "media.underrun_late_callback: the data was there, and the device's callback was late.",
        fixes: &[
            (
                Safe,
                "find out whether the mixer or the way was late: mixer.stats counts late ticks, ss -ti shows retransmissions",
            ),
            (ChangesState, "move to a wired network, or stop what fills the line"),
        ],
        later: &[
            (Short, "watch concealed samples and the delay of the buffer for each client, and alert on both"),
            (
                Medium,
                "give sound precedence over pictures and bulk data on the way (DSCP, fair queues such as fq_codel)",
            ),
            (Long, "carry sound over UDP, where one lost packet does not hold back the next ones"),
        ],
        scenario: "late-data",
    },
    Cause {
        code: "media.underrun_late_callback",
        layer: Layer::Media,
        title: "playback was served too late by its own machine",
        explanation: "There was sound in the buffer, and the callback that fetches it came too late: the client's \
                      process did not get the processor in time. The machine is overloaded, the process was stopped \
                      or throttled (a CPU quota, a laptop that saves power), or something in the audio thread \
                      blocks. The network is not at fault.",
        settled_by: "audio.underrun with the cause late-callback while samples were buffered; gaps in the client's \
                     callbacks with no gap in the arrival of packets.",
        confounder: "media.underrun_late_data: the callbacks came on time, and the buffer was empty.",
        fixes: &[
            (
                Safe,
                "see who uses the processor at that time: top, /proc/pressure/cpu, nr_throttled in the cgroup's cpu.stat",
            ),
            (ChangesState, "end what competes, or raise the quota of the client's cgroup"),
            (NeedsRoot, "let the audio thread run with real-time priority: rtkit, or chrt -f -p 20 TID"),
        ],
        later: &[
            (Short, "use a longer period for the device on machines that are shared"),
            (Medium, "do nothing in the audio callback that can wait: no lock, no allocation, no file"),
            (Long, "give the audio thread real-time priority by rtkit as a matter of course"),
        ],
        scenario: "late-callback",
    },
    Cause {
        code: "media.echo",
        layer: Layer::Media,
        title: "speakers hear themselves",
        explanation: "A recording holds the tone that its own client sent. Each listener should get the mix of all \
                      the others; here the own voice is left in, or mixes go to the wrong listeners. In a call \
                      people hear themselves late, which makes it hard to speak at all.",
        settled_by: "The client's own frequency is in its recording, far above the floor that the healthy mix leaves \
                     (60 dB below the heard tone).",
        confounder: "An acoustic echo comes from the loudspeaker of another participant through that one's \
                     microphone; with generated tones and no devices it cannot exist, so only the mixer is left.",
        fixes: &[
            (Safe, "check which stream each mix is made without, and to whom it is sent"),
            (ChangesState, "go back to the version of the server before the mixer was changed"),
        ],
        later: &[
            (Short, "keep a test with one tone a speaker that measures the own one in every mix"),
            (Medium, "name each mix by its listener in the code, so that it cannot go to another one"),
        ],
        scenario: "",
    },
    Cause {
        code: "media.no_video_frame",
        layer: Layer::Media,
        title: "pictures are sent, and none arrives",
        explanation: "The server received whole pictures and no client received any. The server does not pass them \
                      on, or drops every one because the queues of the receivers are never free for a picture. Sound \
                      can be perfect meanwhile, since it has a queue of its own.",
        settled_by: "pictures_received of the senders is above zero in the server's session.left events, and no \
                     client saw a whole picture; pictures_sent and pictures_dropped tell where they ended.",
        confounder: "Cameras that send nothing: pictures_received is zero. Loss on the way: pictures_sent is above \
                     zero and the client received chunks.",
        fixes: &[
            (Safe, "compare pictures_received, pictures_sent and pictures_dropped in the server's session.left events"),
            (ChangesState, "let one client leave and join again: if it sees pictures then, its queue was stuck"),
        ],
        later: &[
            (Short, "alert on a room in which pictures come in and none go out"),
            (Medium, "keep a test that compares the received picture with the sent one, for both transports"),
        ],
        scenario: "",
    },
    Cause {
        code: "media.insecure_origin",
        layer: Layer::Media,
        title: "no microphone and no sound for a page from plain HTTP",
        explanation: "Browsers hide microphone and camera from pages that came over http:// from anything but \
                      localhost: navigator.mediaDevices does not even exist there, nor do AudioWorklet and WebCodecs, \
                      which the page needs to play sound. The person can see and write, and neither hears nor is \
                      heard. No permission was refused, and none can be given.",
        settled_by: "The page is not a secure context (isSecureContext is false), its address begins with http:// \
                     and is no loopback address, and the page found no navigator.mediaDevices.",
        confounder: "media.capture_permission_denied: the page could ask, and the answer was no.",
        fixes: &[
            (Safe, "on the machine of the server open http://localhost:PORT/ instead"),
            (ChangesState, "serve the page over https://, for instance by a proxy in front that has a certificate"),
        ],
        later: &[
            (Short, "send people a link that begins with https://"),
            (Medium, "redirect http:// to https:// for every name but localhost"),
        ],
        scenario: "browser-insecure-origin",
    },
    Cause {
        code: "media.capture_permission_denied",
        layer: Layer::Media,
        title: "the browser kept the microphone from the page",
        explanation: "The page asked for the microphone and the answer was no: the person refused, had refused \
                      earlier and the browser remembers it, a policy of the organisation forbids it, or the \
                      operating system keeps the browser from the device. The person can listen, and nobody hears \
                      them. Nothing on the way is at fault.",
        settled_by: "getUserMedia ended with NotAllowedError in a secure context, and not one packet of sound was sent.",
        confounder: "media.insecure_origin: the page cannot even ask. NotFoundError: there is no microphone; \
                     NotReadableError: another program holds it.",
        fixes: &[
            (Safe, "allow the microphone for this page: the icon left of the address, then load the page again"),
            (Safe, "if the browser does not offer it, look at the privacy settings of the operating system"),
        ],
        later: &[
            (Short, "tell people before they join what the page will ask for, and why"),
            (Medium, "show in the room who has no microphone, so that nobody waits for an answer"),
        ],
        scenario: "browser-permission-denied",
    },
    Cause {
        code: "media.autoplay_blocked",
        layer: Layer::Media,
        title: "the browser keeps the page silent until somebody touches it",
        explanation: "Browsers let no page sound before the person has clicked or pressed a key in it. This one \
                      joined without either, for instance by a link that joins at once or after it was loaded anew, \
                      so its AudioContext is suspended: sound arrives, and none of it is played.",
        settled_by: "The AudioContext stayed in the state suspended while packets of sound were received, and the \
                     page's output is silent.",
        confounder: "media.silence: the context runs, and what arrives is silent. A muted tab or a speaker that is \
                     turned down cannot be seen from the page.",
        fixes: &[(Safe, "click once into the page: its banner offers just that")],
        later: &[
            (Short, "send links that open the lobby instead of links that join at once"),
            (
                Medium,
                "on machines that nobody touches, start the browser with --autoplay-policy=no-user-gesture-required",
            ),
        ],
        scenario: "browser-autoplay-locked",
    },
    Cause {
        code: "media.packets_lost",
        layer: Layer::Media,
        title: "packets of sound are lost",
        explanation: "The server numbers the packets to each listener, and some numbers never came. TCP loses \
                      nothing on the way, so they were thrown away before it: the queue to a listener holds 100 ms, \
                      and the oldest go when the listener or its line does not take them fast enough. Over UDP the \
                      network itself may drop them.",
        settled_by: "Gaps in the sequence numbers at the receiver, and audio_dropped of that session in the server's \
                     session.left event.",
        confounder: "media.receive_buffer_overflow: the receiver's own kernel dropped them. \
                     media.jitter_exceeds_buffer: no number is missing, packets were only late.",
        fixes: &[
            (Safe, "compare audio_sent and audio_dropped in the server's session.left event with what was received"),
            (Safe, "look at the line: ss -ti shows retransmissions and the send queue"),
            (ChangesState, "stop what fills the line, or lower the bitrate"),
        ],
        later: &[
            (Short, "alert on audio_dropped above zero for a listener that reads"),
            (
                Medium,
                "give sound precedence over pictures and bulk data on the way (DSCP, fair queues such as fq_codel)",
            ),
        ],
        scenario: "",
    },
    Cause {
        code: "media.jitter_exceeds_buffer",
        layer: Layer::Media,
        title: "sound comes more unevenly than the buffer evens out",
        explanation: "No packet is missing, and many came later than the buffer was deep, so sound had to be made \
                      up. The way stands still for moments and then delivers everything at once (a loaded network, \
                      TCP that repeats a lost segment, wireless), or the sender itself sends in bursts. An adaptive \
                      buffer grows after that, which costs delay.",
        settled_by: "Concealed samples while no sequence number is missing, and a jitter (RFC 3550) of the order of \
                     the buffer.",
        confounder: "media.sender_stalls: the server's own ticks are late; late_ticks in mixer.stats tell. \
                     media.packets_lost: numbers are missing.",
        fixes: &[
            (Safe, "compare late_ticks in the server's mixer.stats with the jitter that the probe measured"),
            (ChangesState, "move to a wired network, or stop what fills the line"),
        ],
        later: &[
            (Short, "watch jitter and concealed samples of each client"),
            (Medium, "raise the smallest delay of the buffer for clients on wireless networks"),
        ],
        scenario: "",
    },
    Cause {
        code: "media.sample_rate_mismatch",
        layer: Layer::Media,
        title: "sound comes back at another pitch",
        explanation: "A tone came back higher or lower than it was sent. Somewhere samples of one rate are taken for \
                      another: a device that runs at 44,100 Hz and is read as 48,000 Hz, a decoder that was made for \
                      another rate, a resampler that is missing. Voices sound too high or too low, and the stream \
                      slowly runs out of step.",
        settled_by: "The strongest frequency against the one that was sent: their ratio is that of two common rates, \
                     such as 0.919 for 44,100 and 48,000 Hz.",
        confounder: "media.format_mismatch: samples of another format or number of channels are noise, not another \
                     tone.",
        fixes: &[
            (Safe, "compare clock_rate in the hello and the welcome with what devices and codecs were opened with"),
            (ChangesState, "open the device at 48,000 Hz, or resample at one place"),
        ],
        later: &[
            (Short, "keep a test that sends a tone through and measures its frequency"),
            (Medium, "carry the rate with the samples in the types of the code"),
        ],
        scenario: "",
    },
    Cause {
        code: "media.clipping",
        layer: Layer::Media,
        title: "sound is driven into full scale",
        explanation: "Far less than full scale was sent, and what came back is cut off at full scale. A gain on the \
                      way is too high, or sounds are summed without a limiter. It sounds harsh, and nothing can \
                      repair it afterwards.",
        settled_by: "The share of samples at full scale in what came back, against the level that was sent.",
        confounder: "A microphone that is too loud clips before anything is sent: here the sent level is known.",
        fixes: &[
            (Safe, "compare the level bytes of the packets that went in and came out"),
            (ChangesState, "take the gain back, or put the limiter behind the sum"),
        ],
        later: &[
            (Short, "keep a test that measures the level of a tone through the mixer"),
            (Medium, "show people their level, and warn near full scale"),
        ],
        scenario: "",
    },
    Cause {
        code: "media.decode_errors",
        layer: Layer::Media,
        title: "packets of sound cannot be decoded",
        explanation: "Packets come in time and in order, and they are not what the agreed codec makes. The two sides \
                      do not mean the same codec or version, or bytes were changed or shifted on the way. Every \
                      packet that cannot be decoded is made up.",
        settled_by: "The count of packets that the decoder refuses, against all that came.",
        confounder: "media.packets_lost: what comes can be decoded, and some does not come.",
        fixes: &[
            (Safe, "compare codec and frame length in the hello and the welcome"),
            (ChangesState, "use client and server of the same release"),
        ],
        later: &[(Short, "count decode errors apart from losses, and alert on the first")],
        scenario: "",
    },
    Cause {
        code: "media.latency_growth",
        layer: Layer::Media,
        title: "sound comes later and later",
        explanation: "The delay from mouth to ear is larger at the end than at the beginning. More comes in than is \
                      played out: a queue without a bound, a clock that runs faster than the other, a buffer that \
                      grew and never shrinks. In minutes it becomes seconds.",
        settled_by: "Two markers in the same signal: the delay of the second against that of the first.",
        confounder: "tcp.high_latency: a long way delays the first word as much as the last.",
        fixes: &[
            (Safe, "watch the depth of the buffers: jitterBufferDelay of the client, the send queue in ss -ti"),
            (ChangesState, "let the client leave and join again, which empties every queue"),
        ],
        later: &[
            (Short, "bound every queue of sound, oldest first out"),
            (Medium, "correct the drift between clocks by resampling"),
        ],
        scenario: "",
    },
];
