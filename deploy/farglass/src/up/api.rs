//! Control's REST API as `farglass up` uses it: health, login, devices, links.
//!
//! One of many clients of that API: it sees nothing that a person with the same login would not see.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::{Client, Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

/// An answer takes milliseconds; a service that is silent for this long is not well, and the caller decides.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A client of control at one address.
pub(crate) struct Api {
    client: Client,
    at: SocketAddr,
    bearer: Option<String>,
}

/// Readiness of the whole, as `GET /api/v1/health` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Health {
    /// Nobody answers yet.
    Silent,
    /// Answers, and says what is missing (the body, for the person).
    Starting(String),
    Ready,
}

/// A device as control lists it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Device {
    pub(crate) id: String,
    /// The name that the agent was given for it.
    pub(crate) name: String,
}

#[derive(Deserialize)]
struct Page<T> {
    items: Vec<T>,
}

#[derive(Deserialize)]
struct Login {
    token: String,
}

#[derive(Deserialize)]
struct CreatedLink {
    url: String,
}

/// The fields of a problem+json answer that are meant for a person.
#[derive(Deserialize)]
struct Problem {
    code: String,
    detail: Option<String>,
}

impl Api {
    pub(crate) fn new(at: SocketAddr) -> anyhow::Result<Self> {
        // A proxy of the environment has no way to this machine's own ports.
        let client = Client::builder()
            .timeout(ANSWER_TIMEOUT)
            .no_proxy()
            .build()
            .context("no HTTP client")?;
        let bearer = None;
        Ok(Self { client, at, bearer })
    }

    pub(crate) async fn health(&self) -> Health {
        match self.send(Method::GET, "/api/v1/health", None).await {
            Err(_) => Health::Silent,
            Ok((StatusCode::OK, _)) => Health::Ready,
            Ok((_, body)) => Health::Starting(String::from_utf8_lossy(&body).into_owned()),
        }
    }

    /// True when the pages for people are there.
    pub(crate) async fn serves_pages(&self) -> anyhow::Result<bool> {
        let (status, _) = self.send(Method::GET, "/", None).await?;
        Ok(status.is_success())
    }

    /// Logs in; all later calls are the user's.
    pub(crate) async fn login(&mut self, login: &str, password: &str) -> anyhow::Result<()> {
        let body = json!({ "login": login, "password": password });
        let answer: Login = self.call(Method::POST, "/api/v1/auth/login", Some(body)).await?;
        self.bearer = Some(answer.token);
        Ok(())
    }

    pub(crate) async fn devices(&self) -> anyhow::Result<Vec<Device>> {
        let page: Page<Device> = self.call(Method::GET, "/api/v1/devices", None).await?;
        Ok(page.items)
    }

    /// Creates a link without an end and returns its address, token and all.
    pub(crate) async fn create_link(&self, device: &Device) -> anyhow::Result<String> {
        let body = json!({ "name": device.name, "device_id": device.id });
        let link: CreatedLink = self.call(Method::POST, "/api/v1/links", Some(body)).await?;
        Ok(link.url)
    }

    /// True when the link of this address can still be opened.
    pub(crate) async fn link_is_good(&self, url: &str) -> anyhow::Result<bool> {
        let Some((_, token)) = url.split_once('#') else {
            return Ok(false);
        };
        let body = json!({ "token": token });
        let (status, _) = self
            .send(Method::POST, "/api/v1/launch/describe", Some(body))
            .await?;
        Ok(status.is_success())
    }

    async fn call<T: for<'a> Deserialize<'a>>(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<T> {
        let what = format!("{method} {path}");
        let (status, body) = self.send(method, path, body).await?;
        if !status.is_success() {
            match serde_json::from_slice::<Problem>(&body) {
                Ok(Problem {
                    code,
                    detail: Some(detail),
                }) => bail!("{what}: {detail} ({code})"),
                Ok(Problem { code, detail: None }) => bail!("{what}: {code}"),
                Err(_) => bail!("{what}: {status}"),
            }
        }
        serde_json::from_slice(&body).with_context(|| format!("{what}: an answer of another shape"))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<(StatusCode, Vec<u8>)> {
        let mut request = self.client.request(method, format!("http://{}{path}", self.at));
        if let Some(bearer) = &self.bearer {
            request = request.bearer_auth(bearer);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request
            .send()
            .await
            .with_context(|| format!("{path}: no answer"))?;
        let status = answer.status();
        let body = answer
            .bytes()
            .await
            .with_context(|| format!("{path}: half an answer"))?;
        Ok((status, body.into()))
    }
}
