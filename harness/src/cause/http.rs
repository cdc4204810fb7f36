//! HTTP: pages, and who may ask. What the answer to an upgrade can mean is in [`super::upgrade`].

use super::Cause;
use crate::evidence::FixKind::{ChangesState, Safe};
use crate::evidence::Horizon::{Long, Medium, Short};
use crate::evidence::Layer;

/// Of the layer `http`.
pub const CAUSES: &[Cause] = &[
    Cause {
        code: "http.blocked_by_browser_policy",
        layer: Layer::Http,
        title: "the page's own policy forbids its WebSocket",
        explanation: "The browser loaded the page and then refused to open the WebSocket by itself: the \
                      Content-Security-Policy that came with the page does not allow that address (connect-src), or \
                      a page from https:// asked for ws:// (mixed content). Not one packet of the attempt reached \
                      the server. Mostly a proxy in front adds a policy of its own, and its default-src covers what \
                      it forgot to name.",
        settled_by: "The browser reports the violated directive and the address it blocked, the server has no \
                     request for the upgrade, and clients that are no browsers join over the same port.",
        confounder: "tcp.refused: the attempt leaves the browser and the kernel refuses it. http.forbidden: the \
                     request reaches the server, and the server says 403.",
        fixes: &[
            (
                Safe,
                "compare the policy that the browser got with the server's own: curl -sI http://HOST:PORT/ with and without the proxy",
            ),
            (
                ChangesState,
                "let the proxy pass the server's Content-Security-Policy, or add connect-src 'self' to its own",
            ),
        ],
        later: &[
            (Short, "set the policy in one place only: where the page comes from"),
            (Medium, "open the page with a real browser in the checks of each deployment, not only with curl"),
        ],
        scenario: "browser-page-policy",
    },
    Cause {
        code: "http.forbidden",
        layer: Layer::Http,
        title: "the server refuses who asks",
        explanation: "The server understood the request and answered 401, 403 or 407: credentials are missing or \
                      wrong, or the page came from an origin that is not among the server's own names. Browsers say \
                      in the Origin header where a page is from, and the check keeps pages of strangers from using a \
                      visitor's browser to get into a call. It hits an honest page when the server is reached by a \
                      name it does not know, for instance behind a proxy or by an alias in DNS.",
        settled_by: "The status, and the same upgrade with another Origin or without one; in a browser the server's \
                     event http.origin_refused, which names the origin and the host that was asked for.",
        confounder: "http.blocked_by_browser_policy: no request reaches the server at all. A proxy that answers 403 \
                     itself leaves no event in the server's log.",
        fixes: &[
            (Safe, "with 401 or 407, give credentials: in the URL, or in a header with -H"),
            (Safe, "open the page by a name or address of the server itself: its ready line shows them"),
            (ChangesState, "if the name is right, start the server with --allow-origin and that origin"),
        ],
        later: &[
            (Short, "give the public name with --allow-origin wherever the server is installed"),
            (Medium, "let the proxy in front keep Host and Origin as they came"),
            (Long, "check a deployment through its public name, with a browser"),
        ],
        scenario: "browser-wrong-origin",
    },
];
