//! TLS.

use super::Cause;
use crate::evidence::FixKind::{ChangesState, NeedsRoot, Safe};
use crate::evidence::Horizon::{Medium, Short};
use crate::evidence::Layer;

/// Of the layer `tls`.
pub const CAUSES: &[Cause] = &[
    Cause {
        code: "tls.plain_spoken_to_tls_port",
        layer: Layer::Tls,
        title: "TLS is spoken at this port, and the client spoke without it",
        explanation: "The client sent its request in the clear, and the server expects a TLS handshake first. Servers \
                      answer that with a TLS alert, with a 400 that says so, or by hanging up. Mostly the scheme of \
                      the address is wrong: ws:// for wss://, http:// for https://.",
        settled_by: "The port answers a ClientHello with TLS, its answer to the plain request is a TLS record, or \
                     its 400 says that the request came to a port for HTTPS.",
        confounder: "tls.tls_spoken_to_plain_port is the reverse: there the first byte of the answer to a \
                     ClientHello is not 0x16.",
        fixes: &[
            (Safe, "use the secure scheme: wss:// for ws://, https:// for http://, tls:// for tcp://"),
            (ChangesState, "if clients must speak plainly, give the server a port without TLS, on loopback only"),
        ],
        later: &[
            (Short, "let the port for plain HTTP send browsers on to https://"),
            (Medium, "keep the scheme together with host and port in one setting"),
        ],
        scenario: "",
    },
    Cause {
        code: "tls.tls_spoken_to_plain_port",
        layer: Layer::Tls,
        title: "the client spoke TLS to a port that does not",
        explanation: "The client began a TLS handshake, and what came back is no TLS: the server speaks plain HTTP, \
                      WebSocket or something else at that port. Other programs call this a wrong version number. \
                      Mostly the scheme is wrong, or TLS ends in a proxy in front and the client came past it.",
        settled_by: "The first byte of the answer to the ClientHello is not that of a TLS record, or the same port \
                     answers in a protocol without TLS.",
        confounder: "tls.version_or_cipher_mismatch: the answer is TLS, an alert or an older version of it. \
                     tls.handshake_stalled: no answer comes at all.",
        fixes: &[
            (Safe, "use the scheme without TLS: ws:// for wss://, http:// for https://, tcp:// for tls://"),
            (Safe, "if TLS is meant to be there, ask the port of the proxy that ends it"),
            (ChangesState, "configure a certificate and a key for the listener of that port"),
        ],
        later: &[(Short, "test the public address after each deployment, not only the server's own port")],
        scenario: "",
    },
    Cause {
        code: "tls.certificate_expired",
        layer: Layer::Tls,
        title: "a certificate has expired",
        explanation: "The time until which a certificate of the chain is valid has passed, so clients refuse the \
                      connection. Mostly a renewal failed for weeks without being noticed, or it worked and the \
                      server still has the old file in memory.",
        settled_by: "The notAfter of the certificate lies before the clock it was judged by, and the peer's own \
                     clock agrees with that one.",
        confounder: "time.clock_skew: our clock is ahead and by the peer's clock the certificate is valid; then \
                     several servers fail at once.",
        fixes: &[
            (Safe, "compare the served certificate with the file on the server: openssl x509 -enddate -noout -in FILE"),
            (ChangesState, "if the file is newer, reload the server; if not, renew the certificate and then reload"),
        ],
        later: &[
            (Short, "watch the date as clients see it: warn two weeks before it"),
            (Medium, "let the renewal reload the server, and test both together"),
        ],
        scenario: "",
    },
    Cause {
        code: "tls.certificate_not_yet_valid",
        layer: Layer::Tls,
        title: "a certificate is not valid yet",
        explanation: "The time from which a certificate is valid has not come by our clock, so clients refuse the \
                      connection. A new certificate looks like that to every client whose clock is behind; one that \
                      was made on a machine whose clock is ahead looks like that to all.",
        settled_by: "The notBefore of the certificate lies after the clock it was judged by, and the peer's own \
                     clock agrees with that one.",
        confounder: "time.clock_skew: our clock is behind, and by the peer's clock the certificate is valid.",
        fixes: &[
            (Safe, "compare the clocks of both machines: date -u"),
            (ChangesState, "serve the earlier certificate until then, or issue one that begins an hour before now"),
        ],
        later: &[(Short, "set the clocks of all machines from the same source (NTP)")],
        scenario: "",
    },
    Cause {
        code: "tls.name_mismatch",
        layer: Layer::Tls,
        title: "the certificate is for other names",
        explanation: "The certificate that the server shows does not have the name or the address that the client \
                      asked for. Either the client uses an alias that nobody put in the certificate, or the server \
                      shows the certificate of another site because it does not know the name.",
        settled_by: "The subject alternative names of the certificate against the host that was asked for, while the \
                     server name was sent; or the alert unrecognized_name.",
        confounder: "tls.server_name_not_sent: the right certificate comes only when a server name is sent.",
        fixes: &[
            (Safe, "use a name that the certificate has"),
            (ChangesState, "issue a certificate that has the missing name or address, and reload the server"),
            (ChangesState, "add the name to the server's configuration of virtual hosts"),
        ],
        later: &[(Short, "list every public name in one place, and issue certificates from that list")],
        scenario: "",
    },
    Cause {
        code: "tls.server_name_not_sent",
        layer: Layer::Tls,
        title: "the right certificate comes only with a server name",
        explanation: "A server with several certificates chooses by the server name that the client sends (SNI), and \
                      this client sent none: one does not send it for an address. So the server showed its default \
                      certificate or refused. With the name of the site it does what is wanted.",
        settled_by: "With a server name another certificate comes than without, and it is good for that name; or the \
                     server answers unrecognized_name although none was sent.",
        confounder: "tls.name_mismatch: the server name was sent, or the same certificate comes either way.",
        fixes: &[
            (Safe, "ask for the name instead of the address; --resolve NAME:PORT:ADDRESS keeps the address"),
            (ChangesState, "make the wanted certificate the default of that address"),
        ],
        later: &[(Medium, "let clients and health checks use names, not addresses")],
        scenario: "",
    },
    Cause {
        code: "tls.unknown_issuer",
        layer: Layer::Tls,
        title: "the certificate is signed by nobody who is trusted here",
        explanation: "The chain of certificates ends at an authority that is not among the trusted ones, or the \
                      certificate has signed itself. That is usual for servers inside a company or on a desk, whose \
                      authority has to be made known to each client. It is also what a machine in between looks like \
                      that opens TLS.",
        settled_by: "No path leads from the certificate to a trusted authority; the report says which authorities \
                     were used.",
        confounder: "tls.intermediate_missing: the certificate is good once the intermediate certificate is added.",
        fixes: &[
            (Safe, "if it is your authority, give it with --ca FILE; -k looks at the rest in spite of it"),
            (ChangesState, "serve a certificate of an authority that clients trust"),
            (NeedsRoot, "add the authority to the system's store (update-ca-certificates)"),
        ],
        later: &[
            (Short, "give the authority's certificate to all who need it in the same way"),
            (Medium, "find out whether a proxy on the way opens TLS: compare the issuer from another network"),
        ],
        scenario: "",
    },
    Cause {
        code: "tls.intermediate_missing",
        layer: Layer::Tls,
        title: "the server does not send the intermediate certificate",
        explanation: "The server sends its own certificate and not that of the authority which signed it, so clients \
                      find no path to a root they trust. Browsers often work all the same, because they fetch or \
                      remember the missing one; programs do not. Mostly the server was given cert.pem where it needs \
                      fullchain.pem.",
        settled_by: "The issuer of the server's certificate was not sent and is no trusted root, and the certificate \
                     says where its issuer's can be had.",
        confounder: "tls.unknown_issuer: the chain is complete and ends outside every store.",
        fixes: &[
            (Safe, "fetch the certificate that the server's names as its issuer, and try again with it as --ca FILE"),
            (ChangesState, "configure the full chain, the server's own certificate first (fullchain.pem), and reload"),
        ],
        later: &[(Short, "check a deployment with a program and not only with a browser")],
        scenario: "",
    },
    Cause {
        code: "tls.version_or_cipher_mismatch",
        layer: Layer::Tls,
        title: "no version or cipher of TLS in common",
        explanation: "Client and server both speak TLS and do not find a version or a cipher suite that both accept. \
                      Old servers and devices end at TLS 1.0 or 1.1, which clients of today refuse; strict servers \
                      refuse what old clients offer.",
        settled_by: "The alert protocol_version, handshake_failure or insufficient_security, or a ServerHello with \
                     an older version; a hello of 2008 shows what the server does speak.",
        confounder: "A server that wants a client certificate or a server name also answers handshake_failure.",
        fixes: &[
            (Safe, "look what the server speaks to an old hello: the report shows version, cipher and certificate"),
            (ChangesState, "allow TLS 1.2 and 1.3 with ECDHE and AES-GCM in the server's configuration"),
            (ChangesState, "put a proxy with a present TLS in front of a server that cannot be changed"),
        ],
        later: &[(Medium, "replace what speaks nothing newer than TLS 1.1 (RFC 8996)")],
        scenario: "",
    },
    Cause {
        code: "tls.alpn_mismatch",
        layer: Layer::Tls,
        title: "no application protocol in common",
        explanation: "Client and server negotiate in the handshake what is spoken after it (ALPN). A WebSocket and \
                      this probe need http/1.1, and the server takes or chooses something else, mostly h2 only. \
                      Proxies do so when they are told to speak HTTP/2 alone.",
        settled_by: "The alert no_application_protocol, or a protocol chosen that was not offered.",
        confounder: "http.upgrade_headers_lost: http/1.1 is agreed on, and the upgrade fails later.",
        fixes: &[
            (
                Safe,
                "compare what was offered with what the server takes: openssl s_client -alpn h2,http/1.1 -connect HOST:PORT",
            ),
            (ChangesState, "allow http/1.1 beside h2 at that port"),
        ],
        later: &[(Short, "test the upgrade to a WebSocket through every proxy on the way")],
        scenario: "",
    },
    Cause {
        code: "tls.client_certificate_required",
        layer: Layer::Tls,
        title: "the server wants a certificate of the client",
        explanation: "The server asks for a certificate of the client and ends the connection because none came, or \
                      not one it accepts. In TLS 1.3 that shows only after the handshake, so that programs often \
                      report a reset instead.",
        settled_by: "The server asked for a certificate in the handshake, and then answered with an alert or hung \
                     up.",
        confounder: "tls.unknown_issuer: there it is the client that does not trust the server.",
        fixes: &[
            (Safe, "give a certificate with its key: --client-cert FILE"),
            (ChangesState, "issue a certificate that the server accepts: the report shows whose it takes"),
            (ChangesState, "make the client's certificate optional on the server"),
        ],
        later: &[(Medium, "watch the dates of client certificates as well")],
        scenario: "",
    },
    Cause {
        code: "tls.handshake_stalled",
        layer: Layer::Tls,
        title: "the server accepts connections and does not shake hands",
        explanation: "The connection is there and the hello was sent, and no whole answer came in time. The program \
                      behind the port hangs, is stopped or overloaded, or big packets of its answer get lost on the \
                      way, or what is there speaks no TLS and waits for more.",
        settled_by: "TCP connects, and no ServerHello comes within the deadline.",
        confounder: "process.stopped: the process of the server is in state T. tcp.mtu_black_hole: small answers \
                     come and big ones do not.",
        fixes: &[
            (
                Safe,
                "look at the process behind the port on its own machine: sidetone-harness probe there shows its state",
            ),
            (Safe, "try again with a longer --timeout"),
            (ChangesState, "restart the server after its log was read"),
        ],
        later: &[(Medium, "watch how long handshakes take")],
        scenario: "",
    },
];
