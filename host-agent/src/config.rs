//! What an agent is told when it starts: one struct per concern.
//!
//! ```text
//!   Config ─┬─ control   where control is, and how to join it
//!           ├─ devices   NAME=WAY, each name once       (way.rs)
//!           ├─ capture   the scrcpy server and what it is asked for
//!           ├─ media     where viewers' media arrives
//!           └─ record    what is written down of the wire, if anything
//! ```
//!
//! Here is what the values mean and which are refused. Reading flags and environment is the main program's job;
//! nothing here looks at a disk or a network.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use protocol::label::LABELS_MAX;
use scrcpy::ServerVersion;

use crate::label::Label;
use crate::recorder::Text;
use crate::way::{Way, WayTextError};

/// Longest name of a device.
pub const DEVICE_NAME_BYTES_MAX: usize = 63;
/// Devices of one agent: each takes a capture, and a host has encoders for far fewer. More is refused.
pub const DEVICES_MAX: usize = 256;
/// A device under load answers a shell within seconds; this is what people call dead.
pub const SILENCE_MAX: Duration = Duration::from_secs(15);

/// Everything an agent needs.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where control is.
    pub control: ControlConfig,
    /// Folder for the host's certificate, device ids and fences; made if missing. Losing it means joining
    /// again, new device ids, and an operator who makes sure that no old lease is at work.
    pub data: PathBuf,
    /// The devices, at most [`DEVICES_MAX`], each name once.
    pub devices: Vec<DeviceConfig>,
    /// How devices are filmed.
    pub capture: CaptureConfig,
    /// Where viewers' media arrives.
    pub media: MediaConfig,
    /// What is written down of the wire to the devices; `None` = nothing.
    pub record: Option<RecordConfig>,
}

/// What is written down of the wire to the devices.
#[derive(Debug, Clone)]
pub struct RecordConfig {
    /// Folder for the recordings, one folder in it for each device; made if missing.
    pub folder: PathBuf,
    /// What becomes of what people type and copy.
    pub text: Text,
}

/// Where control is and who we are to it.
#[derive(Debug, Clone)]
pub struct ControlConfig {
    /// `host:port` of its QUIC link.
    pub address: String,
    /// A file with a one-time join token, for the first start. It may be missing once the host is enrolled.
    pub join_token_file: Option<PathBuf>,
    /// What this host calls itself, for people.
    pub name: String,
}

/// How devices are filmed. The same for all, for now.
#[derive(Debug, Clone)]
pub struct CaptureConfig {
    /// The scrcpy server's file, pushed to a device at each start.
    pub server_file: PathBuf,
    /// The server's own version, exactly: it refuses to start for another.
    pub server_version: ServerVersion,
    /// Pictures per second at most; `None` as many as the device makes. Higher costs the device's encoder
    /// and everyone's bandwidth, lower costs latency: half a frame on average.
    pub fps_max: Option<u16>,
    /// Bits per second of the device's encoder. Higher is sharper and fills links sooner.
    pub bit_rate: u32,
    /// How long a device may take to answer a shell before it counts as gone: usually [`SILENCE_MAX`].
    pub silence_max: Duration,
}

/// Where viewers' media arrives.
#[derive(Debug, Clone)]
pub struct MediaConfig {
    /// The one UDP socket for all viewers; port 0 lets the system choose.
    pub bind: SocketAddr,
    /// Addresses that browsers can reach; empty means the address of `bind`.
    pub advertise: Vec<IpAddr>,
}

/// One device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceConfig {
    /// What it is called on this host: its folder, and with it its id and fence, go by this name.
    pub name: DeviceName,
    /// How it is reached.
    pub way: Way,
    /// By what links choose it; at most [`LABELS_MAX`].
    pub labels: BTreeMap<String, String>,
}

/// A device's name: small letters, digits and `-`, 1 to [`DEVICE_NAME_BYTES_MAX`] bytes, so that it can be a
/// folder and part of a web address.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceName(String);

/// Why a text does not name a device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceConfigError {
    /// Not `NAME=WAY`.
    #[error("{0:?} is not of the form NAME=HOST:PORT")]
    Form(String),
    /// A label of a device that is not configured.
    #[error("there is a label for the device {0}, and no such device")]
    Unknown(DeviceName),
    /// More labels than control takes.
    #[error("the device {0} has more than {LABELS_MAX} labels")]
    TooManyLabels(DeviceName),
    /// The way to it.
    #[error(transparent)]
    Way(#[from] WayTextError),
    /// The name has other characters or is too long.
    #[error("{0:?} is no device name: small letters, digits and '-', at most {DEVICE_NAME_BYTES_MAX}")]
    Name(String),
}

impl DeviceName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for DeviceName {
    type Err = DeviceConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let good = !text.is_empty() && text.len() <= DEVICE_NAME_BYTES_MAX && text.bytes().all(allowed);
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(DeviceConfigError::Name(text.to_owned()))
        }
    }
}

impl DeviceConfig {
    /// Gives the devices their labels; the last one of a key counts.
    ///
    /// # Errors
    /// There is no such device, or it has too many.
    pub fn label(devices: &mut [Self], labels: Vec<Label>) -> Result<(), DeviceConfigError> {
        for Label { device, key, value } in labels {
            let Some(labelled) = devices.iter_mut().find(|known| known.name == device) else {
                return Err(DeviceConfigError::Unknown(device));
            };
            labelled.labels.insert(key, value);
            if labelled.labels.len() > LABELS_MAX {
                return Err(DeviceConfigError::TooManyLabels(device));
            }
        }
        Ok(())
    }
}

impl FromStr for DeviceConfig {
    type Err = DeviceConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, way) = text
            .split_once('=')
            .ok_or_else(|| DeviceConfigError::Form(text.to_owned()))?;
        Ok(Self {
            name: name.parse()?,
            way: way.parse()?,
            labels: BTreeMap::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_a_name_and_an_address() {
        let device: DeviceConfig = "pixel-1=127.0.0.1:6555".parse().unwrap();
        assert_eq!(device.name.as_str(), "pixel-1");
        assert_eq!(device.way, "127.0.0.1:6555".parse().unwrap());
    }

    #[test]
    fn labels_go_to_the_device_that_they_name_and_not_too_many() {
        let mut devices = vec!["a=h:1".parse().unwrap(), "b=h:2".parse::<DeviceConfig>().unwrap()];
        let labels = |texts: &[String]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let give =
            |devices: &mut Vec<DeviceConfig>, texts: &[String]| DeviceConfig::label(devices, labels(texts));
        give(&mut devices, &["b:pool=x".into(), "b:pool=demo".into()]).unwrap();
        assert_eq!(devices[0].labels.len(), 0);
        assert_eq!(devices[1].labels["pool"], "demo");
        let unknown = give(&mut devices, &["c:pool=x".into()]).unwrap_err();
        assert!(matches!(unknown, DeviceConfigError::Unknown(_)), "{unknown}");
        let many: Vec<String> = (0..=LABELS_MAX).map(|n| format!("a:k{n}=v")).collect();
        let refused = give(&mut devices, &many).unwrap_err();
        assert!(
            matches!(refused, DeviceConfigError::TooManyLabels(_)),
            "{refused}"
        );
    }

    #[test]
    fn what_could_leave_its_folder_is_no_name() {
        for name in ["", "..", "a/b", "A", "ä", "a b", &"x".repeat(64)] {
            assert!(name.parse::<DeviceName>().is_err(), "{name:?}");
        }
        for text in ["a", "a=b", "a=:1", "a=h:0", "a=h:70000", "=h:1"] {
            assert!(text.parse::<DeviceConfig>().is_err(), "{text:?}");
        }
    }
}
