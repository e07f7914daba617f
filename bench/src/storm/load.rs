//! The load of a storm: people who open links, connect, come back and leave, and what they share with crowds and admins
//! (`crowd.rs`).
//!
//! ```text
//!   person   link ─► launch ─► resume, connect, end … ─► every answer goes to the ledger, every secret to the list
//! ```
//!
//! Everybody acts in a loop of his own, with dice of his own, and through one gate that the storm closes when it wants
//! to look. Silence and refusals are part of life; what is judged is what was promised (`ledger.rs`).

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use tokio::sync::{RwLock, watch};

use super::client::{Answer, Client, Said};
use super::dice::Dice;
use super::ledger::{Ledger, Word};
use super::viewer::Viewer;

/// Connections that are kept open: each costs a thread.
const VIEWERS_MAX: usize = 8;
/// The states in which somebody holds a device.
const HELD: [&str; 3] = ["preparing", "active", "grace"];

/// A link as its maker knows it.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    number: usize,
    id: String,
    token: String,
    device: usize,
}

impl Link {
    pub(crate) const fn device(&self) -> usize {
        self.device
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }
}

/// What came of all requests.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tally {
    pub(crate) grants: u64,
    pub(crate) resumes: u64,
    pub(crate) ends: u64,
    pub(crate) connections: u64,
    pub(crate) revokes: u64,
    pub(crate) resets: u64,
    pub(crate) silences: u64,
    /// Requests without an answer for as long as a client waits.
    pub(crate) hangs: u64,
    /// The longest that an answer took.
    pub(crate) slowest: Duration,
    /// Answers that nobody should get: faults of ours, and a "not now" that does not say when.
    pub(crate) faults: BTreeMap<String, u64>,
    /// Answers without success, by code.
    pub(crate) refusals: BTreeMap<String, u64>,
}

impl Tally {
    /// What nobody may be answered.
    pub(crate) fn lies(&self) -> Vec<String> {
        let mut found: Vec<_> = self
            .faults
            .keys()
            .map(|code| format!("somebody was answered {code}, without being told when to come again"))
            .collect();
        found.extend((self.hangs > 0).then(|| "somebody was not answered at all".to_owned()));
        found
    }
}

/// What everybody shares.
pub(crate) struct Scene {
    pub(crate) urls: Vec<String>,
    pub(crate) admin: Client,
    /// Ids of the devices.
    pub(crate) devices: Vec<String>,
    /// Whoever acts holds it for one act; whoever looks takes it whole.
    pub(crate) gate: RwLock<()>,
    /// How many of the running race have no answer yet; 0 while there is none.
    pub(crate) race: watch::Sender<usize>,
    pub(crate) begin: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    links: Vec<Link>,
    made: usize,
    ledger: Ledger,
    tally: Tally,
    secrets: Vec<String>,
    /// The newest connections. Nearly all are of leases that are over, and tap on.
    viewers: VecDeque<Arc<Viewer>>,
}

impl Scene {
    pub(crate) fn new(urls: &[String], admin: Client, devices: Vec<String>, secrets: Vec<String>) -> Self {
        let state = State {
            secrets,
            ..State::default()
        };
        Self {
            urls: urls.to_owned(),
            admin,
            devices,
            gate: RwLock::new(()),
            race: watch::Sender::new(0),
            begin: Instant::now(),
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    pub(crate) fn tally(&self) -> Tally {
        self.state().tally.clone()
    }

    pub(crate) fn secrets(&self) -> Vec<String> {
        self.state().secrets.clone()
    }

    /// Notes something that must stand in no log and no database.
    pub(crate) fn keep_secret(&self, secret: String) {
        self.state().secrets.push(secret);
    }

    /// Keeps a connection open, and ends the oldest of too many.
    pub(crate) fn connected(&self, viewer: Viewer) -> Arc<Viewer> {
        let viewer = Arc::new(viewer);
        let mut state = self.state();
        state.tally.connections += 1;
        state.viewers.push_back(Arc::clone(&viewer));
        let oldest = (state.viewers.len() > VIEWERS_MAX).then(|| state.viewers.pop_front());
        drop(state);
        // Its thread is waited for, and nobody else for that.
        drop(oldest);
        viewer
    }

    /// The connections that are open.
    pub(crate) fn viewers(&self) -> Vec<Arc<Viewer>> {
        self.state().viewers.iter().cloned().collect()
    }

    /// Reads the ledger.
    pub(crate) fn ledger<T>(&self, read: impl FnOnce(&Ledger) -> T) -> T {
        read(&self.state().ledger)
    }

    /// Notes how long an answer took.
    fn took(&self, sent: u64) {
        let took = Duration::from_micros(self.now().saturating_sub(sent));
        let mut state = self.state();
        state.tally.slowest = state.tally.slowest.max(took);
    }

    fn fault(&self, what: String) {
        *self.state().tally.faults.entry(what).or_default() += 1;
    }

    /// One word of what was said, for the tally; gives the answer if it is one of success.
    fn heard(&self, said: Said) -> Option<Answer> {
        let mut state = self.state();
        match said {
            Said::Answer(answer) if answer.is_success() => return Some(answer),
            Said::Answer(answer) => {
                let code = match answer.text("code") {
                    "" => answer.status.to_string(),
                    code => format!("{} {code}", answer.status),
                };
                if answer.status >= 500 && !(answer.status == 503 && answer.says_when) {
                    *state.tally.faults.entry(code.clone()).or_default() += 1;
                }
                *state.tally.refusals.entry(code).or_default() += 1;
            }
            Said::Hung => state.tally.hangs += 1,
            Said::Nobody | Said::Unknown => state.tally.silences += 1,
        }
        None
    }

    /// Makes a link to a device, and has it open this package.
    pub(crate) async fn make_link(
        &self,
        device: usize,
        max_uses: Option<u32>,
        app: Option<&str>,
    ) -> Option<Link> {
        let mut wish = json!({ "name": "storm", "device_id": self.devices[device] });
        if let Some(package) = app {
            wish["app"] = json!({ "package": package });
        }
        if let Some(uses) = max_uses {
            wish["max_uses"] = uses.into();
        }
        let answer = self.heard(self.admin.post("/api/v1/links", &wish).await)?;
        let token = answer.text("url").split_once('#')?.1.to_owned();
        let mut state = self.state();
        state.secrets.push(token.clone());
        state.made += 1;
        let link = Link {
            number: state.made,
            id: answer.text("id").to_owned(),
            token,
            device,
        };
        state.links.push(link.clone());
        Some(link)
    }

    /// Revokes a link and takes it out of use. Whether control said that it is done.
    pub(crate) async fn revoke(&self, link: &Link) -> bool {
        let path = format!("/api/v1/links/{}/revoke", link.id);
        let revoked = self.heard(self.admin.post(&path, &json!({})).await).is_some();
        let now = self.now();
        let mut state = self.state();
        if revoked {
            state.ledger.revoked(link.number, now);
            state.tally.revokes += 1;
            state.links.retain(|known| known.number != link.number);
        }
        revoked
    }

    pub(crate) fn links(&self) -> Vec<Link> {
        self.state().links.clone()
    }

    /// Has a quarantined device cleaned. Whether control has taken it on.
    pub(crate) async fn reset(&self, device: &str) -> bool {
        let path = format!("/api/v1/devices/{device}/reset");
        let is_accepted = self.heard(self.admin.post(&path, &json!({})).await).is_some();
        if is_accepted {
            self.state().tally.resets += 1;
        }
        is_accepted
    }

    pub(crate) fn link(&self, dice: &mut Dice) -> Option<Link> {
        let state = self.state();
        let at = dice.below(state.links.len());
        state.links.get(at).cloned()
    }
}

/// One who opens links.
pub(crate) struct Person {
    number: usize,
    client: Client,
    dice: Dice,
    holds: Option<Hold>,
}

struct Hold {
    link: Link,
    /// Empty while nobody knows.
    session: String,
    epoch: u64,
    cookie: (String, String),
}

impl Person {
    /// People have numbers of their own, from 1.
    pub(crate) fn new(scene: &Scene, number: usize, dice: Dice) -> anyhow::Result<Self> {
        // Number 1 is the admin's.
        let caller = u16::try_from(number + 1)?;
        Ok(Self {
            number,
            client: Client::new(&scene.urls, caller)?,
            dice,
            holds: None,
        })
    }

    /// Lives for ever.
    pub(crate) async fn live(mut self, scene: &Scene) {
        loop {
            let pause = {
                let _act = scene.gate.read().await;
                self.act(scene).await
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// One act; how long to wait until the next.
    async fn act(&mut self, scene: &Scene) -> Duration {
        let Some(hold) = self.holds.take() else {
            if let Some(link) = scene.link(&mut self.dice) {
                self.launch(scene, link, None).await;
            }
            return self.dice.ms(20, 250);
        };
        match self.dice.below(13) {
            0..3 => self.end(scene, hold).await,
            3..6 => {
                let cookie = hold.cookie.clone();
                self.launch(scene, hold.link, Some(cookie)).await;
            }
            6..9 => self.come_back(scene, hold).await,
            9..12 => self.connect(scene, hold).await,
            // Leaves without a word: whoever wants the device next has to wait for an admin.
            _ => {}
        }
        self.dice.ms(50, 900)
    }

    pub(crate) async fn launch(&mut self, scene: &Scene, link: Link, cookie: Option<(String, String)>) {
        let (body, sent) = (json!({ "token": link.token }), scene.now());
        let said = self
            .client
            .call(Method::POST, "/api/v1/launch", Some(&body), cookie.as_ref())
            .await;
        scene.took(sent);
        let lost = said.is_silence();
        let answer = scene.heard(said);
        if let Some(answer) = &answer
            && self.told(scene, &link, answer, sent)
            && let Some(cookie) = answer.cookie.clone().or(cookie.clone())
        {
            let session = answer.text("session_id").to_owned();
            self.holds = Some(Hold {
                link,
                session,
                epoch: epoch(answer),
                cookie,
            });
        } else if lost && let Some(cookie) = cookie {
            // Nobody said that it is over.
            self.holds = Some(Hold {
                session: String::new(),
                epoch: 0,
                link,
                cookie,
            });
        }
    }

    /// Takes down what an answer promises. Whether it promises the device.
    fn told(&self, scene: &Scene, link: &Link, answer: &Answer, sent: u64) -> bool {
        if !HELD.contains(&answer.text("lease_state")) {
            return false;
        }
        let heard = scene.now();
        let mut state = scene.state();
        if answer.status == 202 {
            state.tally.grants += 1;
        } else {
            state.tally.resumes += 1;
        }
        state
            .secrets
            .extend(answer.cookie.iter().map(|(_, value)| value.clone()));
        state.ledger.holds(Word {
            holder: self.number,
            device: link.device,
            link: link.number,
            session: answer.text("session_id").to_owned(),
            epoch: epoch(answer),
            sent,
            heard,
        });
        true
    }

    async fn come_back(&mut self, scene: &Scene, mut hold: Hold) {
        let (body, sent) = (json!({ "session_id": hold.session }), scene.now());
        let said = self
            .client
            .call(Method::POST, "/api/v1/launch", Some(&body), Some(&hold.cookie))
            .await;
        let silent = said.is_silence();
        match scene.heard(said) {
            Some(answer) if self.told(scene, &hold.link, &answer, sent) => {
                hold.session = answer.text("session_id").to_owned();
                hold.epoch = epoch(&answer);
                self.holds = Some(hold);
            }
            _ if silent => self.holds = Some(hold),
            _ => {}
        }
    }

    /// Ends what it holds, if anything. Nobody asks again.
    pub(crate) async fn let_go(&mut self, scene: &Scene) {
        if let Some(hold) = self.holds.take() {
            self.end(scene, hold).await;
            self.holds = None;
        }
    }

    /// Opens the picture, and taps on it from then on.
    async fn connect(&mut self, scene: &Scene, hold: Hold) {
        let opened = Viewer::open(&self.client, &hold.session, hold.epoch, &hold.cookie).await;
        match opened {
            Ok((said, viewer)) => {
                scene.heard(said);
                viewer.map(|viewer| scene.connected(viewer));
            }
            Err(error) => scene.fault(format!("an answer that no peer takes: {error}")),
        }
        self.holds = Some(hold);
    }

    async fn end(&mut self, scene: &Scene, hold: Hold) {
        let body = json!({ "session_id": hold.session });
        let path = "/api/v1/launch/end";
        let said = self
            .client
            .call(Method::POST, path, Some(&body), Some(&hold.cookie))
            .await;
        let (heard, silent) = (scene.now(), said.is_silence());
        match scene.heard(said) {
            Some(_) => {
                let mut state = scene.state();
                state.tally.ends += 1;
                state.ledger.ended(&hold.session, heard);
            }
            None if silent => self.holds = Some(hold),
            None => {}
        }
    }
}

fn epoch(answer: &Answer) -> u64 {
    answer.body["epoch"].as_u64().unwrap_or_default()
}
