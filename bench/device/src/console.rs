//! The emulator's console, on a port of its own: sets what is around the device, as an Android emulator's does.
//!
//! ```text
//!   greeting ── auth TOKEN ──► commands, a line each ──► lines of an answer, then  OK  or  KO: why
//!      └ without a token: at once        help · ping · sensor · geo · power · rotate · avd · quit
//! ```
//!
//! Lines end with CR LF towards the client and with either towards here. Who does not know the token gets no further than
//! `help`, `ping`, `avd` and `quit`. `adb emu` speaks it too. It does not know adb; what it sets is in
//! [`surroundings`](crate::android::surroundings). Of the emulator's commands those above are there; another one is
//! refused in its words.

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::Android;
use crate::android::surroundings::{Fix, Sensor};

/// Clients at once. Reached: the next one's connection is closed.
pub const CLIENTS_MAX: usize = 8;
/// Longest line in bytes. Reached: the connection is closed.
const LINE_LEN_MAX: u64 = 1_024;
/// Where a client finds the token; it stands in the greeting and in refusals.
const TOKEN_FILE: &str = "~/.emulator_console_auth_token";

/// Serves clients until the future is dropped, and their connections with it. Without a token nobody has to know one.
pub async fn serve(listener: TcpListener, android: Android, token: Option<String>) {
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = clients.join_next(), if !clients.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok(_) if clients.len() >= CLIENTS_MAX => tracing::warn!("too many clients of the console"),
                Ok((socket, _)) => {
                    let session = Session { android: android.clone(), token: token.clone(), admitted: token.is_none() };
                    // A client that hangs up has nobody to be told.
                    clients.spawn(async move { drop(session.run(socket).await) });
                }
                Err(error) => {
                    tracing::warn!(%error, "a client of the console could not be accepted");
                    tokio::task::yield_now().await;
                }
            },
        }
    }
}

struct Session {
    android: Android,
    token: Option<String>,
    admitted: bool,
}

/// How a command ended.
#[derive(Debug, PartialEq)]
enum Reply {
    /// Lines without their ends, then OK.
    Ok(Vec<String>),
    /// Why not.
    Ko(String),
    /// The connection ends.
    Quit,
}

impl Session {
    async fn run(mut self, socket: impl AsyncRead + AsyncWrite) -> std::io::Result<()> {
        let (reader, mut writer) = tokio::io::split(socket);
        let mut reader = BufReader::new(reader);
        writer.write_all(self.greeting().as_bytes()).await?;
        loop {
            let mut line = Vec::new();
            let read = (&mut reader)
                .take(LINE_LEN_MAX)
                .read_until(b'\n', &mut line)
                .await?;
            if read == 0 || line.last() != Some(&b'\n') {
                return Ok(());
            }
            let line = String::from_utf8_lossy(&line).trim().to_owned();
            let answer = match self.command(&line) {
                Reply::Ok(mut lines) => {
                    lines.push("OK".to_owned());
                    lines.iter().map(|line| format!("{line}\r\n")).collect()
                }
                Reply::Ko(why) => format!("KO: {why}\r\n"),
                Reply::Quit => return Ok(()),
            };
            writer.write_all(answer.as_bytes()).await?;
        }
    }

    fn greeting(&self) -> String {
        if self.admitted {
            return welcome();
        }
        format!(
            "Android Console: Authentication required\r\nAndroid Console: type 'auth <auth_token>' to authenticate\r\nAndroid \
             Console: you can find your <auth_token> in \r\n'{TOKEN_FILE}'\r\nOK\r\n"
        )
    }

    fn command(&mut self, line: &str) -> Reply {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] => Reply::Ok(Vec::new()),
            ["quit" | "exit"] => Reply::Quit,
            ["help" | "h" | "?", ..] => Reply::Ok(self.help()),
            ["ping"] => one("I am alive!"),
            ["avd", "name"] => one(&self.android.name()),
            ["avd", "status"] => one("virtual device is running"),
            ["auth", token] => self.auth(token),
            ["auth"] => ko("missing authentication token"),
            _ if !self.admitted => ko("unknown command, try 'help'"),
            ["sensor", rest @ ..] => sensor(&self.android, rest),
            ["geo", rest @ ..] => geo(&self.android, rest),
            ["power", rest @ ..] => power(&self.android, rest),
            ["rotate"] => {
                self.android.turn_in_hand();
                done()
            }
            _ => ko("unknown command, try 'help'"),
        }
    }

    fn auth(&mut self, token: &str) -> Reply {
        if self.token.as_deref().is_some_and(|known| known != token) {
            return ko(&format!("authentication token does not match {TOKEN_FILE}"));
        }
        self.admitted = true;
        one("Android Console: type 'help' for a list of commands")
    }

    fn help(&self) -> Vec<String> {
        let mut lines = vec!["Android console commands:".to_owned()];
        let open = ["help", "ping", "avd", "auth", "quit"];
        let closed = ["sensor", "geo", "power", "rotate"];
        let commands = open.iter().chain(closed.iter().filter(|_| self.admitted));
        lines.extend(commands.map(|command| format!("    {command}")));
        lines
    }
}

fn welcome() -> String {
    "Android Console: type 'help' for a list of commands\r\nOK\r\n".to_owned()
}

/// `sensor status`, `sensor get NAME`, `sensor set NAME A[:B[:C]]`.
fn sensor(android: &Android, words: &[&str]) -> Reply {
    let known = |name: &str| {
        Sensor::of_name(name).ok_or_else(|| {
            Reply::Ko(format!(
                "unknown sensor name: {name}, run 'sensor status' to get available sensors."
            ))
        })
    };
    match words {
        ["status"] => {
            let lines = Sensor::ALL
                .into_iter()
                .map(|sensor| format!("{}: enabled.", sensor.name()));
            Reply::Ok(lines.collect())
        }
        ["get", name] => match known(name) {
            Ok(sensor) => {
                let values: Vec<String> = android.sensor(sensor).iter().map(f32::to_string).collect();
                one(&format!("{name} = {}", values.join(":")))
            }
            Err(ko) => ko,
        },
        ["set", name, values] => match (known(name), numbers(values)) {
            (Err(ko), _) => ko,
            (Ok(_), None) => ko(&format!("invalid sensor value: {values}")),
            (Ok(sensor), Some(values)) => {
                android.set_sensor(sensor, &values);
                done()
            }
        },
        _ => ko("usage: sensor status | get <name> | set <name> <a>[:<b>[:<c>]]"),
    }
}

/// One to three finite numbers.
fn numbers(text: &str) -> Option<Vec<f32>> {
    let values: Option<Vec<f32>> = text.split(':').map(|value| value.parse().ok()).collect();
    values.filter(|values| values.len() <= 3 && values.iter().all(|value| value.is_finite()))
}

/// `geo fix LONGITUDE LATITUDE [ALTITUDE [SATELLITES]]`.
fn geo(android: &Android, words: &[&str]) -> Reply {
    let ["fix", longitude, latitude, rest @ ..] = words else {
        return ko("usage: geo fix <longitude> <latitude> [<altitude> [<satellites>]]");
    };
    let number = |text: &str, most: f64| text.parse::<f64>().ok().filter(|value| value.abs() <= most);
    let (altitude, satellites) = match rest {
        [] => (Some(0.0), Some(1)),
        [altitude] => (number(altitude, f64::from(i32::MAX)), Some(1)),
        [altitude, satellites, ..] => (
            number(altitude, f64::from(i32::MAX)),
            satellites.parse().ok().filter(|count| (1..=12).contains(count)),
        ),
    };
    match (
        number(longitude, 180.0),
        number(latitude, 90.0),
        altitude,
        satellites,
    ) {
        (Some(longitude), Some(latitude), Some(altitude), Some(satellites)) => {
            android.set_fix(Fix {
                longitude,
                latitude,
                altitude,
                satellites,
            });
            done()
        }
        (None, ..) => ko("argument 'longitude' is invalid: a number from -180 to 180"),
        (_, None, ..) => ko("argument 'latitude' is invalid: a number from -90 to 90"),
        (_, _, None, _) => ko("argument 'altitude' is invalid: a number"),
        (_, _, _, None) => ko("argument 'satellites' is invalid: 1 to 12"),
    }
}

const STATUS: [&str; 5] = ["unknown", "charging", "discharging", "not-charging", "full"];
const HEALTH: [&str; 6] = ["unknown", "good", "overheat", "dead", "overvoltage", "failure"];

/// `power display | ac | status | present | health | capacity`.
fn power(android: &Android, words: &[&str]) -> Reply {
    let mut battery = android.battery();
    // Android counts these from 1.
    let place = |names: &[&str], word: &str| {
        let at = names.iter().position(|name| *name == word)?;
        u8::try_from(at + 1).ok()
    };
    let known = match words {
        ["display"] => {
            let name =
                |names: &[&'static str], number: u8| names[usize::from(number).clamp(1, names.len()) - 1];
            return Reply::Ok(vec![
                format!("AC: {}", if battery.ac { "online" } else { "offline" }),
                format!("status: {}", name(&STATUS, battery.status)),
                format!("health: {}", name(&HEALTH, battery.health)),
                format!("present: {}", battery.present),
                format!("capacity: {}", battery.capacity),
            ]);
        }
        ["ac", word @ ("on" | "off")] => {
            battery.ac = *word == "on";
            true
        }
        ["present", word @ ("true" | "false")] => {
            battery.present = *word == "true";
            true
        }
        ["status", word] => set(&mut battery.status, place(&STATUS, word)),
        ["health", word] => set(&mut battery.health, place(&HEALTH, word)),
        ["capacity", word] => {
            let level = word.parse().ok().filter(|level| *level <= 100);
            set(&mut battery.capacity, level)
        }
        _ => false,
    };
    match known {
        true => {
            android.set_battery(battery);
            done()
        }
        false => ko(
            "usage: power display | ac on|off | status unknown|charging|discharging|not-charging|full | present true|false | \
             health unknown|good|overheat|dead|overvoltage|failure | capacity <0-100>",
        ),
    }
}

/// Sets a value if there is one; whether there is.
fn set(place: &mut u8, value: Option<u8>) -> bool {
    *place = value.unwrap_or(*place);
    value.is_some()
}

fn one(line: &str) -> Reply {
    Reply::Ok(vec![line.to_owned()])
}

fn done() -> Reply {
    Reply::Ok(Vec::new())
}

fn ko(why: &str) -> Reply {
    Reply::Ko(why.to_owned())
}

/// Entry point for fuzzing: any lines, by somebody who knows the token.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let android = Android::new(crate::android::Model {
        name: "Fuzzed".to_owned(),
        width: 320,
        height: 320,
    });
    let mut session = Session {
        android,
        token: None,
        admitted: true,
    };
    for line in String::from_utf8_lossy(bytes).lines() {
        if let Reply::Ok(lines) = session.command(line.trim()) {
            assert!(lines.iter().all(|line| !line.contains('\n')), "{lines:?}");
        }
    }
    let fix = session.android.fix();
    assert!(fix.is_none_or(|fix| fix.longitude.abs() <= 180.0 && fix.latitude.abs() <= 90.0));
    assert!(session.android.battery().capacity <= 100);
}
