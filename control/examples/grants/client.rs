//! A client as lean as can be, and the clock of what is due.
//!
//! ```text
//!   pacemaker (a thread that sleeps) ── due ──► one of SHARING connections ── POST /api/v1/launch ──► control
//! ```
//!
//! People are on other machines. What their browsers compute is no part of what control takes, and here it would be
//! computed on control's cores; so a request is one write, and an answer is read to the length that it says. Clients have
//! a thread and a runtime of their own: none waits for a turn of control's. The pacemaker sleeps in the kernel, because a
//! timer of the runtime wakes up to a millisecond late.

use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// Longer than any answer to a launch.
const ANSWER_MAX: usize = 16 * 1024;

/// A connection that opens links.
pub(crate) struct Client {
    stream: TcpStream,
    address: SocketAddr,
    read: Vec<u8>,
}

impl Client {
    /// Connects, from this address.
    pub(crate) async fn from(address: SocketAddr, from: IpAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        let stream = socket.connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            address,
            read: Vec::with_capacity(ANSWER_MAX),
        }
    }

    /// The request that opens a link, as a browser sends it that was never here.
    pub(crate) fn request(address: SocketAddr, token: &str) -> Vec<u8> {
        let body = format!(r#"{{"token":"{token}"}}"#);
        let length = body.len();
        format!(
            "POST /api/v1/launch HTTP/1.1\r\nhost: {address}\r\norigin: http://{address}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    }

    /// Opens a link, and is granted it.
    pub(crate) async fn launch(&mut self, token: &str) {
        let request = Self::request(self.address, token);
        self.stream.write_all(&request).await.unwrap();
        self.read.clear();
        while !is_whole(&self.read) {
            let read = self.stream.read_buf(&mut self.read).await.unwrap();
            assert!(read > 0 && self.read.len() < ANSWER_MAX, "{}", self.said());
        }
        assert!(self.read.starts_with(b"HTTP/1.1 202 "), "{}", self.said());
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&self.read).into_owned()
    }
}

/// Whether an answer is there to its end.
fn is_whole(answer: &[u8]) -> bool {
    const END: &[u8] = b"\r\n\r\n";
    const LENGTH: &str = "content-length: ";
    let Some(end) = answer.windows(END.len()).position(|at| at == END) else {
        return false;
    };
    let head = std::str::from_utf8(&answer[..end]).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix(LENGTH));
    let length: usize = length
        .expect("answers of control say how long they are")
        .parse()
        .unwrap();
    answer.len() >= end + END.len() + length
}
