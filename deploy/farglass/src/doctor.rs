//! `farglass doctor`: looks at this host, at control and at devices, and prints what is well, what is not, and the cure.
//!
//! ```text
//!   ok      docker          Docker 28.1, API 1.48
//!   warning kvm             there is no device /dev/kvm
//!                           Emulators need it: …
//! ```
//!
//! Control and the clock are asked here ([`control`]), everything else in `host_agent::doctor`. The exit code is 1 when
//! something fails, and 0 when all is well or only warned of. With `--json` the same is one object, for machines:
//! `{"verdict","checks":[{"about","name","verdict","found","cure"}]}`.

mod control;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use host_agent::Way;
use host_agent::doctor::{self, Check, Places, ServerFile, Verdict};

/// Arguments of `farglass doctor`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Control's web address, as browsers use it.
    #[arg(long, value_name = "URL")]
    control: Option<reqwest::Url>,

    /// Where control's link is (UDP), when it is not at the web address's host and port.
    #[arg(long, value_name = "HOST:PORT", requires = "control")]
    link: Option<String>,

    /// Where viewers' media is to arrive, as for the agent. An agent that runs has the port.
    #[arg(long, value_name = "IP:PORT")]
    media: Option<SocketAddr>,

    /// Docker's socket.
    #[arg(long, value_name = "FILE", default_value = "/var/run/docker.sock")]
    docker_socket: PathBuf,

    /// The key that devices are shown; that of a --device with key=FILE is looked at without this.
    #[arg(long, value_name = "FILE")]
    adb_key: Option<PathBuf>,

    /// A device and the way to it, as for the agent but without a name: HOST:PORT, HOST:PORT,key=FILE or
    /// server:HOST:PORT/SERIAL; may be repeated.
    #[arg(long = "device", value_name = "WAY")]
    devices: Vec<Way>,

    /// The scrcpy server's file: its sum is looked up, and it is run on each device for its encoders.
    #[arg(long, value_name = "FILE", requires = "scrcpy_version")]
    scrcpy_server: Option<PathBuf>,

    /// The version that the agent is told.
    #[arg(long, value_name = "VERSION", requires = "scrcpy_server")]
    scrcpy_version: Option<String>,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// A check, and of what it was made.
struct Finding {
    about: String,
    check: Check,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let server = server(&args)?;
    let mut findings = Vec::new();
    let mut add = |about: &str, checks: Vec<Check>| {
        findings.extend(checks.into_iter().map(|check| Finding {
            about: about.to_owned(),
            check,
        }));
    };
    let places = Places {
        docker: args.docker_socket.clone(),
        ..Places::default()
    };
    let mut host = doctor::host(&places).await;
    host.extend(args.media.map(doctor::media_port));
    let own_keys = args.devices.iter().filter_map(|way| match way {
        Way::Direct { key, .. } => key.as_deref(),
        Way::Server { .. } => None,
    });
    for key in args.adb_key.as_deref().into_iter().chain(own_keys) {
        host.push(doctor::adb_key(key));
    }
    add("this host", host);
    if let Some(url) = &args.control {
        add("control", control::look(url, args.link.as_deref()).await);
    }
    for way in &args.devices {
        add(&way.to_string(), doctor::device(way, server.as_ref()).await);
    }
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", json(&findings))?;
    } else {
        write_text(&mut out, &findings)?;
    }
    let fails = |finding: &&Finding| matches!(finding.check.verdict, Verdict::Fails(_));
    let failures = findings.iter().filter(fails).count();
    anyhow::ensure!(failures == 0, "{failures} of {} checks fail", findings.len());
    Ok(())
}

fn server(args: &Args) -> anyhow::Result<Option<ServerFile>> {
    let (Some(file), Some(version)) = (&args.scrcpy_server, &args.scrcpy_version) else {
        return Ok(None);
    };
    let bytes = std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let version = version.parse().context("--scrcpy-version")?;
    Ok(Some(ServerFile {
        bytes: bytes.into(),
        version,
    }))
}

fn write_text(out: &mut impl std::io::Write, findings: &[Finding]) -> std::io::Result<()> {
    let mut about = "";
    for finding in findings {
        if finding.about != about {
            about = &finding.about;
            writeln!(out, "{about}")?;
        }
        writeln!(out, "  {}", finding.check.to_string().replace('\n', "\n  "))?;
    }
    Ok(())
}

fn json(findings: &[Finding]) -> serde_json::Value {
    let checks = findings.iter().map(|Finding { about, check }| {
        serde_json::json!({
            "about": about,
            "name": check.name,
            "verdict": check.verdict.word(),
            "found": check.found,
            "cure": check.verdict.cure(),
        })
    });
    let words = || findings.iter().map(|finding| finding.check.verdict.word());
    let worst = ["fails", "warning"]
        .into_iter()
        .find(|worst| words().any(|word| word == *worst));
    serde_json::json!({
        "verdict": worst.unwrap_or("ok"),
        "checks": checks.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> Vec<Finding> {
        let checks = [
            Check::ok("docker", "Docker 28.1"),
            Check::warning("kvm", "there is none", "Do this."),
        ];
        let about = "this host".to_owned();
        checks
            .map(|check| Finding {
                about: about.clone(),
                check,
            })
            .into()
    }

    #[test]
    fn a_line_says_the_verdict_the_name_and_what_was_found_and_the_next_one_the_cure() {
        let mut out = Vec::new();
        write_text(&mut out, &findings()).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "this host",
                "  ok      docker          Docker 28.1",
                "  warning kvm             there is none",
                "                          Do this.",
            ]
        );
    }

    #[test]
    fn the_worst_verdict_is_that_of_the_whole() {
        let mut findings = findings();
        let value = json(&findings);
        assert_eq!(value["verdict"], "warning");
        assert_eq!(
            value["checks"][1],
            serde_json::json!({
                "about": "this host", "name": "kvm", "verdict": "warning", "found": "there is none", "cure": "Do this."
            })
        );
        assert!(value["checks"][0]["cure"].is_null());
        findings[0].check = Check::fails("docker", "x", "y");
        assert_eq!(json(&findings)["verdict"], "fails");
        assert_eq!(json(&[])["verdict"], "ok");
    }
}
