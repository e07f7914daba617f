//! A viewer that decodes nothing: it puts pictures together by the rules of RFC 6184 alone, and remembers when each came.
//!
//! The peer is the one of the gateway's own tests (`peer.rs`), on a real socket.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use protocol::{Channel, ConnectionId};
use rtc::sansio::Protocol as _;
use tokio::net::UdpSocket;
use tokio::sync::{Notify, watch};
use tokio_util::task::AbortOnDropHandle;

use crate::peer::{Browser, Received};
use crate::rig::PATIENCE;

pub struct Viewer {
    peer: Arc<Mutex<Browser>>,
    /// Something is to be sent.
    told: Arc<Notify>,
    moved: watch::Receiver<()>,
    _drive: AbortOnDropHandle<()>,
}

impl Viewer {
    /// A viewer and its offer.
    pub async fn offer(connection: ConnectionId) -> (Self, String) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let now = Instant::now();
        let mut peer = Browser::new(connection, socket.local_addr().unwrap(), true, now);
        let sdp = peer.offer(now);
        let (peer, told) = (Arc::new(Mutex::new(peer)), Arc::new(Notify::new()));
        let (moves, moved) = watch::channel(());
        let drive = tokio::spawn(drive(socket, Arc::clone(&peer), Arc::clone(&told), moves));
        let viewer = Self {
            peer,
            told,
            moved,
            _drive: AbortOnDropHandle::new(drive),
        };
        (viewer, sdp)
    }

    pub fn accept(&self, answer: &str) {
        self.peer.lock().unwrap().accept(answer, Instant::now());
        self.told.notify_one();
    }

    pub fn say(&self, channel: Channel, bytes: &[u8]) {
        self.peer.lock().unwrap().send(channel, bytes, Instant::now());
        self.told.notify_one();
    }

    /// Pictures that came whole.
    pub fn pictures(&self) -> Vec<Received> {
        self.peer.lock().unwrap().frames()
    }

    /// Waits until the peer is as wanted.
    pub async fn until(&mut self, what: &str, mut wanted: impl FnMut(&Browser) -> bool) {
        let peer = Arc::clone(&self.peer);
        let there = self.moved.wait_for(|()| wanted(&peer.lock().unwrap()));
        let there = tokio::time::timeout(PATIENCE, there).await;
        drop(there.unwrap_or_else(|_| panic!("never: {what}")).unwrap());
    }
}

async fn drive(socket: UdpSocket, peer: Arc<Mutex<Browser>>, told: Arc<Notify>, moves: watch::Sender<()>) {
    let mut buffer = [0; 2_048];
    loop {
        let (out, due) = {
            let mut peer = peer.lock().unwrap();
            (peer.pump(Instant::now()), peer.pc.poll_timeout())
        };
        for (to, data) in out {
            socket.send_to(&data, to).await.unwrap();
        }
        moves.send_replace(());
        let due = async {
            match due {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // A gateway that is gone refuses what is still sent to it.
            Ok((length, from)) = socket.recv_from(&mut buffer) => {
                let mut peer = peer.lock().unwrap();
                peer.receive(from, &buffer[..length], Instant::now());
                while let Ok((length, from)) = socket.try_recv_from(&mut buffer) {
                    peer.receive(from, &buffer[..length], Instant::now());
                }
            }
            () = due => peer.lock().unwrap().pc.handle_timeout(Instant::now()).unwrap(),
            () = told.notified() => {}
        }
    }
}
