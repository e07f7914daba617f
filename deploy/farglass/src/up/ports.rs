//! Ports of `farglass up`: found before anything starts, so that a taken one is told in one sentence.
//!
//! A port that was free a moment ago can be taken before its owner binds it. The owner then fails with its
//! own words and the start gives up: rare enough on one machine to be worth the simple way.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use anyhow::{Context as _, bail};

/// How often a free TCP port is looked for whose UDP twin is free too.
const TWIN_TRIES_MAX: u32 = 32;

/// The address for HTTP (TCP) and the agents' link (UDP, same number); `port` 0 picks one.
pub(crate) fn service(ip: IpAddr, port: u16) -> anyhow::Result<SocketAddr> {
    if port != 0 {
        let addr = SocketAddr::new(ip, port);
        TcpListener::bind(addr).map_err(|error| refused("TCP", addr, error))?;
        UdpSocket::bind(addr).map_err(|error| refused("UDP", addr, error))?;
        return Ok(addr);
    }
    for _ in 0..TWIN_TRIES_MAX {
        let addr = free_tcp(ip)?;
        if UdpSocket::bind(addr).is_ok() {
            return Ok(addr);
        }
    }
    bail!("no port of {ip} is free for both TCP and UDP; name one with --port")
}

/// Free loopback ports for the adb daemons of `n` devices, all different.
pub(crate) fn adb(n: usize) -> anyhow::Result<Vec<u16>> {
    let held: Vec<TcpListener> = (0..n)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect::<Result<_, _>>()
        .context("no free port for a device")?;
    held.iter().map(|l| Ok(l.local_addr()?.port())).collect()
}

fn free_tcp(ip: IpAddr) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((ip, 0)).with_context(|| format!("no free port on {ip}"))?;
    Ok(listener.local_addr()?)
}

fn refused(protocol: &str, addr: SocketAddr, error: std::io::Error) -> anyhow::Error {
    let port = addr.port();
    match error.kind() {
        ErrorKind::AddrInUse => anyhow::anyhow!(
            "port {port} ({protocol}) is taken by another program: end it, or choose another port with --port"
        ),
        ErrorKind::PermissionDenied => {
            anyhow::anyhow!("port {port} is not ours to open: choose one above 1023 with --port")
        }
        ErrorKind::AddrNotAvailable => {
            anyhow::anyhow!(
                "{} is no address of this machine: choose another with --listen",
                addr.ip()
            )
        }
        _ => anyhow::Error::new(error).context(format!("port {port} ({protocol}) cannot be opened")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn a_port_taken_on_tcp_or_udp_is_named_with_the_way_out() {
        let tcp = TcpListener::bind((HERE, 0)).unwrap();
        let port = tcp.local_addr().unwrap().port();
        let told = service(HERE, port).unwrap_err().to_string();
        assert!(
            told.contains(&port.to_string()) && told.contains("TCP") && told.contains("--port"),
            "{told}"
        );

        let udp = UdpSocket::bind((HERE, 0)).unwrap();
        let port = udp.local_addr().unwrap().port();
        let told = service(HERE, port).unwrap_err().to_string();
        assert!(told.contains("UDP") && told.contains("--port"), "{told}");
    }

    #[test]
    fn port_zero_picks_one_that_is_free_for_both() {
        let addr = service(HERE, 0).unwrap();
        assert_ne!(addr.port(), 0);
        service(HERE, addr.port()).unwrap();
    }

    #[test]
    fn every_device_gets_another_port() {
        let mut ports = adb(8).unwrap();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 8);
    }
}
