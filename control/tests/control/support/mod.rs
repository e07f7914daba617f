//! The rig of control's tests: a real control on a real database, real HTTP, and an agent that speaks the real
//! link over QUIC and is strict about epochs.
//!
//! Every test is run twice, once on SQLite and once on a PostgreSQL of its own: its body is a function of [`Base`],
//! and [`on_both!`] lists it as `name::sqlite` and `name::postgres`.
//!
//! A test speaks as an admin, as a browser with its own cookies, or as the agent. Whatever it waits
//! for is an event with a generous deadline.

pub mod agent;
pub mod browser;
pub mod port;
pub mod postgres;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use control::proxies::Proxies;
use control::{Config, Control};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use agent::FakeAgent;
use browser::{Answer, Browser};
use port::Port;
use postgres::Postgres;

/// Generous: everything here takes milliseconds on an idle machine.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// How often a test's agent tells when somebody touched its device: often enough for whatever waits for it, and not all
/// the time, for other tests run beside it.
const TOLD_EVERY: Duration = Duration::from_millis(100);

/// How long control waits here for a connection to read from PostgreSQL: other tests have the machine too.
pub const READ_TIMEOUT: Duration = Duration::from_secs(6);

/// Where a proxy in front of every [`TestApp`] connects from.
pub const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 99));

/// Where a test's database is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    Sqlite,
    Postgres,
}

/// Lists functions of [`Base`] as two tests each.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        $(
            mod $name {
                #[tokio::test]
                async fn sqlite() {
                    super::$name(crate::support::Base::Sqlite).await;
                }

                #[tokio::test]
                async fn postgres() {
                    super::$name(crate::support::Base::Postgres).await;
                }
            }
        )+
    };
}
#[allow(unused_imports, reason = "each test file uses its part of the rig")]
pub(crate) use on_both;

/// A running control with one agent and one device.
pub struct TestApp {
    pub address: SocketAddr,
    pub folder: TempDir,
    pub agent: FakeAgent,
    pub admin: Browser,
    /// The server, if the database is PostgreSQL.
    pub postgres: Option<Postgres>,
    port: Port,
    stop: CancellationToken,
    served: Option<JoinHandle<anyhow::Result<()>>>,
}

impl TestApp {
    /// Starts control, joins an agent, signs the admin in.
    pub async fn start(on: Base) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let postgres = (on == Base::Postgres).then(Postgres::start);
        let url = postgres.as_ref().map(Postgres::url);
        let port = Port::free();
        let (address, stop, served) = control_in(folder.path(), url, port.address).await;
        let agent = FakeAgent::join(address, folder.path()).await;
        let mut admin = Browser::new(address);
        let login: Value =
            serde_json::from_slice(&std::fs::read(data(folder.path()).join("admin.json")).unwrap()).unwrap();
        let answer = admin.post("/api/v1/auth/login", &login).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        admin.bearer = Some(answer.json()["token"].as_str().unwrap().to_owned());
        let mut app = Self {
            address,
            folder,
            agent,
            admin,
            postgres,
            port,
            stop,
            served: Some(served),
        };
        app.ready().await;
        app
    }

    /// Waits until the health says ready.
    pub async fn ready(&mut self) {
        let browser = &mut self.admin;
        let ready = async { while browser.get("/api/v1/health").await.status != 200 {} };
        tokio::time::timeout(DEADLINE, ready)
            .await
            .expect("control becomes ready");
    }

    /// Stops control and starts it again on the same data and port; the agent comes back by itself.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.start_again().await;
    }

    /// Starts a stopped control again on the same data and port.
    pub async fn start_again(&mut self) {
        let url = self.postgres.as_ref().map(Postgres::url);
        self.port.left().await;
        let (_, stop, served) = control_in(self.folder.path(), url, self.address).await;
        self.stop = stop;
        self.served = Some(served);
        self.ready().await;
    }

    /// Stops control and waits until its database is closed.
    pub async fn stop(&mut self) {
        self.stop.cancel();
        self.served.take().unwrap().await.unwrap().unwrap();
    }

    /// A backup of the database in the way that the README tells, while control runs.
    pub fn backup(&self) -> Vec<u8> {
        if let Some(server) = &self.postgres {
            return server.dump();
        }
        let file = self.folder.path().join("backup.db");
        let done = Command::new("sqlite3")
            .arg(data(self.folder.path()).join(FILE))
            .arg(format!(".backup {}", file.display()))
            .output()
            .expect("sqlite3 is missing: cargo xtask setup installs it");
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success() && said.is_empty(), "{said}");
        std::fs::read(file).unwrap()
    }

    /// Puts a backup back in the place of what the database of a stopped control has learnt since.
    pub fn restore(&self, backup: &[u8]) {
        if let Some(server) = &self.postgres {
            server.restore(backup);
            return;
        }
        let data = data(self.folder.path());
        for name in ["control.db-wal", "control.db-shm"] {
            // The log belongs to the newer database; after a clean stop there is none.
            let _ = std::fs::remove_file(data.join(name));
        }
        std::fs::write(data.join(FILE), backup).unwrap();
    }

    /// What a `SELECT COUNT(*) …` finds in the database, beside control.
    pub fn count(&self, sql: &str) -> i64 {
        let said = match &self.postgres {
            Some(server) => server.told(sql),
            None => {
                let file = data(self.folder.path()).join(FILE);
                let told = Command::new("sqlite3")
                    .arg("-readonly")
                    .arg(file)
                    .arg(sql)
                    .output();
                let told = told.expect("sqlite3 is missing: cargo xtask setup installs it");
                assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
                String::from_utf8(told.stdout).unwrap()
            }
        };
        said.trim().parse().unwrap()
    }

    pub fn browser(&self) -> Browser {
        Browser::new(self.address)
    }

    pub async fn device(&mut self) -> Value {
        self.admin.get("/api/v1/devices").await.json()["items"][0].clone()
    }

    /// Waits until the device shows what is asked for.
    pub async fn device_shows(&mut self, field: &str, wanted: &str) {
        let shows = async { while self.device().await[field] != wanted {} };
        tokio::time::timeout(DEADLINE, shows)
            .await
            .unwrap_or_else(|_| panic!("the device never shows {field} = {wanted}"));
    }

    /// Makes a link; `wish` is merged into its body.
    pub async fn link(&mut self, wish: Value) -> Link {
        let device = self.device().await["id"].clone();
        let mut body = json!({ "device_id": device, "app": { "package": "dev.farglass.paint" } });
        for (key, value) in wish.as_object().unwrap() {
            body[key] = value.clone();
        }
        let answer = self.admin.post("/api/v1/links", &body).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        let shown = answer.json();
        let url = shown["url"].as_str().unwrap();
        let (_, token) = url.split_once("/l#").unwrap();
        Link {
            id: shown["id"].as_str().unwrap().to_owned(),
            token: token.to_owned(),
            shown,
        }
    }

    /// Opens a link in a new browser and waits until its device is ready: the browser and its session.
    pub async fn holder(&mut self, link: &Link) -> (Browser, String) {
        let mut browser = self.browser();
        let session = browser.ready(&link.token).await;
        (browser, session)
    }

    /// The same, and its connection is up. Nothing that control asked on the way is left to be looked at.
    pub async fn streaming(&mut self, link: &Link) -> (Browser, String) {
        let (mut browser, session) = self.holder(link).await;
        assert_eq!(browser.offer(&session).await.status, 201);
        let connection = self.agent.live()[0];
        self.agent.connected(connection);
        browser.lease_is(&session, "active").await;
        self.agent.unasked();
        (browser, session)
    }

    /// Moves the end of a link to where it has almost come. Who is too slow to say so says it again.
    pub async fn expires_soon(&mut self, link: &Link) {
        let path = format!("/api/v1/links/{}/extend", link.id);
        let moved = async {
            loop {
                let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(1);
                let wish = json!({ "expires_at": soon.to_string() });
                if self.admin.post(&path, &wish).await.status == 200 {
                    return;
                }
            }
        };
        tokio::time::timeout(DEADLINE, moved)
            .await
            .expect("the end can be moved");
    }

    /// Tells again and again how long ago somebody touched the device, from now on, until the page says something.
    pub async fn quiet_until(
        &self,
        browser: &mut Browser,
        session: &str,
        done: impl Fn(&Value) -> bool,
    ) -> Value {
        let since = Instant::now();
        let mut turns = tokio::time::interval(TOLD_EVERY);
        let told = async {
            loop {
                turns.tick().await;
                self.agent.touched(Some(since.elapsed().as_millis() as u64));
                let state = browser.current(session).await;
                if done(&state) {
                    return state;
                }
            }
        };
        tokio::time::timeout(2 * DEADLINE, told).await.unwrap()
    }

    pub async fn revoke(&mut self, link: &Link) -> Answer {
        self.admin
            .post(&format!("/api/v1/links/{}/revoke", link.id), &json!({}))
            .await
    }

    /// Everything that control wrote to its folder and into its database, as bytes and as SQL text.
    pub fn written(&self) -> Vec<u8> {
        let mut all = Vec::new();
        if let Some(server) = &self.postgres {
            all.extend(server.dump());
            all.extend(server.files());
        }
        for entry in std::fs::read_dir(data(self.folder.path())).unwrap() {
            all.extend(std::fs::read(entry.unwrap().path()).unwrap());
        }
        all
    }
}

/// Another control on the database of a [`TestApp`]; it has the same authority and no agent.
pub struct Beside {
    pub address: SocketAddr,
    _folder: TempDir,
    stop: CancellationToken,
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl TestApp {
    /// Starts another control on the same PostgreSQL.
    pub async fn beside(&self) -> Beside {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(data(folder.path())).unwrap();
        for entry in std::fs::read_dir(data(self.folder.path())).unwrap() {
            let name = entry.unwrap().file_name();
            std::fs::copy(
                data(self.folder.path()).join(&name),
                data(folder.path()).join(&name),
            )
            .unwrap();
        }
        let url = self.postgres.as_ref().map(Postgres::url);
        let (address, stop, _served) = control_in(folder.path(), url, ([127, 0, 0, 1], 0).into()).await;
        Beside {
            address,
            _folder: folder,
            stop,
        }
    }
}

/// Why a control with a folder of its own does not start on this database.
pub async fn refused(folder: &Path, database: String) -> String {
    let config = Config {
        listen: ([127, 0, 0, 1], 0).into(),
        data: data(folder),
        database: Some(database),
        read_timeout: READ_TIMEOUT,
        public_url: None,
        proxies: Proxies::default(),
        join_token_file: None,
    };
    let opened = Control::open(config, CancellationToken::new()).await;
    format!("{:#}", opened.err().expect("it does not start"))
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub struct Link {
    pub id: String,
    pub token: String,
    pub shown: Value,
}

pub fn data(folder: &Path) -> std::path::PathBuf {
    folder.join("data")
}

/// SQLite's file in the data folder.
const FILE: &str = "control.db";

async fn control_in(
    folder: &Path,
    database: Option<String>,
    listen: SocketAddr,
) -> (SocketAddr, CancellationToken, JoinHandle<anyhow::Result<()>>) {
    let config = Config {
        listen,
        data: data(folder),
        database,
        read_timeout: READ_TIMEOUT,
        public_url: None,
        proxies: Proxies::new(vec![PROXY.into()]),
        join_token_file: Some(folder.join("join-token")),
    };
    let stop = CancellationToken::new();
    let control = Control::open(config, stop.clone()).await.unwrap();
    let address = control.address().unwrap();
    (address, stop, tokio::spawn(control.serve()))
}
