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
mod plan;
mod ports;

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use api::{Api, Health};
use children::Children;
use folder::{Folder, ReadyLink, UpDevice, UpJson};
use plan::{Plan, Planned, SCRCPY_SERVER, SCRCPY_VERSION, default_url};

/// Health is asked this often while everything starts: short against the second that a start takes.
const HEALTH_EVERY: Duration = Duration::from_millis(100);
/// Devices are up within tens of milliseconds.
const ADB_EVERY: Duration = Duration::from_millis(10);
/// A start takes about a second; after this it is given up with the last health told.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// Most devices that one `up` starts: each draws and encodes, and one that always moves takes about a third of a core,
/// 6 ms a picture at 60 Hz (`cargo run -p device --example cost dev.farglass.motion`, two cores, the dev profile).
const DEVICES_MAX: i64 = 16;

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

/// Runs everything until `stop`.
pub(crate) async fn run(args: Args, stop: CancellationToken) -> anyhow::Result<()> {
    let addr = ports::service(args.listen, args.port)?;
    let folder = Folder::open(&args.data)?;
    folder.retire_up()?;
    folder.write_private(SCRCPY_SERVER, &::device::stand_in_server(SCRCPY_VERSION))?;
    let plan = Plan {
        program: std::env::current_exe().context("this program cannot find itself")?,
        parent: std::process::id(),
        addr,
        url: args.public_url.unwrap_or_else(|| default_url(addr)),
        data: folder.path().to_owned(),
        devices: Planned::on(&ports::adb(usize::from(args.devices))?),
    };

    let (mut children, mut gave_up) = Children::new();
    let result = tokio::select! {
        // Asked to end while starting: as good an end as any.
        () = stop.cancelled() => Ok(()),
        why = gave_up.told() => Err(anyhow::anyhow!("{why}")),
        result = serve(&plan, &folder, &mut children, &stop) => result,
    };
    children.end().await;
    folder.retire_up()?;
    result
}

/// Starts everything, tells about it, and waits for the end.
async fn serve(
    plan: &Plan,
    folder: &Folder,
    children: &mut Children,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let mut api = Api::new(plan.addr)?;
    children.start(plan.control());
    // Control has written the agent's token by the time it answers.
    wait_for(&api, Answers::Anything).await?;
    for device in plan.devices() {
        children.start(device);
    }
    for device in &plan.devices {
        wait_for_adb(device).await?;
    }
    children.start(plan.agent());
    wait_for(&api, Answers::Ready).await?;

    let up = make_ready(plan, folder, &mut api).await?;
    folder.write_up(&up)?;
    children.settle();
    let names: Vec<String> = plan.devices.iter().map(|device| device.name.clone()).collect();
    tell(&announce::text(&up, &names, &folder.join("up.json"))?)?;
    stop.cancelled().await;
    Ok(())
}

/// Logs in and sees to it that every device has a link.
async fn make_ready(plan: &Plan, folder: &Folder, api: &mut Api) -> anyhow::Result<UpJson> {
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
    let last = folder.last_up().filter(|last| last.url == plan.url);

    let (mut links, mut devices) = (Vec::new(), Vec::new());
    for Planned { name, adb } in &plan.devices {
        let device = listed
            .iter()
            .find(|device| device.name == *name)
            .with_context(|| format!("control does not list {name}, though it says that all is ready"))?;
        let url = match kept_link(api, last.as_ref(), &device.id).await? {
            Some(url) => url,
            None => api.create_link(device).await?,
        };
        links.push(ReadyLink {
            device: device.id.clone(),
            url,
        });
        devices.push(UpDevice {
            id: device.id.clone(),
            adb: adb.to_string(),
        });
    }
    Ok(UpJson {
        url: plan.url.clone(),
        admin,
        links,
        devices,
    })
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answers {
    /// Control is there.
    Anything,
    /// Control says that all is ready.
    Ready,
}

async fn wait_for(api: &Api, wanted: Answers) -> anyhow::Result<()> {
    let deadline = Instant::now() + READY_TIMEOUT;
    let seconds = READY_TIMEOUT.as_secs();
    let mut ask = tokio::time::interval(HEALTH_EVERY);
    loop {
        ask.tick().await;
        match api.health().await {
            Health::Ready => return Ok(()),
            Health::Starting(_) if wanted == Answers::Anything => return Ok(()),
            Health::Silent | Health::Starting(_) if Instant::now() < deadline => {}
            Health::Silent => bail!("control does not answer after {seconds} s"),
            Health::Starting(body) => {
                bail!("not everything is ready after {seconds} s; control says: {body}")
            }
        }
    }
}

/// Waits until a device takes connections: an agent that comes too early says that it is out of reach.
async fn wait_for_adb(device: &Planned) -> anyhow::Result<()> {
    let deadline = Instant::now() + READY_TIMEOUT;
    let mut ask = tokio::time::interval(ADB_EVERY);
    loop {
        ask.tick().await;
        match TcpStream::connect(device.adb).await {
            Ok(_) => return Ok(()),
            Err(_) if Instant::now() < deadline => {}
            Err(error) => {
                let seconds = READY_TIMEOUT.as_secs();
                let what = format!("{} takes no connections after {seconds} s", device.name);
                return Err(anyhow::Error::new(error).context(what));
            }
        }
    }
}

/// The link that the last run has made for this device, when people can still open it: a link that was sent
/// to somebody goes on working over restarts.
async fn kept_link(api: &Api, last: Option<&UpJson>, device: &str) -> anyhow::Result<Option<String>> {
    let links = last.map(|last| last.links.as_slice()).unwrap_or_default();
    for link in links.iter().filter(|link| link.device == device) {
        if api.link_is_good(&link.url).await? {
            return Ok(Some(link.url.clone()));
        }
    }
    Ok(None)
}

fn tell(announcement: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(announcement.as_bytes())
        .and_then(|()| out.flush())
        .context("stdout cannot be written")
}
