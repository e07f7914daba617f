//! Which datagrams one send may carry together.
//!
//! The kernel cuts one large buffer into datagrams of one length (UDP_SEGMENT): all go to one
//! address, all but the last have the same length, at most [`SEND_SEGMENTS_MAX`] of them and
//! [`SEND_BYTES_MAX`] bytes in all. A picture in equal parts is one such run.
//!
//! ```text
//! to A 1200 │ to A 1200 │ to A 1200 │ to A 340 │ to A 1200 │ to B 90
//! └────────────────── one send ────────────────┘ └─ next ──┘ └ next
//! ```

use std::collections::VecDeque;
use std::net::SocketAddr;

use bytes::BytesMut;
use protocol::ConnectionId;

use crate::limits::{SEND_BYTES_MAX, SEND_SEGMENTS_MAX};

/// One datagram on its way out.
#[derive(Debug)]
pub struct Datagram {
    /// Whose.
    pub connection: ConnectionId,
    /// Where to.
    pub to: SocketAddr,
    /// What.
    pub data: BytesMut,
    /// Set on the last packet of a picture: whom to tell when it has left.
    pub frame: Option<FrameTag>,
}

/// Names one picture of one viewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameTag {
    /// The viewer.
    pub connection: ConnectionId,
    /// The picture's timestamp on that connection.
    pub rtp: u32,
}

/// How many datagrams at the front one send may carry, and the length of a segment.
#[must_use]
pub fn run(queue: &VecDeque<Datagram>) -> (usize, usize) {
    let Some(first) = queue.front() else { return (0, 0) };
    let segment = first.data.len();
    let (mut count, mut bytes) = (0, 0);
    for datagram in queue {
        let length = datagram.data.len();
        let fits = count < SEND_SEGMENTS_MAX && bytes + length <= SEND_BYTES_MAX;
        if datagram.to != first.to || length > segment || !fits {
            break;
        }
        count += 1;
        bytes += length;
        if length < segment {
            break;
        }
    }
    // A lone datagram goes out whatever its length: the kernel says what is wrong with it.
    (count.max(1), segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(datagrams: &[(u16, usize)]) -> VecDeque<Datagram> {
        let connection = ConnectionId::from_uuid(uuid::Uuid::nil());
        let datagram = |&(port, length): &(u16, usize)| Datagram {
            connection,
            to: ([10, 0, 0, 1], port).into(),
            data: BytesMut::zeroed(length),
            frame: None,
        };
        datagrams.iter().map(datagram).collect()
    }

    #[test]
    fn equal_parts_and_a_shorter_last_one_are_one_send() {
        assert_eq!(
            run(&queue(&[(1, 1200), (1, 1200), (1, 1200), (1, 340), (1, 1200)])),
            (4, 1200)
        );
    }

    #[test]
    fn a_short_packet_in_front_goes_alone() {
        assert_eq!(run(&queue(&[(1, 60), (1, 1200), (1, 1200)])), (1, 60));
    }

    #[test]
    fn another_address_ends_the_run() {
        assert_eq!(run(&queue(&[(1, 1200), (2, 1200)])), (1, 1200));
    }

    #[test]
    fn a_large_frame_is_cut_where_the_kernel_would_refuse() {
        assert_eq!(run(&queue(&[(1, 1200); 100])), (54, 1200));
        assert_eq!(run(&queue(&[(1, 100); 100])), (SEND_SEGMENTS_MAX, 100));
    }

    #[test]
    fn nothing_waits_in_an_empty_queue() {
        assert_eq!(run(&VecDeque::new()), (0, 0));
    }
}
