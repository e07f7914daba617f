//! `farglass control`: its arguments become control's config.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use tokio_util::sync::CancellationToken;

/// Arguments of `farglass control`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where pages and API are served (TCP), and the agents' link under the same port (UDP).
    #[arg(long, default_value = "127.0.0.1:3000", value_name = "IP:PORT")]
    listen: SocketAddr,

    /// Folder for the database, the certificate authority and the first admin's login.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,

    /// Where the database is: sqlite:FILE, or postgres://… with a host or ?host=/socket/folder; without it, a file in
    /// the data folder. An address with a password belongs into the variable, where `ps` does not show it.
    #[arg(long, value_name = "URL", env = "FARGLASS_DATABASE", hide_env_values = true)]
    database: Option<String>,

    /// How browsers reach it, like https://farglass.example.org; without it only this machine's do.
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,

    /// A proxy in front, as an address or a network like 10.0.0.0/8, whose X-Forwarded-For tells who a request is
    /// from; may be repeated. Without it all people behind a proxy are one to the limits and the audit log.
    #[arg(long, value_name = "ADDRESS", value_parser = network)]
    trusted_proxy: Vec<IpNet>,

    /// Where to write a one-time join token at the start, when no enrolled host can come back by itself.
    #[arg(long, value_name = "FILE")]
    join_token_file: Option<PathBuf>,
}

fn network(text: &str) -> Result<IpNet, String> {
    let one = || text.parse::<IpAddr>().map(IpNet::from);
    let parsed = text.parse::<IpNet>().or_else(|_| one());
    parsed.map_err(|_| format!("{text} is no address like 10.0.0.1 and no network like 10.0.0.0/8"))
}

pub(crate) async fn run(args: Args, stop: CancellationToken) -> anyhow::Result<()> {
    let config = ::control::Config {
        listen: args.listen,
        data: args.data,
        database: args.database,
        read_timeout: ::control::READ_TIMEOUT,
        public_url: args.public_url,
        proxies: ::control::proxies::Proxies::new(args.trusted_proxy),
        join_token_file: args.join_token_file,
    };
    ::control::run(config, stop).await
}
