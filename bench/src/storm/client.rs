//! A client of control over HTTP: one caller with an address of his own, cookies where a test wants them, and
//! answers that tell apart what was refused from what nobody knows.
//!
//! ```text
//!   call ──┬─► Answer  { status, body, cookie, … }  control has decided
//!          ├─► Nobody                               no connection: nothing was asked
//!          ├─► Unknown                              cut while it was asked: it may have happened
//!          └─► Hung                                 no answer for 25 seconds: nobody should be left like that
//! ```
//!
//! Of several controls each call goes to the next one, and on to another where nobody listens, as a load balancer does.
//!
//! Callers stand on addresses of 127.0.0.0/8 of their own: control counts requests by address, and the people of a
//! storm are not one person.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, COOKIE, ORIGIN, RETRY_AFTER, SET_COOKIE};
use serde_json::Value;

/// One request. Control itself waits ten seconds for a host, and up to five for its turn to write before that and after
/// it; whoever waits for longer was left alone. What is judged is that, and not which of two clocks was faster.
const REQUEST_LIMIT: Duration = Duration::from_secs(25);

/// What a connection is offered as.
const SDP: &str = "application/sdp";

/// What a request brings along.
enum Content {
    Nothing,
    Json(Value),
    Sdp(String),
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Said {
    Answer(Answer),
    Nobody,
    Unknown,
    Hung,
}

impl Said {
    /// Whether nobody knows what became of it.
    pub(crate) const fn is_silence(&self) -> bool {
        !matches!(self, Self::Answer(_))
    }
}

/// What control answered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// `null` when it was no JSON.
    pub(crate) body: Value,
    /// The text, when it was no JSON.
    pub(crate) plain: String,
    /// The cookie that it set: name and value.
    pub(crate) cookie: Option<(String, String)>,
    /// Whether it says when to come again.
    pub(crate) says_when: bool,
}

impl Answer {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// A text of the body; empty when there is none.
    pub(crate) fn text(&self, field: &str) -> &str {
        self.body[field].as_str().unwrap_or_default()
    }
}

/// A caller.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    urls: Arc<[String]>,
    /// Counts calls, to take turns.
    turn: Arc<AtomicUsize>,
    bearer: Option<String>,
}

impl Client {
    /// The caller number `number` of the controls at `urls`.
    pub(crate) fn new(urls: &[String], number: u16) -> anyhow::Result<Self> {
        let [high, low] = number.to_be_bytes();
        let own = IpAddr::V4(Ipv4Addr::new(127, 1, high, low.max(1)));
        let http = reqwest::Client::builder()
            .local_address(own)
            .timeout(REQUEST_LIMIT)
            .build()?;
        Ok(Self {
            http,
            urls: urls.into(),
            turn: Arc::new(AtomicUsize::new(usize::from(number))),
            bearer: None,
        })
    }

    /// The same caller, signed in.
    pub(crate) fn signed_in(mut self, token: &str) -> Self {
        self.bearer = Some(token.to_owned());
        self
    }

    /// The same caller, who knows one control only.
    pub(crate) fn at(&self, control: usize) -> Self {
        Self {
            urls: [self.urls[control].clone()].into(),
            ..self.clone()
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Said {
        self.call(Method::GET, path, None, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Said {
        self.call(Method::POST, path, Some(body), None).await
    }

    /// Offers a connection, with the cookie that it belongs to.
    pub(crate) async fn offer(&self, path: &str, sdp: String, cookie: &(String, String)) -> Said {
        self.send(Method::POST, path, &Content::Sdp(sdp), Some(cookie))
            .await
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        cookie: Option<&(String, String)>,
    ) -> Said {
        let content = body.map_or(Content::Nothing, |body| Content::Json(body.clone()));
        self.send(method, path, &content, cookie).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        content: &Content,
        cookie: Option<&(String, String)>,
    ) -> Said {
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        for at in 0..self.urls.len() {
            let url = &self.urls[(first + at) % self.urls.len()];
            match self.send_to(url, method.clone(), path, content, cookie).await {
                Said::Nobody => {}
                said => return said,
            }
        }
        Said::Nobody
    }

    async fn send_to(
        &self,
        url: &str,
        method: Method,
        path: &str,
        content: &Content,
        cookie: Option<&(String, String)>,
    ) -> Said {
        let mut request = self.http.request(method, format!("{url}{path}"));
        if let Some(token) = &self.bearer {
            request = request.bearer_auth(token);
        }
        if let Some((name, value)) = cookie {
            request = request.header(COOKIE, format!("{name}={value}"));
        }
        request = match content {
            Content::Nothing => request,
            Content::Json(body) => request.header(ORIGIN, url).json(body),
            Content::Sdp(sdp) => request
                .header(ORIGIN, url)
                .header(CONTENT_TYPE, SDP)
                .body(sdp.clone()),
        };
        match request.send().await {
            Ok(response) => answer(response).await,
            Err(error) => silence(&error),
        }
    }
}

fn silence(error: &reqwest::Error) -> Said {
    match error {
        error if error.is_timeout() => Said::Hung,
        error if error.is_connect() => Said::Nobody,
        _ => Said::Unknown,
    }
}

async fn answer(response: reqwest::Response) -> Said {
    let status = response.status().as_u16();
    let set = response.headers().get(SET_COOKIE);
    let cookie = set.and_then(|set| set.to_str().ok()).and_then(|set| {
        let (name, rest) = set.split_once('=')?;
        Some((name.to_owned(), rest.split(';').next()?.to_owned()))
    });
    let says_when = response.headers().contains_key(RETRY_AFTER);
    match response.text().await {
        Ok(text) => {
            let (body, plain) = match serde_json::from_str(&text) {
                Ok(body) => (body, String::new()),
                Err(_) => (Value::Null, text),
            };
            Said::Answer(Answer {
                status,
                body,
                plain,
                cookie,
                says_when,
            })
        }
        Err(error) => silence(&error),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_request_that_nobody_takes_is_told_from_one_that_was_cut() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let client = Client::new(&[url], 3).unwrap();
        let served = tokio::spawn(async move {
            let (mut stream, peer) = listener.accept().await.unwrap();
            stream.read_u8().await.unwrap();
            drop(stream);
            peer.ip().to_string()
        });
        assert_eq!(client.get("/").await, Said::Unknown);
        assert_eq!(served.await.unwrap(), "127.1.0.3");
        assert_eq!(client.get("/").await, Said::Nobody);
    }

    #[tokio::test]
    async fn an_answer_brings_its_body_and_its_cookie() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_u8().await.unwrap();
            let head =
                "HTTP/1.1 202 Accepted\r\nset-cookie: name=value; Path=/\r\ncontent-length: 13\r\n\r\n";
            let whole = format!("{head}{{\"epoch\":\"7\"}}");
            stream.write_all(whole.as_bytes()).await.unwrap();
        });
        let Said::Answer(answer) = Client::new(&[url], 1).unwrap().get("/").await else {
            panic!("it was answered")
        };
        assert_eq!((answer.status, answer.text("epoch")), (202, "7"));
        assert_eq!(answer.cookie, Some(("name".to_owned(), "value".to_owned())));
    }
}
