//! The emulator console of `farglass device` as a person starts it, with both of its options, and as a program uses it.
//!
//! ```text
//!   farglass device --adb-port 0 --console-port 0 --console-token-file F
//!            ▲ adb: dumpsys           ▲ TCP, lines: auth TOKEN · geo fix … · sensor set …
//!            └───────── test ─────────┘
//! ```
//!
//! What the console makes of each command is the matter of its own tests, which hand it a listener and a token. Here the
//! port, the token and the device behind it are those that the options name.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod running;

use std::net::SocketAddr;
use std::time::Duration;

use adb::Host;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use running::Device;

/// The longest that one answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn who_has_the_token_of_the_file_sets_location_and_sensors_at_the_consoles_port_and_nobody_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    // As an editor leaves it.
    std::fs::write(&file, "of-the-file\n").unwrap();
    let file = file.to_str().unwrap();
    let device = Device::start(&["--console-port", "0", "--console-token-file", file]).await;
    let console = device.console.expect("it tells where its console is");
    assert_eq!(console.ip(), device.address.ip());
    let host = Host::connect(device.address).await.unwrap();

    let mut stranger = Client::connect(console).await;
    let greeting = stranger.answer().await;
    assert_eq!(greeting[0], "Android Console: Authentication required");
    let refused = stranger.asks("auth wrong").await;
    assert!(
        refused.len() == 1 && refused[0].starts_with("KO: authentication token does not match"),
        "{refused:?}"
    );
    for command in ["geo fix 13.405 52.52", "sensor set acceleration 1.5:-2:0.25"] {
        assert_eq!(stranger.asks(command).await, ["KO: unknown command, try 'help'"]);
    }
    let location = dumpsys(&host, "location").await;
    assert!(location.contains("last location=null\n"), "{location}");
    let sensors = dumpsys(&host, "sensorservice").await;
    assert!(!sensors.contains("1.50, -2.00, 0.25"), "{sensors}");

    let mut known = Client::connect(console).await;
    assert_eq!(known.answer().await, greeting);
    assert_eq!(known.asks("auth of-the-file").await.last().unwrap(), "OK");
    for command in ["geo fix 13.405 52.52", "sensor set acceleration 1.5:-2:0.25"] {
        assert_eq!(known.asks(command).await, ["OK"]);
    }
    let location = dumpsys(&host, "location").await;
    assert!(
        location.contains("last location=Location[gps 52.520000,13.405000 "),
        "{location}"
    );
    let sensors = dumpsys(&host, "sensorservice").await;
    assert!(sensors.contains("acceleration: 1.50, -2.00, 0.25\n"), "{sensors}");
}

async fn dumpsys(host: &Host, service: &str) -> String {
    let command = format!("dumpsys {service}");
    let output = timeout(PATIENCE, host.shell(&command)).await;
    let output = output.expect("the device says nothing").unwrap();
    assert_eq!(output.exit, Some(0), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A program at the console.
struct Client(BufReader<TcpStream>);

impl Client {
    async fn connect(console: SocketAddr) -> Self {
        Self(BufReader::new(TcpStream::connect(console).await.unwrap()))
    }

    /// Gives a command, and the lines of its answer.
    async fn asks(&mut self, command: &str) -> Vec<String> {
        let line = format!("{command}\r\n");
        self.0.get_mut().write_all(line.as_bytes()).await.unwrap();
        self.answer().await
    }

    /// The lines up to the one that says whether it was followed.
    async fn answer(&mut self) -> Vec<String> {
        let mut answer = Vec::new();
        let reading = async {
            loop {
                let mut line = String::new();
                let length = self.0.read_line(&mut line).await.unwrap();
                assert!(length > 0, "the console hung up");
                let line = line.trim_end_matches("\r\n").to_owned();
                let is_last = line == "OK" || line.starts_with("KO: ");
                answer.push(line);
                if is_last {
                    return;
                }
            }
        };
        timeout(PATIENCE, reading)
            .await
            .expect("the console says nothing");
        answer
    }
}
