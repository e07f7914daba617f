//! A browser: cookies of its own, the origin that browsers send, an event stream.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::DEADLINE;

#[derive(Clone)]
pub struct Browser {
    address: SocketAddr,
    client: reqwest::Client,
    pub cookies: BTreeMap<String, String>,
    pub bearer: Option<String>,
    /// What it sends as `Origin` with everything that changes something.
    pub origin: Option<String>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }

    /// The problem's code; panics when it is none.
    pub fn code(&self) -> String {
        assert_eq!(
            self.headers["content-type"], "application/problem+json",
            "{}",
            self.body
        );
        self.json()["code"].as_str().unwrap().to_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

impl Browser {
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            client: reqwest::Client::new(),
            cookies: BTreeMap::new(),
            bearer: None,
            origin: Some(format!("http://{address}")),
        }
    }

    /// The same browser, sent to another control by whatever stands in front.
    pub fn at(&self, address: SocketAddr) -> Self {
        let origin = Some(format!("http://{address}"));
        Self {
            address,
            origin,
            ..self.clone()
        }
    }

    /// A browser on another machine, as far as addresses go.
    pub fn from(address: SocketAddr, from: IpAddr) -> Self {
        let client = reqwest::Client::builder().local_address(from).build().unwrap();
        Self {
            client,
            ..Self::new(address)
        }
    }

    /// Opens a link, where control may be out of reach.
    pub async fn try_launch(&mut self, token: &str) -> Option<Answer> {
        self.try_post("/api/v1/launch", &json!({ "token": token })).await
    }

    /// Posts JSON, where control may be out of reach.
    pub async fn try_post(&mut self, path: &str, body: &Value) -> Option<Answer> {
        let json = [("content-type", "application/json")];
        self.try_send(Method::POST, path, &json, Some(body.to_string()))
            .await
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], None).await
    }

    pub async fn post(&mut self, path: &str, body: &Value) -> Answer {
        let json = [("content-type", "application/json")];
        self.send(Method::POST, path, &json, Some(body.to_string())).await
    }

    pub async fn launch(&mut self, token: &str) -> Answer {
        self.post("/api/v1/launch", &json!({ "token": token })).await
    }

    /// Posts JSON under an Idempotency-Key.
    pub async fn post_as(&mut self, key: &str, path: &str, body: &Value) -> Answer {
        let headers = [("content-type", "application/json"), ("idempotency-key", key)];
        self.send(Method::POST, path, &headers, Some(body.to_string()))
            .await
    }

    /// Opens a link, and is let in. Returns the session.
    pub async fn opens(&mut self, token: &str) -> String {
        let launched = self.launch(token).await;
        let state = launched.json();
        let session = state["session_id"].as_str();
        session
            .unwrap_or_else(|| panic!("no session: {}", launched.body))
            .to_owned()
    }

    /// Opens a link and waits until its device is ready. Returns the session.
    pub async fn ready(&mut self, token: &str) -> String {
        let session = self.opens(token).await;
        self.events(&session).await.until("ready").await;
        session
    }

    /// The session as its holder sees it.
    pub async fn current(&mut self, session: &str) -> Value {
        let path = format!("/api/v1/launch/current?session={session}");
        self.get(&path).await.json()
    }

    /// Waits until the session's lease is in this state.
    pub async fn lease_is(&mut self, session: &str, state: &str) {
        let is = async { while self.current(session).await["lease_state"] != state {} };
        tokio::time::timeout(DEADLINE, is)
            .await
            .unwrap_or_else(|_| panic!("the lease is never {state}"));
    }

    /// Gives the device back.
    pub async fn end(&mut self, session: &str) -> Answer {
        self.post("/api/v1/launch/end", &json!({ "session_id": session }))
            .await
    }

    pub async fn offer(&mut self, session: &str) -> Answer {
        let sdp = [("content-type", "application/sdp")];
        self.send(
            Method::POST,
            &format!("/whep/{session}"),
            &sdp,
            Some(OFFER.to_owned()),
        )
        .await
    }

    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> Answer {
        self.try_send(method, path, headers, body)
            .await
            .expect("control answers")
    }

    async fn try_send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> Option<Answer> {
        let mut response = self.try_open(method, path, headers, body).await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        for cookie in headers.get_all("set-cookie") {
            let (name, value) = cookie.to_str().unwrap().split_once('=').unwrap();
            self.cookies
                .insert(name.to_owned(), value.split(';').next().unwrap().to_owned());
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.ok()? {
            bytes.extend_from_slice(&chunk);
        }
        Some(Answer {
            status,
            headers,
            body: String::from_utf8_lossy(&bytes).into_owned(),
        })
    }

    /// Follows a session's events.
    pub async fn events(&self, session: &str) -> Events {
        let path = format!("/api/v1/launch/events?session={session}");
        let response = self.open(Method::GET, &path, &[], None).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Events {
            response,
            buffer: String::new(),
        }
    }

    async fn open(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> reqwest::Response {
        let response = self.try_open(method, path, headers, body).await;
        response.expect("control answers")
    }

    async fn try_open(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> Option<reqwest::Response> {
        let mut all = HeaderMap::new();
        if let Some(origin) = self.origin.as_ref().filter(|_| method != Method::GET) {
            all.insert("origin", HeaderValue::from_str(origin).unwrap());
        }
        if !self.cookies.is_empty() {
            let cookies: Vec<_> = self
                .cookies
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            all.insert("cookie", HeaderValue::from_str(&cookies.join("; ")).unwrap());
        }
        if let Some(token) = &self.bearer {
            all.insert(
                "authorization",
                HeaderValue::from_str(&format!("Bearer {token}")).unwrap(),
            );
        }
        for (name, value) in headers {
            all.insert(
                name.parse::<HeaderName>().unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        let url = format!("http://{}{path}", self.address);
        let request = self
            .client
            .request(method, url)
            .headers(all)
            .body(body.unwrap_or_default());
        request.send().await.ok()
    }
}

pub struct Events {
    response: reqwest::Response,
    buffer: String,
}

impl Events {
    /// The next state, or none at the end of the stream.
    pub async fn next(&mut self) -> Option<Value> {
        // Of the whole wait: a silent stream says every few seconds that it is alive.
        let deadline = tokio::time::Instant::now() + DEADLINE;
        loop {
            if let Some((event, rest)) = self.buffer.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.buffer = rest;
                let data = event.lines().find_map(|line| line.strip_prefix("data: "));
                if let Some(data) = data {
                    assert!(event.lines().any(|line| line == "event: state"), "{event}");
                    return Some(serde_json::from_str(data).unwrap());
                }
                continue;
            }
            let chunk = tokio::time::timeout_at(deadline, self.response.chunk())
                .await
                .expect("an event in time");
            self.buffer.push_str(&String::from_utf8_lossy(&chunk.unwrap()?));
        }
    }

    /// Reads on until a state has this stage.
    pub async fn until(&mut self, stage: &str) -> Value {
        loop {
            let state = self
                .next()
                .await
                .unwrap_or_else(|| panic!("the stream ended before {stage}"));
            if state["stage"] == stage {
                return state;
            }
        }
    }
}

pub const OFFER: &str = "v=0\r\na=fingerprint:sha-256 AB:CD\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n\
    a=rtpmap:96 H264/90000\r\n";
