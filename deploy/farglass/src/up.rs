//! `farglass up`: control, one agent and simulated devices on this machine, as children of this process.
//!
//! ```text
//!  folder, ports ──► control ──► device × N ──► agent ──► health = ready ──► links ──► up.json, announcement
//!        │ refused       └──────────── one never holds ─────────┘                          │ Ctrl-C, SIGTERM
//!        ▼                                  ▼                                              ▼
//!     exit 1, one sentence          all ended, exit 1                     agent, devices, control ended, exit 0
//! ```
//!
//! It knows how the parts are put together and nothing of their insides: it starts them by their command
//! lines and talks to control as any client does. Each part could run on another machine instead.

mod announce;
mod api;
mod children;
mod folder;
mod ports;

use std::ffi::OsString;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio_util::sync::CancellationToken;

use api::{Api, Health};
use children::{Children, Spec};
use folder::{Folder, ReadyLink, UpDevice, UpJson};

/// Health is asked this often while everything starts: short against the second that a start takes.
const HEALTH_EVERY: Duration = Duration::from_millis(100);
/// A start takes about two seconds; after this it is given up with the last health told.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// Most devices that one `up` starts: each draws and encodes, about half a core when it moves.
const DEVICES_MAX: i64 = 16;
/// The scrcpy version whose wire the agent speaks with our devices.
const SCRCPY_VERSION: &str = "4.1";

/// Arguments of `farglass up`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Port of the web pages (TCP) and of the agents' link (UDP); 0 picks a free one.
    #[arg(long, default_value_t = 3000)]
    port: u16,

    /// Folder for everything that is kept; created when missing.
    #[arg(long, default_value = "data", value_name = "DIR")]
    data: PathBuf,

    /// How many simulated devices to run.
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=DEVICES_MAX))]
    devices: u8,

    /// Address to listen on. Away from loopback, browsers want HTTPS: put a TLS proxy in front and tell its
    /// address with --public-url.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), value_name = "IP")]
    listen: IpAddr,

    /// Address under which people reach the pages, when it is another than the one that is listened on.
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
}

/// A simulated device to be: its name and where its adb daemon will listen.
struct Planned {
    name: String,
    adb: SocketAddr,
}

/// Runs everything until `stop`.
pub(crate) async fn run(args: Args, stop: CancellationToken) -> anyhow::Result<()> {
    let addr = ports::service(args.listen, args.port)?;
    let folder = Folder::open(&args.data)?;
    folder.retire_up()?;
    let last = folder.last_up();
    let url = args.public_url.clone().unwrap_or_else(|| default_url(addr));
    let devices: Vec<Planned> = ports::adb(usize::from(args.devices))?
        .into_iter()
        .enumerate()
        .map(|(n, port)| Planned {
            name: format!("device-{}", n + 1),
            adb: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        })
        .collect();
    folder.write_private("scrcpy-server", &::device::stand_in_server(SCRCPY_VERSION))?;

    let mut children = Children::new();
    for spec in specs(addr, &url, &folder, &devices)? {
        children.start(spec);
    }
    let result = tokio::select! {
        // Asked to end while starting: as good an end as any.
        () = stop.cancelled() => Ok(()),
        why = children.gave_up() => Err(anyhow::anyhow!("{why}")),
        started = start(addr, url, &folder, &devices, last) => match started {
            Ok(announcement) => {
                children.settle();
                tell(&announcement)?;
                stop.cancelled().await;
                Ok(())
            }
            Err(error) => Err(error),
        },
    };
    children.end().await;
    folder.retire_up()?;
    result
}

/// The children's command lines, in the order of their start.
fn specs(addr: SocketAddr, url: &str, folder: &Folder, devices: &[Planned]) -> anyhow::Result<Vec<Spec>> {
    let program = std::env::current_exe().context("this program cannot find itself")?;
    let spec = |name: &str, command: &str, args: Vec<OsString>| {
        let mut all: Vec<OsString> = vec![
            command.into(),
            "--die-with".into(),
            std::process::id().to_string().into(),
        ];
        all.extend(args);
        Spec {
            name: name.to_owned(),
            program: program.clone(),
            args: all,
        }
    };
    let token = folder.join("join-token").into_os_string();
    let mut specs = vec![spec(
        "control",
        "control",
        vec![
            "--listen".into(),
            addr.to_string().into(),
            "--data".into(),
            folder.path().into(),
            "--public-url".into(),
            url.into(),
            "--join-token-file".into(),
            token.clone(),
        ],
    )];
    let mut agent: Vec<OsString> = vec![
        "--control".into(),
        addr.to_string().into(),
        "--join-token-file".into(),
        token,
        "--data".into(),
        folder.join("agent").into(),
        "--scrcpy-server".into(),
        folder.join("scrcpy-server").into(),
        "--scrcpy-version".into(),
        SCRCPY_VERSION.into(),
        "--media".into(),
        SocketAddr::new(addr.ip(), 0).to_string().into(),
    ];
    for Planned { name, adb } in devices {
        specs.push(spec(
            name,
            "device",
            vec![
                "--adb-port".into(),
                adb.port().to_string().into(),
                "--name".into(),
                name.into(),
            ],
        ));
        agent.extend(["--device".into(), format!("{name}={adb}").into()]);
    }
    specs.push(spec("agent", "agent", agent));
    Ok(specs)
}

/// Waits until all is ready, makes the links and writes `up.json`; returns what to tell.
async fn start(
    addr: SocketAddr,
    url: String,
    folder: &Folder,
    planned: &[Planned],
    last: Option<UpJson>,
) -> anyhow::Result<String> {
    let mut api = Api::new(addr)?;
    wait_until_ready(&api).await?;
    if !api.serves_pages().await? {
        bail!(
            "the web pages are not built: run `cargo xtask up`, which builds them, or `npm ci && npm run build` in web/"
        );
    }
    let admin = folder.admin()?;
    api.login(&admin.login, &admin.password)
        .await
        .context("the admin of admin.json cannot log in")?;
    let listed = api.devices().await?;

    let mut up = UpJson {
        url,
        admin,
        links: Vec::new(),
        devices: Vec::new(),
    };
    for Planned { name, adb } in planned {
        let device = listed
            .iter()
            .find(|device| device.name == *name)
            .with_context(|| format!("control does not list {name}, though it says that all is ready"))?;
        let url = match kept_link(&api, last.as_ref(), &up.url, &device.id).await? {
            Some(url) => url,
            None => api.create_link(device).await?,
        };
        up.links.push(ReadyLink {
            device: device.id.clone(),
            url,
        });
        up.devices.push(UpDevice {
            id: device.id.clone(),
            adb: adb.to_string(),
        });
    }
    folder.write_up(&up)?;
    let names: Vec<String> = planned.iter().map(|device| device.name.clone()).collect();
    announce::text(&up, &names, &folder.join("up.json"))
}

async fn wait_until_ready(api: &Api) -> anyhow::Result<()> {
    let deadline = Instant::now() + READY_TIMEOUT;
    let mut ask = tokio::time::interval(HEALTH_EVERY);
    loop {
        ask.tick().await;
        let health = api.health().await;
        match health {
            Health::Ready => return Ok(()),
            Health::Silent | Health::Starting(_) if Instant::now() < deadline => {}
            Health::Silent => bail!("control does not answer after {} s", READY_TIMEOUT.as_secs()),
            Health::Starting(body) => {
                bail!(
                    "not everything is ready after {} s; control says: {body}",
                    READY_TIMEOUT.as_secs()
                );
            }
        }
    }
}

/// The link that the last start has made for this device, when people can still open it at this address: a
/// link that was sent to somebody goes on working over restarts.
async fn kept_link(
    api: &Api,
    last: Option<&UpJson>,
    url: &str,
    device: &str,
) -> anyhow::Result<Option<String>> {
    let Some(last) = last.filter(|last| last.url == url) else {
        return Ok(None);
    };
    for link in last.links.iter().filter(|link| link.device == device) {
        if api.link_is_good(&link.url).await? {
            return Ok(Some(link.url.clone()));
        }
    }
    Ok(None)
}

/// `localhost` for loopback: browsers grant it what they otherwise grant only to HTTPS.
fn default_url(addr: SocketAddr) -> String {
    if addr.ip().is_loopback() {
        format!("http://localhost:{}", addr.port())
    } else {
        format!("http://{addr}")
    }
}

fn tell(announcement: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(announcement.as_bytes())
        .and_then(|()| out.flush())
        .context("stdout cannot be written")
}
