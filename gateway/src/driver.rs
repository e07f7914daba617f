//! The one file that touches the socket and the clock.

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use tokio::sync::mpsc;

use crate::error::StartError;
use crate::event::{Event, GatewayConfig};
use crate::handle::Shared;
use crate::mailbox::Mail;

/// Wakes the media thread from another one.
pub(crate) struct Bell(EventFd);

impl Bell {
    pub(crate) fn new() -> Result<Self, StartError> {
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        Ok(Self(
            EventFd::from_value_and_flags(0, flags).map_err(std::io::Error::from)?,
        ))
    }

    pub(crate) fn ring(&self) {
        // Fails only when the counter is full, and then the bell is already ringing.
        let _ = self.0.write(1);
    }
}

pub(crate) fn spawn(
    config: &GatewayConfig,
    shared: Arc<Shared>,
    events: mpsc::Sender<Event>,
) -> Result<SocketAddr, StartError> {
    let socket = UdpSocket::bind(config.bind)?;
    let local_addr = socket.local_addr()?;
    std::thread::Builder::new().name("media".into()).spawn(move || {
        let mut mail = Mail::default();
        loop {
            shared.mailbox.take(&mut mail);
            if mail.stop {
                drop(events);
                return;
            }
            let mut fds = [PollFd::new(shared.bell.0.as_fd(), PollFlags::POLLIN)];
            if poll(&mut fds, PollTimeout::NONE).is_ok() {
                let _ = shared.bell.0.read();
            }
        }
    })?;
    Ok(local_addr)
}
