//! A house whose agent can be killed: control and the devices live in the test, the agent is the program.
//!
//! ```text
//!   test: control ◄═ QUIC ═ farglass agent (SIGKILL, start again on its folder) ═ wire ═► device × N
//!           ▲ HTTP                                                                           ▲
//!   admin, persons: one address each                         the eye: adb, beside the wire ──┘
//! ```
//!
//! It knows what control's answers look like, and not what is left on devices.

use std::fs::OpenOptions;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use adb::Host;
use control::proxies::Proxies;
use control::{Config, Control};
use reqwest::header::{COOKIE, ORIGIN, SET_COOKIE};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::Child;
use tokio::time::{Instant, interval};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::running::{DEADLINE, farglass};
use crate::wire::Wire;

/// How often control is asked again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const SCRCPY: &str = "4.1";

/// A device and the wire to it.
pub(crate) struct Phone {
    pub(crate) wire: Wire,
    /// Sees the device whoever is dead.
    pub(crate) eye: Host,
    _stop: DropGuard,
}

impl Phone {
    async fn start(name: &str, made_ready_by: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let adb = listener.local_addr().unwrap();
        let config = device::Config {
            adb,
            name: name.to_owned(),
            width: 360,
            height: 640,
            fps: 30,
            boot: device::Boot::default(),
        };
        let stop = CancellationToken::new();
        tokio::spawn(device::serve(listener, config, stop.clone()));
        let eye = Host::connect(adb).await.unwrap();
        let made = eye.shell(made_ready_by).await.unwrap();
        assert_eq!(made.exit, Some(0), "{made:?}");
        Self {
            wire: Wire::before(adb).await,
            eye,
            _stop: stop.drop_guard(),
        }
    }
}

/// Somebody on a device.
pub(crate) struct Person {
    link: String,
}

/// The house.
pub(crate) struct House {
    pub(crate) phones: Vec<Phone>,
    ids: Vec<String>,
    agent: Option<Child>,
    url: String,
    admin: reqwest::Client,
    bearer: String,
    folder: TempDir,
    _stop: DropGuard,
}

impl House {
    /// With so many devices, which their operator has made ready by these commands.
    pub(crate) async fn start(devices: usize, made_ready_by: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stop = CancellationToken::new();
        let config = Config {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            data: folder.path().join("control"),
            database: None,
            read_timeout: control::READ_TIMEOUT,
            public_url: None,
            proxies: Proxies::default(),
            join_token_file: Some(folder.path().join("token")),
        };
        let control = Control::open(config, stop.clone()).await.unwrap();
        let url = format!("http://{}", control.address().unwrap());
        tokio::spawn(control.serve());
        let mut phones = Vec::new();
        for number in 0..devices {
            phones.push(Phone::start(&name(number), made_ready_by).await);
        }
        std::fs::write(folder.path().join("server"), device::stand_in_server(SCRCPY)).unwrap();
        let mut house = Self {
            phones,
            ids: Vec::new(),
            agent: None,
            url,
            admin: reqwest::Client::new(),
            bearer: String::new(),
            folder,
            _stop: stop.drop_guard(),
        };
        house.start_agent();
        house.sign_in().await;
        house.all_come().await;
        for number in 0..devices {
            assert_eq!(house.free(number).await, None);
        }
        house
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the agent, for the first time or again.
    pub(crate) fn start_agent(&mut self) {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path("log"));
        let mut agent = farglass("agent");
        agent
            .args(["--control", self.url.trim_start_matches("http://")])
            .args(["--media", "127.0.0.1:0", "--scrcpy-version", SCRCPY])
            .arg("--join-token-file")
            .arg(self.path("token"))
            .arg("--scrcpy-server")
            .arg(self.path("server"))
            .arg("--data")
            .arg(self.path("agent"));
        for (number, phone) in self.phones.iter().enumerate() {
            let device = format!("{}={}", name(number), phone.wire.address);
            agent.args(["--device", &device]);
        }
        let agent = agent
            .env("RUST_LOG", "info,host_agent=debug")
            .stderr(log.unwrap())
            .spawn();
        self.agent = Some(agent.unwrap());
    }

    /// Kills the agent as the kernel does that has no memory left, and cuts its wires.
    pub(crate) async fn kill_agent(&mut self) {
        let mut agent = self.agent.take().expect("it runs");
        assert_eq!(
            agent.try_wait().unwrap(),
            None,
            "it ended by itself: {}",
            self.log()
        );
        agent.kill().await.unwrap();
        for phone in &self.phones {
            phone.wire.cut();
        }
    }

    /// What the agents said, all of them.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap()
    }

    async fn sign_in(&mut self) {
        let login = std::fs::read(self.path("control").join(Path::new("admin.json"))).unwrap();
        let login: Value = serde_json::from_slice(&login).unwrap();
        let (status, answer) = self.post("/api/v1/auth/login", &login).await;
        assert_eq!(status, 200, "{answer}");
        self.bearer = text(&answer, "token");
    }

    /// Waits until all devices are there.
    async fn all_come(&mut self) {
        let (deadline, mut looks) = (Instant::now() + DEADLINE, interval(LOOK_AGAIN));
        loop {
            let devices = self.get("/api/v1/devices").await;
            let devices = devices["items"].as_array().unwrap();
            if devices.len() == self.phones.len() {
                let id = |number| {
                    let named = devices
                        .iter()
                        .find(|device| device["name"] == name(number).as_str());
                    text(named.expect("each is told by its name"), "id")
                };
                self.ids = (0..devices.len()).map(id).collect();
                return;
            }
            assert!(Instant::now() < deadline, "in vain: {devices:?}\n{}", self.log());
            looks.tick().await;
        }
    }

    /// Waits until the device is free and there. An operator looks after one that is quarantined; the reason is given.
    pub(crate) async fn free(&self, number: usize) -> Option<String> {
        let (path, mut quarantined) = (format!("/api/v1/devices/{}", self.ids[number]), None);
        let (deadline, mut looks) = (Instant::now() + DEADLINE, interval(LOOK_AGAIN));
        loop {
            let device = self.get(&path).await;
            let is = |field: &str, value: &str| device[field] == value;
            if is("occupancy", "free") && is("health", "healthy") {
                return quarantined;
            }
            if is("occupancy", "quarantined") {
                quarantined = Some(text(&device["quarantine"], "reason"));
                // The host may not be back yet: it is asked again.
                self.post(&format!("{path}/reset"), &json!({})).await;
            }
            assert!(Instant::now() < deadline, "in vain: {device}\n{}", self.log());
            looks.tick().await;
        }
    }

    /// A link to the device, and the status with which whoever opens it now is answered; waits until he is on the device
    /// if he is let in.
    pub(crate) async fn enters(&self, number: usize) -> (u16, Person) {
        let wish = json!({ "device_id": self.ids[number], "app": { "package": "dev.farglass.paint" } });
        let (status, link) = self.post("/api/v1/links", &wish).await;
        assert_eq!(status, 201, "{link}");
        let url = text(&link, "url");
        let (_, token) = url.split_once("/l#").expect("the token is in the fragment");
        // People are told apart by their addresses.
        let own = IpAddr::V4(Ipv4Addr::new(127, 2, 0, 1 + u8::try_from(number).unwrap()));
        let browser = reqwest::Client::builder().local_address(own).build().unwrap();
        let launched = browser
            .post(format!("{}/api/v1/launch", self.url))
            .header(ORIGIN, &self.url)
            .json(&json!({ "token": token }))
            .send()
            .await
            .unwrap();
        let (status, cookie) = (
            launched.status().as_u16(),
            launched.headers().get(SET_COOKIE).cloned(),
        );
        let person = Person {
            link: text(&link, "id"),
        };
        if status != 202 {
            return (status, person);
        }
        let cookie = cookie.expect("he is given a cookie");
        let cookie = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
        let session = text(&launched.json().await.unwrap(), "session_id");
        let current = format!("{}/api/v1/launch/current?session={session}", self.url);
        let (deadline, mut looks) = (Instant::now() + DEADLINE, interval(LOOK_AGAIN));
        loop {
            let asked = browser
                .get(&current)
                .header(COOKIE, &cookie)
                .send()
                .await
                .unwrap();
            let state: Value = asked.json().await.unwrap();
            if state["stage"] == "ready" {
                return (status, person);
            }
            assert!(
                Instant::now() < deadline && state["stage"] != "ended",
                "in vain: {state}\n{}",
                self.log()
            );
            looks.tick().await;
        }
    }

    /// Takes the link away, and with it whoever is there by it.
    pub(crate) async fn revoke(&self, person: Person) {
        let path = format!("/api/v1/links/{}/revoke", person.link);
        let (status, answer) = self.post(&path, &json!({})).await;
        assert_eq!(status, 200, "{answer}");
    }

    async fn get(&self, path: &str) -> Value {
        let asked = self.admin.get(format!("{}{path}", self.url));
        let answer = asked.bearer_auth(&self.bearer).send().await.unwrap();
        answer.json().await.unwrap()
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let asked = self.admin.post(format!("{}{path}", self.url));
        let asked = asked
            .bearer_auth(&self.bearer)
            .header(ORIGIN, &self.url)
            .json(body);
        let answer = asked.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }
}

fn name(number: usize) -> String {
    format!("phone-{number}")
}

fn text(body: &Value, field: &str) -> String {
    let text = body[field].as_str();
    text.unwrap_or_else(|| panic!("no {field} in {body}")).to_owned()
}
