//! Who may come in at the simulated device's adb daemon, and which flow control it offers.
//!
//! ```text
//!   nothing                                anyone, as with ro.adb.secure=0
//!   --authorized-keys F                    AUTH: hosts whose public key is a line of F
//!   --authorized-keys F --tls-key K        the same keys, shown in TLS (STLS), as with wireless debugging
//!   … --new-keys accept                    and every new key, as if somebody confirmed it on the screen
//! ```

use std::path::PathBuf;

use ::device::adbd::DelayedAck;
use ::device::key_file::{self, Missing};
use ::device::known_keys::{KnownKeys, NewKeys};
use ::device::{Guard, Mirroring, Traits, Window};
use anyhow::Context;

/// The owner's name in the device's own key.
const OWNER: &str = "simulated@farglass";

/// Arguments about the adb daemon's door. Their group has a name of its own, for clap's would be that of the others.
#[derive(Debug, clap::Args)]
#[group(id = "door")]
pub(super) struct Args {
    /// Asks hosts for an adb key: this file holds the public keys that may come in, one a line. Without it anyone may.
    #[arg(long, value_name = "FILE")]
    authorized_keys: Option<PathBuf>,

    /// What is done about other keys; those that are accepted are known for as long as the device runs.
    #[arg(
        long,
        value_name = "POLICY",
        default_value = "refuse",
        requires = "authorized_keys"
    )]
    new_keys: Policy,

    /// Asks for the key in TLS, with this key of its own (PEM); it is made when the file is missing.
    #[arg(long, value_name = "FILE", requires = "authorized_keys")]
    tls_key: Option<PathBuf>,

    /// Whether it lists delayed acknowledgement, as Android 14 and later do.
    #[arg(long, value_name = "SWITCH", default_value = "on")]
    delayed_ack: Switch,

    /// Bytes that a host may send on each stream before they are taken, with delayed acknowledgement; 1 to 33554432.
    #[arg(long, value_name = "BYTES", default_value_t = Window::default().bytes(), value_parser = window)]
    window: u32,
}

/// What is done about a key that is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Policy {
    Accept,
    Refuse,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Switch {
    On,
    Off,
}

impl Args {
    /// Reads the key files; makes the device's own key if there is none.
    pub(super) fn traits(&self, mirroring: Mirroring) -> anyhow::Result<Traits> {
        Ok(Traits {
            mirroring,
            guard: self.guard()?,
            delayed_ack: match self.delayed_ack {
                Switch::On => DelayedAck::Listed,
                Switch::Off => DelayedAck::Missing,
            },
            window: Window::new(self.window).context("the window is out of its range")?,
            ..Traits::default()
        })
    }

    fn guard(&self) -> anyhow::Result<Guard> {
        let Some(file) = &self.authorized_keys else {
            return Ok(Guard::Open);
        };
        let new = match self.new_keys {
            Policy::Accept => NewKeys::Accept,
            Policy::Refuse => NewKeys::Refuse,
        };
        let known = KnownKeys::new(key_file::load_public(file)?, new);
        Ok(match &self.tls_key {
            None => Guard::Keys(known),
            Some(file) => Guard::Tls {
                key: key_file::load(file, OWNER, Missing::Generate)?,
                known,
            },
        })
    }
}

fn window(text: &str) -> Result<u32, String> {
    let bytes = text.parse().ok().and_then(Window::new);
    bytes
        .map(Window::bytes)
        .ok_or_else(|| format!("not a number of bytes from 1 to {}", Window::MAX))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn read(line: &[&str]) -> Result<Args, clap::Error> {
        Line::try_parse_from([&["device"], line].concat()).map(|line| line.args)
    }

    #[test]
    fn without_arguments_anyone_comes_in_and_delayed_acknowledgement_is_listed() {
        let traits = read(&[]).unwrap().traits(Mirroring::default()).unwrap();
        assert!(matches!(traits.guard, Guard::Open));
        assert_eq!(traits.delayed_ack, DelayedAck::Listed);
        assert_eq!(traits.window, Window::default());
    }

    #[test]
    fn a_file_of_keys_closes_the_door_and_a_key_of_its_own_puts_it_into_tls() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let (keys, own) = (path("adb_keys"), path("own"));
        let host = key_file::load(&folder.path().join("host"), "a@b", Missing::Generate).unwrap();
        std::fs::write(&keys, format!("\n{}\n\n", host.public())).unwrap();
        let guard = |line: &[&str]| read(line).unwrap().guard().unwrap();
        match guard(&["--authorized-keys", &keys]) {
            Guard::Keys(known) => assert_eq!(known.all(), [host.public().clone()]),
            other => panic!("{other:?}"),
        }
        let tls = [
            "--authorized-keys",
            &keys,
            "--tls-key",
            &own,
            "--new-keys",
            "accept",
        ];
        let Guard::Tls { key, known } = guard(&tls) else {
            panic!("no TLS");
        };
        assert_eq!(known.all().len(), 1);
        let again = key_file::load(&folder.path().join("own"), OWNER, Missing::Fail).unwrap();
        assert_eq!(again.public(), key.public(), "the device keeps its key");
        std::fs::write(&keys, "not a key\n").unwrap();
        let refused = read(&["--authorized-keys", &keys]).unwrap().guard().unwrap_err();
        assert!(refused.to_string().contains("adb_keys"), "{refused}");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            &["--tls-key", "k"][..],
            &["--new-keys", "accept"],
            &["--window", "0"],
            &["--window", "33554433"],
            &["--delayed-ack", "perhaps"],
        ] {
            assert!(read(line).is_err(), "{line:?}");
        }
        let off = read(&["--delayed-ack", "off", "--window", "4096"]).unwrap();
        let traits = off.traits(Mirroring::default()).unwrap();
        assert_eq!(traits.delayed_ack, DelayedAck::Missing);
        assert_eq!(traits.window.bytes(), 4096);
    }
}
