//! What an agent has read and checked before its loop begins: what it captures with, what it records into, and how it
//! reaches control.
//!
//! Everything that an operator may have got wrong is found here, before a device is touched or control is dialled. It
//! does not know what is done with any of it.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use signaling::link::client;
use signaling::link::token::JoinToken;

use crate::capture::{Pulse, Recipe};
use crate::config::{Config, ControlConfig, DEVICES_MAX, RecordConfig};
use crate::error::AgentError;
use crate::recorder::Recorder;

/// What [`Config`] comes to.
pub(crate) struct Start {
    /// What every capture is made with.
    pub(crate) recipe: Recipe,
    /// Where the wire is written to, if it is.
    pub(crate) recorder: Option<Recorder>,
    /// How control is reached.
    pub(crate) link: client::Config,
}

impl Start {
    /// Makes the agent's folder and reads what the config names.
    ///
    /// # Errors
    /// [`AgentError`]: too many devices or one twice, or a file or folder that cannot be used.
    pub(crate) fn of(config: &Config) -> Result<Self, AgentError> {
        check_devices(config)?;
        make_folder(&config.data)?;
        Ok(Self {
            recipe: recipe(config)?,
            recorder: recorder(config)?,
            link: link_config(&config.control, &config.data)?,
        })
    }
}

fn check_devices(config: &Config) -> Result<(), AgentError> {
    if config.devices.len() > DEVICES_MAX {
        return Err(AgentError::TooManyDevices(config.devices.len()));
    }
    let mut names = HashSet::new();
    match config.devices.iter().find(|device| !names.insert(&device.name)) {
        Some(twice) => Err(AgentError::DeviceTwice(twice.name.clone())),
        None => Ok(()),
    }
}

fn make_folder(path: &Path) -> Result<(), AgentError> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| AgentError::File {
        what: "the agent's folder",
        path: path.to_owned(),
        source,
    })
}

fn recorder(config: &Config) -> Result<Option<Recorder>, AgentError> {
    let open = |record: &RecordConfig| {
        Recorder::open(record).map_err(|source| AgentError::Record {
            folder: record.folder.clone(),
            source,
        })
    };
    config.record.as_ref().map(open).transpose()
}

fn recipe(config: &Config) -> Result<Recipe, AgentError> {
    let capture = &config.capture;
    let server = fs::read(&capture.server_file).map_err(|source| AgentError::File {
        what: "the scrcpy server",
        path: capture.server_file.clone(),
        source,
    })?;
    Ok(Recipe {
        server: Bytes::from(server),
        version: capture.server_version,
        fps_max: capture.fps_max,
        bit_rate: capture.bit_rate,
        pulse: Pulse {
            every: Pulse::EVERY,
            timeout: capture.silence_max,
        },
    })
}

/// The join token is read if it is there: an enrolled host does not need it any more.
fn link_config(control: &ControlConfig, data: &Path) -> Result<client::Config, AgentError> {
    let join = match &control.join_token_file {
        Some(path) => match fs::read_to_string(path) {
            Ok(text) => {
                let token = text.trim().parse::<JoinToken>();
                Some(token.map_err(|source| AgentError::Token {
                    path: path.clone(),
                    source,
                })?)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(source) => {
                let (what, path) = ("the join token", path.clone());
                return Err(AgentError::File { what, path, source });
            }
        },
        None => None,
    };
    Ok(client::Config {
        control: control.address.clone(),
        identity: data.join("identity"),
        join,
        name: control.name.clone(),
    })
}
