//! A PostgreSQL of a test's own: a child process in its own folder, reached over a Unix socket.
//!
//! ```text
//!   initdb, once per machine ─► template ─ copy ─► folder/data ─► postgres, child of the test, ends with it
//! ```
//!
//! PostgreSQL refuses to run as root, so a test that is root hands it to the user `postgres`, or `nobody`. It does not
//! wait for the disk (`fsync=off`): nothing here pulls the plug, and a killed process loses nothing that the kernel
//! has. `setpriv` has the kernel end it if the test is killed.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// Where Debian's packages and other builds put the server; the newest of them is taken.
const FOLDERS: [&str; 5] = [
    "/usr/lib/postgresql/17/bin",
    "/usr/lib/postgresql/16/bin",
    "/usr/lib/postgresql/15/bin",
    "/usr/local/bin",
    "/usr/bin",
];
/// Its one role, which may do everything.
const ROLE: &str = "farglass";
/// Small: a test has a handful of connections and some kilobytes.
const SETTINGS: [&str; 9] = [
    "listen_addresses=",
    "fsync=off",
    "full_page_writes=off",
    "autovacuum=off",
    "shared_buffers=8MB",
    "max_connections=40",
    "max_wal_senders=0",
    "max_logical_replication_workers=0",
    "dynamic_shared_memory_type=posix",
];

/// The settings among [`SETTINGS`] that no server for others would have: it does not wait for the disk, keeps next to
/// nothing in memory, and never tidies.
const HASTE: [&str; 4] = [
    "fsync=off",
    "full_page_writes=off",
    "autovacuum=off",
    "shared_buffers=8MB",
];

/// A running server. Dropping it ends it and removes its folder.
pub(crate) struct Postgres {
    folder: TempDir,
    server: Child,
    settings: Vec<String>,
}

impl Postgres {
    /// Starts a server that has no tables yet.
    pub(crate) fn start() -> Self {
        Self::start_as(false)
    }

    /// Starts one as servers are by default, which waits for the disk, or one that does not: only measurements care.
    pub(crate) fn start_as(durable: bool) -> Self {
        let wanted = SETTINGS
            .iter()
            .filter(|setting| !(durable && HASTE.contains(setting)));
        Self::start_with(wanted.map(|setting| (*setting).to_owned()).collect(), &[])
    }

    /// Starts one that speaks TLS, on this port of 127.0.0.1. Certificate and key are PEM.
    pub(crate) fn start_with_tls(port: u16, certificate: &str, key: &str) -> Self {
        let mut settings: Vec<String> = SETTINGS.iter().map(|setting| (*setting).to_owned()).collect();
        settings.extend([
            "listen_addresses=127.0.0.1".to_owned(),
            format!("port={port}"),
            "ssl=on".to_owned(),
        ]);
        Self::start_with(settings, &[("server.crt", certificate), ("server.key", key)])
    }

    fn start_with(settings: Vec<String>, files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Its user walks through a folder of ours.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).unwrap();
        run(Command::new("cp")
            .arg("-a")
            .arg(template())
            .arg(folder.path().join("data")));
        let data = folder.path().join("data");
        for (name, text) in files {
            let file = data.join(name);
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
            run(Command::new("chown").arg("--reference").arg(&data).arg(&file));
        }
        let socket = folder.path().join("socket");
        fs::create_dir(&socket).unwrap();
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o777)).unwrap();
        let server = serve(folder.path(), &settings);
        Self {
            folder,
            server,
            settings,
        }
    }

    /// What control is told.
    pub(crate) fn url(&self) -> String {
        let socket = self.folder.path().join("socket");
        format!("postgres://{ROLE}@localhost/postgres?host={}", socket.display())
    }

    /// The socket that it is reached over.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("socket/.s.PGSQL.5432")
    }

    /// Ends the server as a fault would: nothing is said, nothing is written.
    pub(crate) fn kill(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }

    /// Starts a killed server again; it recovers what was committed.
    pub(crate) fn start_again(&mut self) {
        self.server = serve(self.folder.path(), &self.settings);
    }

    /// Everything that its tables hold, as SQL text.
    pub(crate) fn dump(&self) -> Vec<u8> {
        let socket = self.folder.path().join("socket");
        let dump = Command::new(bin("pg_dump"))
            .args([
                "--clean",
                "--if-exists",
                "--inserts",
                "--username",
                ROLE,
                "--dbname",
                "postgres",
                "--host",
            ])
            .arg(socket)
            .output()
            .unwrap();
        assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
        dump.stdout
    }

    /// Replaces its tables by those of a dump.
    pub(crate) fn restore(&self, dump: &[u8]) {
        let file = self.folder.path().join("dump.sql");
        fs::write(&file, dump).unwrap();
        run(Command::new(bin("psql"))
            .args([
                "--quiet",
                "--set",
                "ON_ERROR_STOP=1",
                "--username",
                ROLE,
                "--dbname",
                "postgres",
                "--host",
            ])
            .arg(self.folder.path().join("socket"))
            .arg("--file")
            .arg(file));
    }

    /// What a question comes to, as `psql` prints it without names and borders.
    pub(crate) fn told(&self, sql: &str) -> String {
        let told = Command::new(bin("psql"))
            .args([
                "--quiet",
                "--no-align",
                "--tuples-only",
                "--set",
                "ON_ERROR_STOP=1",
            ])
            .args([
                "--username",
                ROLE,
                "--dbname",
                "postgres",
                "--command",
                sql,
                "--host",
            ])
            .arg(self.folder.path().join("socket"))
            .output()
            .unwrap();
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        String::from_utf8(told.stdout).unwrap()
    }

    /// What it keeps on the disk, as bytes.
    pub(crate) fn files(&self) -> Vec<u8> {
        let mut all = Vec::new();
        let mut folders = vec![self.folder.path().join("data")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                match entry.file_type().unwrap() {
                    kind if kind.is_dir() => folders.push(entry.path()),
                    kind if kind.is_file() => all.extend(fs::read(entry.path()).unwrap_or_default()),
                    _ => {}
                }
            }
        }
        all
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // A server that is gone already is what is wanted.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Starts the server and waits until it says that it is ready. Backends of a killed one may still be letting go of
/// its memory; the server then ends at once and is started again.
fn serve(folder: &Path, settings: &[String]) -> Child {
    loop {
        let mut command = as_its_user("setpriv", &["--pdeathsig", "KILL"]);
        command.arg(bin("postgres")).arg("-D").arg(folder.join("data"));
        command.arg("-k").arg(folder.join("socket"));
        for setting in settings {
            command.args(["-c", setting]);
        }
        let mut server = command
            .stderr(Stdio::piped())
            // Backends that outlive it for a moment would hold the test's own.
            .stdout(Stdio::null())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(server.stderr.take().unwrap()).lines();
        let mut said = String::new();
        while let Some(Ok(line)) = lines.next() {
            if line.contains("database system is ready to accept connections") {
                std::thread::spawn(move || for _ in lines {});
                return server;
            }
            said += &line;
            said += "\n";
        }
        server.wait().unwrap();
        assert!(
            said.contains("still in use"),
            "PostgreSQL does not start:\n{said}"
        );
    }
}

/// A data folder as `initdb` leaves it, made at the first use on this machine.
fn template() -> PathBuf {
    let version = Command::new(bin("postgres")).arg("--version").output().unwrap();
    let version = String::from_utf8_lossy(&version.stdout);
    let version: String = version.chars().filter(char::is_ascii_digit).collect();
    let user = if is_root() { "root" } else { "own" };
    let place = std::env::temp_dir().join(format!("farglass-postgres-{version}-{user}"));
    if place.exists() {
        return place;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let made = folder.path().join("data");
    let mut initdb = as_its_user("setpriv", &["--pdeathsig", "KILL"]);
    initdb.arg(bin("initdb")).arg("-D").arg(&made);
    initdb.args([
        "-U",
        ROLE,
        "--auth=trust",
        "--encoding=UTF8",
        "--locale=C",
        "--no-sync",
        "--no-instructions",
    ]);
    run(&mut initdb);
    // Another test may have been faster; its folder is as good.
    if let Err(error) = fs::rename(&made, &place) {
        assert!(place.exists(), "{error}");
    }
    place
}

/// A command of `setpriv` that gives root away where we have it.
fn as_its_user(setpriv: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(setpriv);
    command.args(arguments);
    if is_root() {
        let users = fs::read_to_string("/etc/passwd").unwrap();
        let known = users.lines().any(|line| line.starts_with("postgres:"));
        let user = if known { "postgres" } else { "nobody" };
        command.args(["--reuid", user, "--clear-groups"]);
        command.args(["--regid", if known { "postgres" } else { "nogroup" }]);
    }
    command
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

fn bin(name: &str) -> PathBuf {
    let found = FOLDERS
        .iter()
        .map(|folder| Path::new(folder).join(name))
        .find(|bin| bin.exists());
    found.unwrap_or_else(|| panic!("PostgreSQL's {name} is missing: cargo xtask setup installs it"))
}

fn run(command: &mut Command) {
    let done = command.output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command:?}: {said}");
}
