//! `farglass bench storm`: kill -9 at random moments under load, and then what everybody was told, what the database
//! holds and what the agents' fences say is compared.
//!
//! ```text
//!   house: postgres? · controls · agents · devices         load: people, crowds, admins, over HTTP
//!      ▲ SIGKILL, start again, at moments from the seed       │ every promise
//!      └── storm ── quiet moment: gate closed, links revoked, all at rest ──► rows.rs, ledger.rs, secrets ──► report
//! ```
//!
//! Everything is real: processes, sockets, files, disks. A seed brings back who is killed and who acts when; what comes
//! between is the machine's. It asks the product for nothing that it judges it by: rows are read beside it.
//! At each quiet moment a holder is watched over the death of every control and the database, and nobody whose lease is over
//! may touch anything (`watch.rs`); with `media` a browser watches a device at each quiet moment while every control and the database are dead (`media.rs`).

mod adb;
mod client;
mod crowd;
mod database;
mod dice;
mod house;
mod ledger;
mod load;
mod media;
mod part;
mod peer;
mod postgres;
mod report;
mod revoke;
mod rhythm;
mod rows;
mod viewer;
mod watch;

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use crowd::CROWD;
use dice::Dice;
use house::{House, Kind, READY_LIMIT, Seen};
use load::{Person, Scene};
use media::Screen;
use report::{Notes, Plan};

pub use report::{Recovery, StormReport};
pub use revoke::{RevokeConfig, RevokeReport, revoke};
pub use watch::Crossing;

/// People who come and go.
const PEOPLE: usize = 8;
/// Kills between two quiet moments, after those in the middle of a race.
const KILLS_BETWEEN: usize = 6;
/// Tries to kill something in the middle of a race: one that was over before it was noticed is none.
const RACES_MAX: u32 = 8;
/// How many of a race have their answer before something is killed, at most.
const ANSWERED_MAX: usize = 8;
/// How long a device may take to be at rest: a cleaning, and another one by hand.
const REST_LIMIT: Duration = READY_LIMIT;
/// How often devices are asked whether they are at rest.
const REST_POLL: Duration = Duration::from_millis(50);
/// Tries to have a device cleaned by hand before it is left quarantined.
const RESETS_MAX: u32 = 3;

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseKind {
    /// A file of control's own.
    Sqlite,
    /// A server that is killed too.
    Postgres,
}

impl DatabaseKind {
    const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

/// What to run.
#[derive(Debug, Clone)]
pub struct StormConfig {
    /// The `farglass` binary.
    pub binary: PathBuf,
    /// How long to kill for; the quiet moment at the end comes after it.
    pub seconds: u32,
    /// Plans the storm.
    pub seed: u64,
    /// Under control.
    pub database: DatabaseKind,
    /// Hosts, 1 or 2.
    pub agents: u8,
    /// Devices of each host.
    pub devices: u8,
    /// Controls on one database, 1 or 2; 2 only on PostgreSQL.
    pub controls: u8,
    /// Whether a browser watches a device while control is dead.
    pub media: bool,
    /// Whether logs and data stay when nothing was broken; they do when something was.
    pub keep: bool,
}

/// Runs a storm. SIGINT and SIGTERM end it, with everything it started.
///
/// # Errors
/// When the house does not stand up, or a part ends that nobody killed.
pub async fn storm(config: StormConfig) -> anyhow::Result<StormReport> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        report = scenario(&config) => report,
        _ = interrupt.recv() => bail!("interrupted; what the storm started is stopped"),
        _ = terminate.recv() => bail!("terminated; what the storm started is stopped"),
    }
}

async fn scenario(config: &StormConfig) -> anyhow::Result<StormReport> {
    tell(&format!("seed {}", config.seed));
    anyhow::ensure!(
        config.controls == 1 || config.database == DatabaseKind::Postgres,
        "several controls share a PostgreSQL, not a file"
    );
    let screen = match config.media {
        true => Some(Screen::open().await?),
        false => None,
    };
    let mut house = House::start(config).await?;
    let scene = Scene::new(
        &house.urls,
        house.admin.clone(),
        house.devices.clone(),
        std::mem::take(&mut house.secrets),
    );
    let (scene, dice) = (Arc::new(scene), Dice::new(config.seed));
    let load = begin(&scene, &dice)?;
    let mut storm = Storm {
        dice: dice.child(0),
        house,
        scene,
        notes: Notes::default(),
        screen,
    };
    let end = Instant::now() + Duration::from_secs(config.seconds.into());
    let result = storm.rage(end).await;
    drop(load);
    if config.keep || result.is_err() || !storm.notes.violations.is_empty() {
        tell(&format!(
            "logs and data are kept in {}",
            storm.house.keep().display()
        ));
    }
    result?;
    let seconds = storm.scene.begin.elapsed().as_secs_f64();
    let tally = storm.scene.tally();
    let plan = Plan {
        seed: config.seed,
        seconds,
        database: config.database.name(),
        controls: config.controls,
    };
    Ok(StormReport::new(&plan, storm.notes, tally))
}

/// Everybody begins to act, until the set is dropped.
fn begin(scene: &Arc<Scene>, dice: &Dice) -> anyhow::Result<JoinSet<()>> {
    let mut load = JoinSet::new();
    let person = |number: usize| Person::new(scene, number, dice.child(number as u64));
    for number in 1..=PEOPLE {
        let (person, scene) = (person(number)?, Arc::clone(scene));
        load.spawn(async move { person.live(&scene).await });
    }
    let racers = (PEOPLE + 1..=PEOPLE + CROWD)
        .map(person)
        .collect::<anyhow::Result<Vec<_>>>()?;
    let (shared, throws) = (Arc::clone(scene), dice.child(1_000));
    load.spawn(async move { crowd::crowd(&shared, racers, throws).await });
    let (shared, throws) = (Arc::clone(scene), dice.child(1_001));
    load.spawn(async move { crowd::admin(&shared, throws).await });
    Ok(load)
}

/// Who kills, and looks.
struct Storm {
    dice: Dice,
    house: House,
    scene: Arc<Scene>,
    notes: Notes,
    screen: Option<Screen>,
}

impl Storm {
    async fn rage(&mut self, end: Instant) -> anyhow::Result<()> {
        while Instant::now() < end {
            for kind in [Kind::Control, Kind::Postgres] {
                self.strike_a_race(kind).await?;
            }
            for _ in 0..KILLS_BETWEEN {
                tokio::time::sleep(self.dice.ms(0, 1_500)).await;
                if Instant::now() >= end {
                    break;
                }
                let (struck, seen) = (self.victims(), self.house.seen().await);
                self.strike(struck, seen).await?;
                self.house.nobody_ended()?;
            }
            self.look().await?;
        }
        Ok(())
    }

    /// Kills one of a kind, if there is one, while some of a crowd have their answer and others have not.
    async fn strike_a_race(&mut self, kind: Kind) -> anyhow::Result<()> {
        let kinds = self.house.kinds();
        let of_kind: Vec<usize> = (0..kinds.len()).filter(|part| kinds[*part] == kind).collect();
        for _ in 0..RACES_MAX {
            if of_kind.is_empty() || !self.house.recovered(&[]).await? {
                return Ok(());
            }
            let (part, seen) = (of_kind[self.dice.below(of_kind.len())], self.house.seen().await);
            let answered = self.dice.below(ANSWERED_MAX) + 1;
            let mut race = self.scene.race.subscribe();
            let on = race.wait_for(|left| (1..=CROWD - answered).contains(left));
            if tokio::time::timeout(READY_LIMIT, on).await.is_err() {
                return Ok(());
            }
            let is_cut = *race.borrow_and_update() > 0;
            self.house.kill(part);
            self.strike(vec![(part, kind)], seen).await?;
            self.house.nobody_ended()?;
            if is_cut {
                self.notes.cut_a_race(kind);
                return Ok(());
            }
        }
        Ok(())
    }

    /// Kills something, at times more than one thing, starts it again, and mostly waits until all is ready.
    /// What was seen before says of whom news has to come.
    async fn strike(&mut self, struck: Vec<(usize, Kind)>, seen: Option<Vec<Seen>>) -> anyhow::Result<()> {
        let before = self.house.concerned(&struck, seen.unwrap_or_default());
        let killed = Instant::now();
        for &(part, kind) in &struck {
            self.house.kill(part);
            self.notes.killed(kind);
            tokio::time::sleep(self.dice.ms(0, 300)).await;
        }
        if matches!(struck[..], [(_, Kind::Control)]) && self.house.urls.len() > 1 && self.dice.percent(50) {
            // Nobody starts it for a while: its hosts have to be found at the other one.
            if self.house.recovered(&before).await? {
                self.notes.recovered("hosts moved", killed.elapsed());
            }
        }
        tokio::time::sleep(self.dice.ms(0, 700)).await;
        let mut started = Instant::now();
        for &(part, kind) in &struck {
            // A database has to be there before anything is ready: its own time counts from its own start.
            started = if kind == Kind::Postgres {
                Instant::now()
            } else {
                started
            };
            self.house.start_part(part).await?;
        }
        if self.dice.percent(25) {
            return Ok(());
        }
        if !self.house.recovered(&before).await? {
            let seen = self.house.seen().await;
            self.notes.violations.push(format!(
                "not ready within {READY_LIMIT:?} after {struck:?}: {seen:?}"
            ));
            return Ok(());
        }
        if let [(_, kind)] = struck[..] {
            if kind == Kind::Postgres {
                self.writes().await;
            }
            self.notes.recovered(kind.name(), started.elapsed());
        }
        Ok(())
    }

    /// Waits until something was written.
    async fn writes(&mut self) {
        let deadline = Instant::now() + READY_LIMIT;
        while Instant::now() < deadline {
            if let Some(link) = self.scene.make_link(0, None, None).await {
                self.scene.revoke(&link).await;
                return;
            }
        }
        self.notes
            .violations
            .push(format!("nothing was written within {READY_LIMIT:?}"));
    }

    /// One part in most cases, at times two or three, in the order in which they are started again.
    fn victims(&mut self) -> Vec<(usize, Kind)> {
        let kinds = self.house.kinds();
        let there: Vec<Kind> = Kind::ALL
            .into_iter()
            .filter(|kind| kinds.contains(kind))
            .collect();
        let n = if self.dice.percent(80) {
            1
        } else {
            2 + self.dice.below(2)
        };
        let mut struck = Vec::new();
        for _ in 0..n {
            // Every kind as often as any other, however many of it there are.
            let kind = there[self.dice.below(there.len())];
            let of_kind: Vec<usize> = (0..kinds.len()).filter(|part| kinds[*part] == kind).collect();
            let part = of_kind[self.dice.below(of_kind.len())];
            if !self.house.is_down(part) && struck.iter().all(|(other, _)| *other != part) {
                struck.push((part, kind));
            }
        }
        struck.sort_unstable();
        struck
    }

    /// Closes the gate, lets everything come to rest, and compares.
    async fn look(&mut self) -> anyhow::Result<()> {
        let scene = Arc::clone(&self.scene);
        let _quiet = scene.gate.write().await;
        if !self.house.recovered(&[]).await? {
            self.notes
                .violations
                .push(format!("not ready within {READY_LIMIT:?}"));
        }
        self.rest().await?;
        let (crossing, torn) = watch::cross(&mut self.house, &scene).await?;
        self.notes.crossed(crossing, torn);
        self.rest().await?;
        let late = watch::late_touches(&self.house, &scene).await?;
        self.notes.violations.extend(late);
        if let Some(screen) = &mut self.screen {
            let watched = screen.watch(&mut self.house).await?;
            self.notes.watched(watched);
            self.rest().await?;
        }
        let rows = self.house.source.rows(&self.house.agent_folders())?;
        let found = &mut self.notes.violations;
        found.extend(rows.violations());
        found.extend(scene.ledger(|ledger| {
            let mut found = ledger.contradictions();
            found.extend(rows.forgotten(ledger.sessions()));
            found
        }));
        found.extend(scene.tally().lies());
        let secrets = scene.secrets();
        let mut files = self.house.source.holding(&secrets)?;
        files.extend(database::holding(&self.house.logs(), &secrets)?);
        found.extend(
            files
                .iter()
                .map(|file| format!("a secret stands in {}", file.display())),
        );
        found.sort();
        found.dedup();
        self.notes.looks += 1;
        Ok(())
    }

    /// Revokes every link and waits until no device is held or being cleaned.
    async fn rest(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + REST_LIMIT;
        let mut resets = 0;
        loop {
            for link in self.scene.links() {
                self.scene.revoke(&link).await;
            }
            let seen = self.house.seen().await.unwrap_or_default();
            let quarantined: Vec<&str> = seen
                .iter()
                .filter(|device| device.occupancy == "quarantined")
                .map(|device| device.id.as_str())
                .collect();
            let rests = |occupancy: &str| matches!(occupancy, "free" | "quarantined");
            let at_rest = !seen.is_empty() && seen.iter().all(|device| rests(&device.occupancy));
            if at_rest && self.scene.links().is_empty() && (quarantined.is_empty() || resets >= RESETS_MAX) {
                return Ok(());
            }
            if at_rest {
                let mut is_tried = false;
                for device in quarantined {
                    is_tried |= self.scene.reset(device).await;
                }
                resets += u32::from(is_tried);
            }
            self.house.nobody_ended()?;
            if Instant::now() > deadline {
                self.notes
                    .violations
                    .push(format!("not at rest within {REST_LIMIT:?}: {seen:?}"));
                return Ok(());
            }
            tokio::time::sleep(REST_POLL).await;
        }
    }
}

/// Says on stderr what is going on; stdout is for the report.
fn tell(what: &str) {
    // Nobody may be reading.
    let _ = writeln!(std::io::stderr(), "storm: {what}");
}
