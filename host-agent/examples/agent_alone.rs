//! An agent in a process of its own, for tests that look at what it costs: whatever grows here is the agent's.
//!
//! ```text
//!   agent_alone CONTROL TOKEN-FILE DATA SERVER-FILE VERSION NAME=ADDRESS…      until its standard input closes
//! ```
//!
//! It films at thirty pictures a second, listens for viewers on loopback and records nothing. The real program is
//! `farglass agent`, which this package does not know.

use std::io::Read as _;

use host_agent::config::SILENCE_MAX;
use host_agent::{CaptureConfig, Config, ControlConfig, MediaConfig};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [control, token, data, server, version, devices @ ..] = arguments.as_slice() else {
        return Err("agent_alone CONTROL TOKEN-FILE DATA SERVER-FILE VERSION NAME=ADDRESS…".into());
    };
    let devices = devices
        .iter()
        .map(|device| device.parse())
        .collect::<Result<_, _>>()?;
    let config = Config {
        control: ControlConfig {
            address: control.clone(),
            join_token_file: Some(token.into()),
            name: "trial host".to_owned(),
        },
        data: data.into(),
        devices,
        capture: CaptureConfig {
            server_file: server.into(),
            server_version: version.parse()?,
            fps_max: Some(30),
            bit_rate: 2_000_000,
            silence_max: SILENCE_MAX,
        },
        media: MediaConfig {
            bind: ([127, 0, 0, 1], 0).into(),
            advertise: vec![],
        },
        record: None,
    };
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    std::thread::spawn(move || {
        // Whoever started it hangs up, or is gone.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        stopping.cancel();
    });
    host_agent::run(config, stop).await?;
    Ok(())
}
