//! A thin client of the DevTools protocol: JSON commands and events over one WebSocket, sessions side by side on it.

use futures_util::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// How long the browser may take to answer a command that does not say otherwise.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// The largest message: a screenshot of a large window is some megabytes.
const MAX_MESSAGE: usize = 256 << 20;

/// A command that was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum DevtoolsError {
    /// The browser said no.
    #[error("{method}: {message}")]
    Refused {
        /// The command.
        method: String,
        /// The browser's words.
        message: String,
    },
    /// No answer.
    #[error("{method}: no answer within {} ms", after.as_millis())]
    Silent {
        /// The command.
        method: String,
        /// How long was waited.
        after: Duration,
    },
    /// The connection is gone.
    #[error("{method}: the connection to the browser is gone")]
    Gone {
        /// The command.
        method: String,
    },
}

/// An event of the browser.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Notice {
    /// The session it belongs to; none: the browser itself.
    #[serde(rename = "sessionId")]
    pub(super) session: Option<String>,
    /// Its name, for instance `Page.loadEventFired`.
    pub(super) method: String,
    /// Its fields.
    #[serde(default)]
    pub(super) params: Value,
}

#[derive(Deserialize)]
struct Answer {
    id: u64,
    #[serde(default)]
    result: Value,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
    #[serde(default)]
    data: Value,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Incoming {
    Answer(Answer),
    Notice(Notice),
}

type Waiting = BTreeMap<u64, oneshot::Sender<Result<Value, String>>>;

#[derive(Debug)]
struct Shared {
    orders: mpsc::UnboundedSender<String>,
    /// `None`: the connection is gone.
    waiting: Mutex<Option<Waiting>>,
    next: AtomicU64,
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Option<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of the browser's sessions: with the browser itself, a page or a worker.
#[derive(Clone, Debug)]
pub(super) struct Session {
    shared: Arc<Shared>,
    id: Option<String>,
}

/// Connects; gives the session with the browser itself, and all its events.
///
/// # Errors
/// Why it cannot.
pub(super) async fn connect(url: &str) -> Result<(Session, mpsc::UnboundedReceiver<Notice>), String> {
    let config = WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE)).max_frame_size(Some(MAX_MESSAGE));
    let connecting = tokio_tungstenite::connect_async_with_config(url, Some(config), true);
    let (mut socket, _) = timeout(PATIENCE, connecting)
        .await
        .map_err(|_| format!("{url}: no answer within {} s", PATIENCE.as_secs()))?
        .map_err(|error| format!("{url}: {error}"))?;
    let (orders, mut ordered) = mpsc::unbounded_channel();
    let (tell, notices) = mpsc::unbounded_channel();
    let shared = Arc::new(Shared { orders, waiting: Mutex::new(Some(BTreeMap::new())), next: AtomicU64::new(1) });
    let weak = Arc::downgrade(&shared);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                order = ordered.recv() => {
                    // no order can come any more: everybody who could give one is gone
                    let Some(order) = order else { break };
                    if socket.send(Message::text(order)).await.is_err() {
                        break;
                    }
                }
                message = socket.next() => {
                    let (Some(Ok(message)), Some(shared)) = (message, weak.upgrade()) else { break };
                    if let Message::Text(text) = message {
                        receive(&shared, &tell, text.as_str());
                    }
                }
            }
        }
        if let Some(shared) = weak.upgrade() {
            drop(shared.waiting().take()); // whoever waits hears that nothing will come
        }
    });
    Ok((Session { shared, id: None }, notices))
}

fn receive(shared: &Shared, tell: &mpsc::UnboundedSender<Notice>, text: &str) {
    match serde_json::from_str(text) {
        Ok(Incoming::Answer(answer)) => {
            let waiter = shared.waiting().as_mut().and_then(|w| w.remove(&answer.id));
            let result = answer.error.map_or(Ok(answer.result), |error| Err(error.told()));
            if let Some(waiter) = waiter {
                drop(waiter.send(result)); // who waited may have given up
            }
        }
        Ok(Incoming::Notice(notice)) => drop(tell.send(notice)), // nobody listens at the very end
        Err(_) => {}                                             // neither shape: a protocol of the future
    }
}

impl Refusal {
    fn told(self) -> String {
        match self.data.as_str() {
            Some(data) => format!("{} ({data})", self.message),
            None => self.message,
        }
    }
}

impl Session {
    /// Another session on the same connection.
    pub(super) fn attached(&self, id: &str) -> Self {
        Self { shared: Arc::clone(&self.shared), id: Some(id.to_owned()) }
    }

    /// Its name; none: the browser itself.
    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Gives a command and waits for its result, at most [`PATIENCE`].
    ///
    /// # Errors
    /// [`DevtoolsError`].
    pub(super) async fn call(&self, method: &str, params: Value) -> Result<Value, DevtoolsError> {
        self.call_within(method, params, PATIENCE).await
    }

    /// Gives a command and waits for its result.
    ///
    /// # Errors
    /// [`DevtoolsError`].
    pub(super) async fn call_within(
        &self,
        method: &str,
        params: Value,
        patience: Duration,
    ) -> Result<Value, DevtoolsError> {
        let gone = || DevtoolsError::Gone { method: method.to_owned() };
        let id = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let (tell, answer) = oneshot::channel();
        self.shared.waiting().as_mut().ok_or_else(gone)?.insert(id, tell);
        self.send(id, method, &params);
        match timeout(patience, answer).await {
            Ok(Ok(Ok(result))) => Ok(result),
            Ok(Ok(Err(message))) => Err(DevtoolsError::Refused { method: method.to_owned(), message }),
            Ok(Err(_)) => Err(gone()),
            Err(_) => {
                drop(self.shared.waiting().as_mut().and_then(|w| w.remove(&id)));
                Err(DevtoolsError::Silent { method: method.to_owned(), after: patience })
            }
        }
    }

    /// Gives a command whose result nobody needs. Commands of one session are carried out in their order.
    pub(super) fn tell(&self, method: &str, params: &Value) {
        self.send(self.shared.next.fetch_add(1, Ordering::Relaxed), method, params);
    }

    fn send(&self, id: u64, method: &str, params: &Value) {
        let mut order = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = &self.id {
            order["sessionId"] = json!(session);
        }
        drop(self.shared.orders.send(order.to_string())); // the connection is gone, and `call` says so
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// A browser that answers each message with what `reply` says.
    async fn browser(
        reply: impl Fn(Value) -> Vec<Value> + Send + 'static,
    ) -> (Session, mpsc::UnboundedReceiver<Notice>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
            while let Some(Ok(Message::Text(text))) = socket.next().await {
                for answer in reply(serde_json::from_str(&text).unwrap()) {
                    if answer.is_null() {
                        return; // closes the connection
                    }
                    socket.send(Message::text(answer.to_string())).await.unwrap();
                }
            }
        });
        connect(&url).await.unwrap()
    }

    #[tokio::test]
    async fn answers_find_their_commands_and_events_their_session() {
        let (session, mut notices) = browser(|order| {
            let id = &order["id"];
            assert_eq!(order["sessionId"], "S");
            match order["method"].as_str().unwrap() {
                "Good.one" => vec![
                    json!({"method": "Thing.happened", "sessionId": "S", "params": {"x": 1}}),
                    json!({"id": 99_999, "result": {}}),
                    json!({"strange": true}),
                    json!({"id": id, "sessionId": "S", "result": {"got": order["params"]["value"]}}),
                ],
                _ => vec![json!({"id": id, "error": {"code": -32000, "message": "No such thing", "data": "really"}})],
            }
        })
        .await;
        let session = session.attached("S");
        assert_eq!(session.call("Good.one", json!({"value": 5})).await.unwrap(), json!({"got": 5}));
        let notice = notices.recv().await.unwrap();
        assert_eq!((notice.session.as_deref(), notice.method.as_str()), (Some("S"), "Thing.happened"));
        let refused = session.call("Bad.one", json!({})).await.unwrap_err();
        assert_eq!(refused.to_string(), "Bad.one: No such thing (really)");
    }

    #[tokio::test]
    async fn silence_and_a_lost_connection_are_told_apart_and_end_the_waiting() {
        let (session, mut notices) =
            browser(|order| if order["method"] == "Go.away" { vec![Value::Null] } else { vec![] }).await;
        let patience = Duration::from_millis(20);
        let silent = session.call_within("Say.something", json!({}), patience).await.unwrap_err();
        assert_eq!(silent, DevtoolsError::Silent { method: "Say.something".to_owned(), after: patience });
        let gone = session.call("Go.away", json!({})).await.unwrap_err();
        assert_eq!(gone, DevtoolsError::Gone { method: "Go.away".to_owned() });
        assert_eq!(notices.recv().await, None);
        assert!(matches!(session.call("Any.thing", json!({})).await, Err(DevtoolsError::Gone { .. })));
    }
}
