//! The wire breaks when the device has a part of it: of an `adb install`, of a tree that is pushed or pulled, of raw
//! output, of the handshake. The client fails, the device keeps nothing half, and the next connect works at once.
//!
//! Where it breaks is a number of bytes, so that each run is the same. That the device lets go of everything is seen
//! by its tasks: there are as many again as before anybody connected.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Output, Stdio};

use adb::daemon::Guard;
use adb::key_file::{self, Missing};
use adb::known_keys::{KnownKeys, NewKeys};
use device::files::Files;

use super::apk::{App, Packing, apk};
use super::rig::{DEADLINE, Rig, pattern, text};
use super::wire::{Direction, Wire};

/// A device behind a wire, and how many tasks there are while nobody is connected.
struct Bench {
    rig: Rig,
    wire: Wire,
    tasks: usize,
}

impl Bench {
    async fn of(mut rig: Rig) -> Self {
        let wire = Wire::before(&mut rig).await;
        let tasks = alive();
        Self { rig, wire, tasks }
    }

    async fn start() -> Self {
        let bench = Self::of(Rig::with(Guard::Open).await).await;
        bench.connect().await;
        bench
    }

    async fn connect(&self) {
        let told = text(&self.rig.adb_any(["connect", &self.rig.serial]).await.stdout);
        assert!(told.starts_with("connected to"), "{told}");
        assert_eq!(self.rig.adb(["shell", "echo well"]).await, "well\n");
    }

    /// The wire broke: as soon as it is mended the device can be used, and it has let go of everything before.
    async fn mended(&self) {
        self.wire.broken().await;
        self.rig.disconnect().await;
        self.lets_go().await;
        self.wire.mend();
        self.connect().await;
    }

    /// Waits until there are no more tasks than while nobody was connected.
    async fn lets_go(&self) {
        let letting_go = async {
            while alive() > self.tasks {
                tokio::task::yield_now().await;
            }
        };
        let gone = tokio::time::timeout(DEADLINE, letting_go).await;
        assert!(gone.is_ok(), "{} tasks, and there were {}", alive(), self.tasks);
    }

    fn files(&self) -> &Files {
        &self.rig.userland.as_ref().unwrap().files
    }

    async fn any(&self, args: &[&str]) -> Output {
        let running = self
            .rig
            .command(["-s", &self.rig.serial].iter().chain(args))
            .output();
        tokio::time::timeout(DEADLINE, running)
            .await
            .expect("adb goes on")
            .unwrap()
    }

    /// Runs adb, which fails, says this, and does not say that.
    async fn fails(&self, args: &[&str], says: &str, not: &str) {
        let output = self.any(args).await;
        let told = text(&output.stdout) + &text(&output.stderr);
        assert!(
            !output.status.success() && told.contains(says) && !told.contains(not),
            "{args:?}: {output:?}"
        );
    }
}

/// Tasks of this process, which are the device's and the wire's.
fn alive() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_adb_install_nothing_is_installed() {
    let bench = Bench::start().await;
    let app = App {
        package: "org.example.torn",
        version_code: 1,
        version_name: "1",
        label: "Torn",
    };
    let whole = apk(app, Packing::Tight, &pattern(1, 24_000_000));
    let file = bench.rig.path("torn.apk");
    std::fs::write(&file, &whole).unwrap();
    bench.wire.cut_after(Direction::ToDevice, whole.len() / 2);
    bench.fails(&["install", &file], "failed", "Success").await;
    bench.mended().await;
    assert_eq!(bench.files().room_taken(), 0, "a part of it is kept");
    let listed = bench.rig.adb(["shell", "pm list packages"]).await;
    assert!(!listed.contains(app.package), "{listed}");
    let again = bench.any(&["install", &file]).await;
    assert!(
        again.status.success() && text(&again.stdout).contains("Success"),
        "{again:?}"
    );
    bench.rig.end().await;
}

/// More than comes in one packet.
const MIB: usize = 1 << 20;
/// How many files the tree has, and the bytes of each.
const LEAVES: u32 = 30;
const LEAF_BYTES: u32 = 400_000;

/// A tree of files in the rig's folder, by their paths below it.
fn tree(rig: &Rig) -> BTreeMap<String, Vec<u8>> {
    let leaf = |n| (format!("a{}/b{}/leaf {n}", n % 2, n % 3), pattern(n, LEAF_BYTES));
    let leaves: BTreeMap<_, _> = (0..LEAVES).map(leaf).collect();
    for (name, content) in &leaves {
        let path = rig.folder().join("tree").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    leaves
}

/// The files below the device's copy of the tree.
fn copies(files: &Files, below: &str) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for (name, status) in files.list(below).unwrap_or_default() {
        let path = format!("{below}/{name}");
        if status.mode & 0o170_000 == 0o040_000 {
            found.append(&mut copies(files, &path));
        } else {
            found.insert(path.clone(), files.read(&path).unwrap().to_bytes().to_vec());
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_pushed_tree_there_are_whole_files_only() {
    let bench = Bench::start().await;
    let leaves = tree(&bench.rig);
    let from = bench.rig.path("tree");
    let bytes = (LEAVES * LEAF_BYTES) as usize;
    bench.wire.cut_after(Direction::ToDevice, bytes / 2);
    bench
        .fails(&["push", &from, "/sdcard/copy"], "failed", "files pushed")
        .await;
    bench.mended().await;
    let there = copies(bench.files(), "/sdcard/copy");
    assert!(
        !there.is_empty() && there.len() < leaves.len(),
        "{} files",
        there.len()
    );
    for (path, content) in &there {
        let name = path.strip_prefix("/sdcard/copy/").unwrap();
        assert!(leaves[name] == *content, "{path} is not whole");
    }
    assert_eq!(bench.files().room_taken(), there.len() * LEAF_BYTES as usize);
    bench.rig.adb(["push", &from, "/sdcard/whole"]).await;
    let there = copies(bench.files(), "/sdcard/whole");
    assert!(there.into_values().eq(leaves.into_values()));
    bench.rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_pulled_tree_the_client_says_that_it_is_not_whole() {
    let bench = Bench::start().await;
    let leaves = tree(&bench.rig);
    bench
        .rig
        .adb(["push", &bench.rig.path("tree"), "/sdcard/tree"])
        .await;
    let taken = bench.files().room_taken();
    bench
        .wire
        .cut_after(Direction::ToHost, (LEAVES * LEAF_BYTES) as usize / 2);
    let part = bench.rig.path("part");
    bench
        .fails(&["pull", "/sdcard/tree", &part], "", "files pulled")
        .await;
    bench.mended().await;
    assert_eq!(bench.files().room_taken(), taken);
    let whole = bench.rig.path("back");
    bench.rig.adb(["pull", "/sdcard/tree", &whole]).await;
    for (name, content) in &leaves {
        assert!(
            std::fs::read(Path::new(&whole).join(name)).unwrap() == *content,
            "{name}"
        );
    }
    bench.rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_output_raw_or_in_frames_a_beginning_comes_and_then_the_end() {
    let bench = Bench::start().await;
    std::fs::write(bench.rig.path("long"), pattern(3, 6_000_000)).unwrap();
    bench
        .rig
        .adb(["push", &bench.rig.path("long"), "/sdcard/long"])
        .await;
    for (way, command) in [
        ("exec-out", "screencap -p"),
        ("exec-out", "cat /sdcard/long"),
        ("shell", "cat /sdcard/long"),
    ] {
        let before = bench.wire.passed(Direction::ToHost);
        let whole = bench.any(&[way, command]).await.stdout;
        let passed = bench.wire.passed(Direction::ToHost) - before;
        assert!(passed >= whole.len(), "{command}");
        bench.wire.cut_after(Direction::ToHost, passed / 2);
        // Raw output has no exit code and the one behind the frames never comes, so this client has nothing to fail with:
        // what is missing has to be seen in it.
        let part = bench.any(&[way, command]).await.stdout;
        assert!(
            part.len() < whole.len() && whole.starts_with(&part) && (whole.len() < MIB || !part.is_empty()),
            "{command}"
        );
        bench.mended().await;
        assert!(bench.any(&[way, command]).await.stdout == whole, "{command}");
    }
    bench.rig.end().await;
}

/// Breaks the handshake at some places in each direction; each time nobody is in, and the next connect works at once.
async fn breaks_in_the_handshake(bench: &Bench) {
    let begin =
        [Direction::ToDevice, Direction::ToHost].map(|direction| (direction, bench.wire.passed(direction)));
    bench.rig.adb_any(["connect", &bench.rig.serial]).await;
    bench.rig.adb(["wait-for-device"]).await;
    let whole = begin.map(|(direction, before)| (direction, bench.wire.passed(direction) - before));
    bench.rig.disconnect().await;
    for (direction, bytes) in whole {
        for at in [1, bytes / 3, bytes * 2 / 3, bytes - 1] {
            bench.wire.cut_after(direction, at);
            // What it prints proves nothing, and it takes ten seconds for that: adb's server goes on waiting.
            let mut connecting = bench.rig.command(["connect", &bench.rig.serial]);
            let connecting = connecting.stdout(Stdio::null()).spawn().unwrap();
            bench.wire.broken().await;
            assert_ne!(
                bench.rig.state().await.as_deref(),
                Some("device"),
                "{direction:?} {at} of {bytes}"
            );
            bench.fails(&["shell", "echo in"], "error", "in\n").await;
            bench.mended().await;
            bench.rig.disconnect().await;
            drop(connecting);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_handshake_nothing_is_left_and_the_next_connect_is_let_in() {
    let bench = Bench::of(Rig::with(Guard::Open).await).await;
    breaks_in_the_handshake(&bench).await;
    bench.rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_handshake_with_a_key_nothing_is_left_and_the_next_connect_is_let_in() {
    let known = KnownKeys::new(Vec::new(), NewKeys::Refuse);
    let rig = Rig::prepared(Guard::Keys(known.clone()), |folder| {
        let path = folder.join(".android/adbkey");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        known.remember(
            key_file::load(&path, "test@host", Missing::Generate)
                .unwrap()
                .public(),
        );
    });
    let bench = Bench::of(rig.await).await;
    breaks_in_the_handshake(&bench).await;
    assert_eq!(known.all().len(), 1, "a half key became a known one");
    bench.rig.end().await;
}
