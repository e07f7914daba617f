//! What `farglass up` is going to run: addresses and names decided, command lines derived. Pure.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::children::Spec;

/// The scrcpy version whose wire the agent speaks with our devices.
pub(crate) const SCRCPY_VERSION: &str = "4.1";
/// Name of the stand-in that is pushed to simulated devices, in the data folder.
pub(crate) const SCRCPY_SERVER: &str = "scrcpy-server";
/// Name of the file by which control hands the agent its one-time token, in the data folder.
const JOIN_TOKEN: &str = "join-token";

/// Everything that is decided before anything runs.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// This program.
    pub(crate) program: PathBuf,
    /// This process, which the children do not outlive.
    pub(crate) parent: u32,
    /// HTTP (TCP) and the agents' link (UDP).
    pub(crate) addr: SocketAddr,
    /// Under which people reach the pages.
    pub(crate) url: String,
    /// The data folder.
    pub(crate) data: PathBuf,
    /// The simulated devices.
    pub(crate) devices: Vec<Planned>,
}

/// A simulated device to be.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    /// Its name, for people and for the agent.
    pub(crate) name: String,
    /// Where its adb daemon will listen.
    pub(crate) adb: SocketAddr,
}

impl Planned {
    /// `device-1`, `device-2` … on these loopback ports.
    pub(crate) fn on(ports: &[u16]) -> Vec<Self> {
        let device = |(n, port): (usize, &u16)| Self {
            name: format!("device-{}", n + 1),
            adb: SocketAddr::from((Ipv4Addr::LOCALHOST, *port)),
        };
        ports.iter().enumerate().map(device).collect()
    }
}

impl Plan {
    /// Control's command line.
    pub(crate) fn control(&self) -> Spec {
        self.spec("control", "control")
            .with("--listen", self.addr.to_string())
            .with("--data", &self.data)
            .with("--public-url", &self.url)
            .with("--join-token-file", self.data.join(JOIN_TOKEN))
    }

    /// A command line per device.
    pub(crate) fn devices(&self) -> impl Iterator<Item = Spec> {
        self.devices.iter().map(|device| {
            self.spec(&device.name, "device")
                .with("--adb-port", device.adb.port().to_string())
                .with("--name", &device.name)
        })
    }

    /// The agent's command line. It takes media where people reach the pages, on a port of its own.
    pub(crate) fn agent(&self) -> Spec {
        let media = SocketAddr::new(self.addr.ip(), 0);
        let agent = self
            .spec("agent", "agent")
            .with("--control", self.addr.to_string())
            .with("--join-token-file", self.data.join(JOIN_TOKEN))
            .with("--data", self.data.join("agent"))
            .with("--scrcpy-server", self.data.join(SCRCPY_SERVER))
            .with("--scrcpy-version", SCRCPY_VERSION)
            .with("--media", media.to_string());
        self.devices.iter().fold(agent, |agent, Planned { name, adb }| {
            agent.with("--device", format!("{name}={adb}"))
        })
    }

    fn spec(&self, name: &str, command: &str) -> Spec {
        let spec = Spec {
            name: name.to_owned(),
            program: self.program.clone(),
            args: vec![command.into()],
        };
        spec.with("--die-with", self.parent.to_string())
    }
}

impl Spec {
    fn with(mut self, option: &str, value: impl AsRef<Path>) -> Self {
        self.args.extend([OsString::from(option), value.as_ref().into()]);
        self
    }
}

/// The address for people when none is told: `localhost` for loopback, because browsers grant it what they
/// otherwise grant only to HTTPS.
pub(crate) fn default_url(addr: SocketAddr) -> String {
    if addr.ip().is_loopback() {
        format!("http://localhost:{}", addr.port())
    } else {
        format!("http://{addr}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(spec: &Spec) -> String {
        let words: Vec<&str> = spec.args.iter().map(|word| word.to_str().unwrap()).collect();
        words.join(" ")
    }

    fn plan() -> Plan {
        let addr = "127.0.0.1:3000".parse().unwrap();
        Plan {
            program: "farglass".into(),
            parent: 7,
            addr,
            url: default_url(addr),
            data: "data".into(),
            devices: Planned::on(&[7001, 7002]),
        }
    }

    #[test]
    fn every_child_is_told_whose_end_is_its_end() {
        let plan = plan();
        for spec in plan.devices().chain([plan.control(), plan.agent()]) {
            assert!(line(&spec).contains(" --die-with 7 "), "{}", line(&spec));
        }
    }

    #[test]
    fn the_agent_dials_control_and_knows_every_device_by_name() {
        let plan = plan();
        let names: Vec<String> = plan.devices().map(|spec| spec.name).collect();
        assert_eq!(names, ["device-1", "device-2"]);
        let agent = line(&plan.agent());
        for part in [
            "--control 127.0.0.1:3000",
            "--media 127.0.0.1:0",
            "--device device-1=127.0.0.1:7001",
            "--device device-2=127.0.0.1:7002",
        ] {
            assert!(agent.contains(part), "{part} is missing in {agent}");
        }
        assert!(line(&plan.control()).contains("--public-url http://localhost:3000"));
    }

    #[test]
    fn only_loopback_is_called_localhost() {
        assert_eq!(
            default_url("127.0.0.1:80".parse().unwrap()),
            "http://localhost:80"
        );
        assert_eq!(
            default_url("192.0.2.7:80".parse().unwrap()),
            "http://192.0.2.7:80"
        );
    }
}
