//! A viewer that decodes nothing: it puts pictures together by the rules of RFC 6184 alone, and remembers when each came;
//! or one that only counts what it is sent, for pictures that nobody could keep.
//!
//! The peer is the one of the gateway's own tests (`peer.rs`), on a real socket.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use gateway::access_unit::NalKind;
use gateway::limits::GOP_FRAMES_MAX;
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
    forgotten: Arc<AtomicUsize>,
    _drive: AbortOnDropHandle<()>,
}

/// What a viewer does with the packets of pictures.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    Keeps,
    /// Counts their bytes, and keeps none.
    Counts,
}

impl Viewer {
    /// A viewer and its offer.
    pub async fn offer(connection: ConnectionId, memory: Memory) -> (Self, String) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let now = Instant::now();
        let mut peer = Browser::new(connection, socket.local_addr().unwrap(), true, now);
        let sdp = peer.offer(now);
        let (peer, told) = (Arc::new(Mutex::new(peer)), Arc::new(Notify::new()));
        let (moves, moved) = watch::channel(());
        let forgotten = Arc::new(AtomicUsize::new(0));
        let ends = Ends {
            peer: Arc::clone(&peer),
            told: Arc::clone(&told),
            moves,
            forgotten: (memory == Memory::Counts).then(|| Arc::clone(&forgotten)),
        };
        let drive = tokio::spawn(drive(socket, ends));
        let viewer = Self {
            peer,
            told,
            moved,
            forgotten,
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

    /// Asks for a key frame when nobody but the encoder has one, and waits for it.
    pub async fn has_the_encoder_reset(&mut self) {
        let is_key = |nal: &Vec<u8>| NalKind::of(nal[0]) == NalKind::IdrSlice;
        let keys = |peer: &Browser| {
            let frames = peer.frames();
            let keys = frames.iter().filter(|frame| frame.nals.iter().any(is_key));
            let newest = frames.iter().rposition(|frame| frame.nals.iter().any(is_key));
            (keys.count(), newest.map_or(0, |newest| frames.len() - newest))
        };
        let mut before = 0;
        self.until("a group is too long to be kept", |peer| {
            let length;
            (before, length) = keys(peer);
            length > GOP_FRAMES_MAX
        })
        .await;
        self.peer.lock().unwrap().ask_for_key_frame(Instant::now());
        self.told.notify_one();
        self.until("a key frame", |peer| keys(peer).0 > before).await;
    }

    /// What was said on the channels since the last call.
    pub fn heard(&self) -> Vec<(Instant, Channel, Vec<u8>)> {
        std::mem::take(&mut self.peer.lock().unwrap().messages)
    }

    /// Bytes of pictures that were counted and not kept.
    pub fn counted(&self) -> usize {
        self.forgotten.load(Ordering::Relaxed)
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

/// What a viewer shares with its task.
struct Ends {
    peer: Arc<Mutex<Browser>>,
    told: Arc<Notify>,
    moves: watch::Sender<()>,
    /// Set for one that only counts.
    forgotten: Option<Arc<AtomicUsize>>,
}

async fn drive(socket: UdpSocket, ends: Ends) {
    let Ends {
        peer,
        told,
        moves,
        forgotten,
    } = ends;
    let mut buffer = [0; 2_048];
    loop {
        let (out, due) = {
            let mut peer = peer.lock().unwrap();
            let out = peer.pump(Instant::now());
            if let Some(count) = &forgotten {
                let packets = std::mem::take(&mut peer.packets).into_values();
                let bytes = packets.map(|(_, packet)| packet.payload.len()).sum();
                count.fetch_add(bytes, Ordering::Relaxed);
            }
            (out, peer.pc.poll_timeout())
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
