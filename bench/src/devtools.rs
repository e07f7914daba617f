//! A small client of the Chrome DevTools Protocol: calls with an answer, over one WebSocket.
//!
//! ```text
//!  → {"id":7,"sessionId":"S","method":"Runtime.evaluate","params":{…}}
//!  ← {"method":"Log.entryAdded","sessionId":"S","params":{…}}         an event, at any time
//!  ← {"id":7,"sessionId":"S","result":{…}}   or  {"id":7,"error":{"code":…,"message":"…"}}
//! ```
//!
//! One owner, one call at a time: a call reads until its own answer comes, keeps the newest events
//! for who may want to know what the page complained about, and drops late answers of calls that
//! were given up. A crashed page ends a call at once instead of at its deadline. Knows the protocol's
//! envelope, and no method but the event that tells a crash. Protocol 1.3, flat sessions.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// A page of screenshots or ten minutes of frames fits; a larger message ends the connection.
const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// The newest events are kept, older ones forgotten: they only explain a failure.
const EVENTS_MAX: usize = 32;
/// A browser on the same machine answers its handshake in milliseconds, on a loaded one in seconds.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// An attached page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session(pub String);

/// Something the browser told without being asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// For example `Log.entryAdded`.
    pub method: String,
    /// As the protocol defines for the method.
    pub params: Value,
}

/// One connection to one browser.
#[derive(Debug)]
pub struct DevTools {
    socket: WebSocketStream<TcpStream>,
    last_id: u64,
    events: VecDeque<Event>,
}

impl DevTools {
    /// Connects to `ws://host:port/path`.
    ///
    /// # Errors
    /// When nobody listens there, or it is not a DevTools socket.
    pub async fn connect(url: &str) -> anyhow::Result<Self> {
        let authority = url
            .strip_prefix("ws://")
            .and_then(|rest| rest.split('/').next())
            .ok_or_else(|| anyhow!("{url} is not a ws:// address"))?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let connecting = async {
            let stream = TcpStream::connect(authority).await?;
            stream.set_nodelay(true)?;
            let (socket, _) = client_async_with_config(url, stream, Some(config)).await?;
            anyhow::Ok(socket)
        };
        let socket = timeout(CONNECT_LIMIT, connecting)
            .await
            .with_context(|| format!("{url} did not answer within {CONNECT_LIMIT:?}"))?
            .with_context(|| format!("cannot connect to {url}"))?;
        Ok(Self {
            socket,
            last_id: 0,
            events: VecDeque::new(),
        })
    }

    /// Calls a method of the browser, or of a page, and returns its result.
    ///
    /// # Errors
    /// When the method fails, takes longer than `limit`, the page crashes, or the connection ends.
    pub async fn call(
        &mut self,
        session: Option<&Session>,
        method: &str,
        params: Value,
        limit: Duration,
    ) -> anyhow::Result<Value> {
        self.last_id += 1;
        let id = self.last_id;
        let mut request = json!({ "id": id, "method": method, "params": params });
        if let Some(Session(session)) = session {
            request["sessionId"] = json!(session);
        }
        let exchange = async {
            self.socket.send(Message::text(request.to_string())).await?;
            self.answer(id).await
        };
        timeout(limit, exchange)
            .await
            .with_context(|| format!("Chromium did not answer {method} within {limit:?}"))?
            .with_context(|| format!("{method} failed"))
    }

    /// The newest events that came between answers, oldest first.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.events.iter()
    }

    async fn answer(&mut self, id: u64) -> anyhow::Result<Value> {
        loop {
            let Some(message) = self.socket.next().await else {
                bail!("Chromium closed the connection")
            };
            let Message::Text(text) = message? else { continue };
            match Incoming::parse(&text)? {
                Incoming::Answer { id: answered, result } if answered == id => {
                    return result.map_err(|message| anyhow!(message));
                }
                // The answer to a call that was given up at its deadline.
                Incoming::Answer { .. } => {}
                Incoming::Event(event) if event.method == "Inspector.targetCrashed" => {
                    bail!("the page crashed");
                }
                Incoming::Event(event) => self.keep(event),
            }
        }
    }

    fn keep(&mut self, event: Event) {
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }
}

/// One message from the browser.
#[derive(Debug, PartialEq)]
enum Incoming {
    Answer { id: u64, result: Result<Value, String> },
    Event(Event),
}

impl Incoming {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let mut message: Value = serde_json::from_str(text).context("Chromium sent no JSON")?;
        if let Some(id) = message.get("id").and_then(Value::as_u64) {
            let result = match message.get("error") {
                Some(error) => Err(error_text(error)),
                None => Ok(message["result"].take()),
            };
            return Ok(Self::Answer { id, result });
        }
        let method = message
            .get("method")
            .and_then(Value::as_str)
            .context("neither answer nor event")?;
        Ok(Self::Event(Event {
            method: method.to_owned(),
            params: message["params"].take(),
        }))
    }
}

fn error_text(error: &Value) -> String {
    let message = error
        .get("message")
        .and_then(Value::as_str)
        .unwrap_or("no reason given");
    match error.get("data").and_then(Value::as_str) {
        Some(data) => format!("{message} ({data})"),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    const LIMIT: Duration = Duration::from_secs(5);

    /// A browser of one connection: for each request it sends what `script` says. Returns the
    /// requests when the client has gone.
    async fn browser<F>(script: F) -> (String, JoinHandle<Vec<Value>>)
    where
        F: Fn(&Value) -> Vec<Value> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/devtools/browser/x", listener.local_addr().unwrap());
        let task = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
            let mut requests = Vec::new();
            while let Some(Ok(Message::Text(text))) = socket.next().await {
                let request: Value = serde_json::from_str(&text).unwrap();
                for reply in script(&request) {
                    socket.send(Message::text(reply.to_string())).await.unwrap();
                }
                requests.push(request);
            }
            requests
        });
        (url, task)
    }

    #[tokio::test]
    async fn a_call_carries_its_session_and_returns_its_result() {
        let (url, requests) =
            browser(|request| vec![json!({"id": request["id"], "result": {"value": 42}})]).await;
        let mut devtools = DevTools::connect(&url).await.unwrap();
        let session = Session("S1".to_owned());
        let result = devtools
            .call(
                Some(&session),
                "Runtime.evaluate",
                json!({"expression": "6*7"}),
                LIMIT,
            )
            .await;
        assert_eq!(result.unwrap(), json!({"value": 42}));
        drop(devtools);
        let expected = json!({
            "id": 1, "sessionId": "S1", "method": "Runtime.evaluate", "params": {"expression": "6*7"}
        });
        assert_eq!(requests.await.unwrap(), [expected]);
    }

    #[tokio::test]
    async fn events_and_late_answers_do_not_disturb_a_call() {
        let (url, _requests) = browser(|request| {
            vec![
                json!({"method": "Log.entryAdded", "params": {"n": 1}}),
                json!({"id": 9999, "result": {"late": true}}),
                json!({"id": request["id"], "result": {"mine": true}}),
            ]
        })
        .await;
        let mut devtools = DevTools::connect(&url).await.unwrap();
        let result = devtools
            .call(None, "Browser.getVersion", json!({}), LIMIT)
            .await
            .unwrap();
        assert_eq!(result, json!({"mine": true}));
        let events: Vec<&Event> = devtools.events().collect();
        assert_eq!(
            events,
            [&Event {
                method: "Log.entryAdded".to_owned(),
                params: json!({"n": 1})
            }]
        );
    }

    #[tokio::test]
    async fn only_the_newest_events_are_kept() {
        let (url, _requests) = browser(|request| {
            let mut replies: Vec<Value> = (0..EVENTS_MAX + 5)
                .map(|n| json!({"method": "E", "params": n}))
                .collect();
            replies.push(json!({"id": request["id"], "result": {}}));
            replies
        })
        .await;
        let mut devtools = DevTools::connect(&url).await.unwrap();
        devtools.call(None, "X", json!({}), LIMIT).await.unwrap();
        let first = devtools.events().next().unwrap().params.clone();
        assert_eq!((devtools.events().count(), first), (EVENTS_MAX, json!(5)));
    }

    #[tokio::test]
    async fn a_failed_call_says_which_and_why() {
        let (url, _requests) = browser(|request| {
            vec![json!({"id": request["id"], "error": {"code": -32601, "message": "'X' wasn't found"}})]
        })
        .await;
        let mut devtools = DevTools::connect(&url).await.unwrap();
        let error = devtools.call(None, "X.y", json!({}), LIMIT).await.unwrap_err();
        assert_eq!(format!("{error:#}"), "X.y failed: 'X' wasn't found");
    }

    #[tokio::test]
    async fn a_crashed_page_ends_the_call_at_once() {
        let (url, _requests) =
            browser(|_| vec![json!({"method": "Inspector.targetCrashed", "params": {}})]).await;
        let mut devtools = DevTools::connect(&url).await.unwrap();
        let error = devtools.call(None, "X.y", json!({}), LIMIT).await.unwrap_err();
        assert_eq!(format!("{error:#}"), "X.y failed: the page crashed");
    }

    #[tokio::test]
    async fn a_call_without_an_answer_ends_at_its_deadline() {
        let (url, _requests) = browser(|_| Vec::new()).await;
        let mut devtools = DevTools::connect(&url).await.unwrap();
        let error = devtools
            .call(None, "X.y", json!({}), Duration::from_millis(20))
            .await
            .unwrap_err();
        assert!(
            format!("{error:#}").starts_with("Chromium did not answer X.y within 20ms"),
            "{error:#}"
        );
    }

    #[test]
    fn what_is_neither_answer_nor_event_is_refused() {
        for text in ["", "[]", "{}", r#"{"id":"x"}"#, r#"{"method":3}"#] {
            assert!(Incoming::parse(text).is_err(), "{text}");
        }
    }
}
