//! Ports of `farglass up`: found before anything starts, so that a taken one is told in one sentence.
//!
//! A port that was free a moment ago can be taken before its owner binds it. The owner then fails with its
//! own words and the start gives up: rare enough on one machine to be worth the simple way.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use anyhow::{Context as _, bail};

use crate::device::CLAIMED_BY_ADB;

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

/// Free loopback ports for the adb daemons of `n` devices, all different and none that adb servers claim.
pub(crate) fn adb(n: usize) -> anyhow::Result<Vec<u16>> {
    unclaimed(n, || {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        Ok((listener.local_addr()?.port(), listener))
    })
    .context("no free port for a device")
}

/// `n` ports outside of [`CLAIMED_BY_ADB`]. All that are offered are held until then, so that none is offered twice:
/// at most [`CLAIMED_BY_ADB`]'s 31 more than wanted.
fn unclaimed<L>(n: usize, mut offer: impl FnMut() -> io::Result<(u16, L)>) -> io::Result<Vec<u16>> {
    let (mut held, mut ports) = (Vec::new(), Vec::new());
    while ports.len() < n {
        let (port, listener) = offer()?;
        held.push(listener);
        if !CLAIMED_BY_ADB.contains(&port) {
            ports.push(port);
        }
    }
    Ok(ports)
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

    #[test]
    fn a_device_never_gets_a_port_that_adb_servers_claim() {
        let mut offered = [5554, 5555, 5570, 5585, 5586].into_iter();
        let ports = unclaimed(2, || Ok((offered.next().expect("two are good"), ())));
        assert_eq!(ports.unwrap(), [5554, 5586]);
        let none_left = unclaimed::<()>(1, || Err(ErrorKind::AddrInUse.into()));
        assert_eq!(none_left.unwrap_err().kind(), ErrorKind::AddrInUse);
    }
}
