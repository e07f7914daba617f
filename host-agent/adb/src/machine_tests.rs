//! The machine against hand-made packets: what it sends for what it gets, in both kinds of flow control.
//!
//! Without sockets and clocks: each test is the peer, packet by packet, also one that breaks the rules.

use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};

use super::*;

/// A machine, and the packets that it sends.
struct Rig {
    machine: Machine,
    sent: BytesMut,
}

impl Rig {
    fn new(delayed_ack: bool) -> Self {
        let agreement = Agreement {
            max_payload: 4,
            delayed_ack,
            window: Window::default(),
            sum: Sum::Zero,
        };
        Self {
            machine: Machine::new(agreement, PeerOpens::Queued),
            sent: BytesMut::new(),
        }
    }

    fn get(&mut self, command: Command, args: (u32, u32), payload: &'static [u8]) {
        self.try_get(command, args, payload).unwrap();
    }

    fn try_get(
        &mut self,
        command: Command,
        (arg0, arg1): (u32, u32),
        payload: &'static [u8],
    ) -> Result<(), ProtocolError> {
        let payload = Bytes::from_static(payload);
        self.machine.handle(Packet {
            command,
            arg0,
            arg1,
            payload,
        })
    }

    fn sent(&mut self) -> Vec<(Command, u32, u32, Vec<u8>)> {
        let output = self.machine.take_output();
        self.sent.extend_from_slice(&output);
        let mut packets = Vec::new();
        while let Some(packet) = Packet::decode(&mut self.sent).unwrap() {
            packets.push((packet.command, packet.arg0, packet.arg1, packet.payload.to_vec()));
        }
        packets
    }

    fn write(&mut self, id: LocalId, data: &[u8]) -> Poll<Result<Option<usize>, End>> {
        self.machine
            .poll_write(id, data, &mut Context::from_waker(Waker::noop()))
    }

    fn read(&mut self, id: LocalId) -> Poll<Result<Option<Bytes>, End>> {
        self.machine
            .poll_chunk(id, &mut Context::from_waker(Waker::noop()))
    }

    fn accept(&mut self, remote: u32, window: u32) -> LocalId {
        self.get(Command::Open, (remote, window), b"sync:\0");
        let open = self.machine.poll_pending(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(Some(open)) = open else {
            panic!("no OPEN waits")
        };
        assert_eq!(&open.service[..], b"sync:");
        self.machine.accept(open.remote).unwrap()
    }
}

#[test]
fn in_classic_mode_a_writer_waits_for_each_okay() {
    let mut rig = Rig::new(false);
    let id = rig.accept(7, 0);
    assert_eq!(rig.sent(), [(Command::Okay, id.0, 7, vec![])]);
    assert_eq!(rig.write(id, b"abcdef"), Poll::Ready(Ok(Some(4))));
    assert_eq!(rig.write(id, b"ef"), Poll::Pending);
    rig.get(Command::Okay, (7, id.0), b"");
    assert_eq!(rig.write(id, b"ef"), Poll::Ready(Ok(Some(2))));
    let wrte = |data: &[u8]| (Command::Wrte, id.0, 7, data.to_vec());
    assert_eq!(rig.sent(), [wrte(b"abcd"), wrte(b"ef")]);
}

#[test]
fn with_delayed_ack_a_writer_spends_its_credit() {
    let mut rig = Rig::new(true);
    let id = rig.accept(7, 6);
    assert_eq!(
        rig.sent(),
        [(
            Command::Okay,
            id.0,
            7,
            Window::default().bytes().to_le_bytes().to_vec()
        )]
    );
    assert_eq!(rig.write(id, b"abcdef"), Poll::Ready(Ok(Some(4))));
    assert_eq!(
        rig.write(id, b"efgh"),
        Poll::Ready(Ok(Some(4))),
        "credit may be overdrawn by one packet"
    );
    assert_eq!(rig.write(id, b"i"), Poll::Pending);
    rig.get(Command::Okay, (7, id.0), &[2, 0, 0, 0]);
    assert_eq!(rig.write(id, b"i"), Poll::Pending, "a credit of zero is none");
    rig.get(Command::Okay, (7, id.0), &[4, 0, 0, 0]);
    assert_eq!(rig.write(id, b"i"), Poll::Ready(Ok(Some(1))));
}

#[test]
fn a_credit_below_zero_is_paid_back_before_anything_more_is_written() {
    let mut rig = Rig::new(true);
    let id = rig.machine.open("x:").unwrap();
    // As an OKAY tells it that is smaller than nothing: -3.
    rig.get(Command::Okay, (7, id.0), &[0xfd, 0xff, 0xff, 0xff]);
    assert_eq!(rig.write(id, b"a"), Poll::Pending);
    rig.get(Command::Okay, (7, id.0), &[3, 0, 0, 0]);
    assert_eq!(rig.write(id, b"a"), Poll::Pending, "even is not enough");
    rig.get(Command::Okay, (7, id.0), &[5, 0, 0, 0]);
    assert_eq!(rig.write(id, b"a"), Poll::Ready(Ok(Some(1))));
    // A window that shrinks while there is credit: 4 - 6.
    rig.get(Command::Okay, (7, id.0), &[0xfa, 0xff, 0xff, 0xff]);
    assert_eq!(rig.write(id, b"b"), Poll::Pending);
    for _ in 0..3 {
        // -2147483648 each: nothing wraps round.
        rig.get(Command::Okay, (7, id.0), &[0, 0, 0, 0x80]);
        assert_eq!(rig.write(id, b"b"), Poll::Pending);
    }
}

#[test]
fn data_is_acknowledged_when_it_is_taken_and_not_before() {
    for delayed_ack in [false, true] {
        let mut rig = Rig::new(delayed_ack);
        let id = rig.accept(7, u32::from(delayed_ack));
        rig.sent();
        rig.get(Command::Wrte, (7, id.0), b"abc");
        assert_eq!(rig.sent(), []);
        assert_eq!(rig.read(id), Poll::Ready(Ok(Some(Bytes::from_static(b"abc")))));
        let payload = if delayed_ack { vec![3, 0, 0, 0] } else { vec![] };
        assert_eq!(rig.sent(), [(Command::Okay, id.0, 7, payload)]);
    }
}

#[test]
fn a_close_of_the_peer_is_answered_and_what_came_before_stays_readable() {
    let mut rig = Rig::new(false);
    let id = rig.accept(7, 0);
    rig.sent();
    rig.get(Command::Wrte, (7, id.0), b"last");
    rig.get(Command::Clse, (7, id.0), b"");
    assert_eq!(rig.sent(), [(Command::Clse, id.0, 7, vec![])]);
    assert_eq!(rig.write(id, b"x"), Poll::Ready(Ok(None)));
    assert_eq!(rig.read(id), Poll::Ready(Ok(Some(Bytes::from_static(b"last")))));
    assert_eq!(rig.read(id), Poll::Ready(Ok(None)));
    rig.machine.close(id);
    assert_eq!(
        rig.sent(),
        [],
        "nothing is sent to an id that the peer has closed"
    );
}

#[test]
fn packets_for_unknown_ids_are_ignored() {
    let mut rig = Rig::new(false);
    let id = rig.accept(7, 0);
    rig.machine.close(id);
    rig.sent();
    for command in [Command::Okay, Command::Wrte, Command::Clse] {
        rig.get(command, (7, id.0), b"");
        rig.get(command, (99, 98), b"");
    }
    assert_eq!(rig.sent(), []);
}

#[test]
fn a_remote_id_may_be_used_again() {
    let mut rig = Rig::new(false);
    let first = rig.accept(7, 0);
    rig.get(Command::Clse, (7, first.0), b"");
    let second = rig.accept(7, 0);
    assert_ne!(first, second);
    rig.get(Command::Wrte, (7, second.0), b"new");
    assert_eq!(
        rig.read(second),
        Poll::Ready(Ok(Some(Bytes::from_static(b"new"))))
    );
}

#[test]
fn an_open_that_was_given_up_is_closed_when_its_okay_comes() {
    let mut rig = Rig::new(false);
    let id = rig.machine.open("x:").unwrap();
    rig.machine.close(id);
    assert_eq!(rig.sent(), [(Command::Open, id.0, 0, b"x:\0".to_vec())]);
    rig.get(Command::Okay, (5, id.0), b"");
    assert_eq!(rig.sent(), [(Command::Clse, id.0, 5, vec![])]);
}

#[test]
fn an_open_with_the_wrong_window_is_refused() {
    for (delayed_ack, window) in [(false, 1), (true, 0)] {
        let mut rig = Rig::new(delayed_ack);
        rig.get(Command::Open, (7, window), b"sync:\0");
        assert_eq!(rig.sent(), [(Command::Clse, 0, 7, vec![])]);
    }
}

#[test]
fn too_many_waiting_opens_and_streams_are_refused() {
    let mut rig = Rig::new(false);
    for remote in 1..=u32::try_from(MAX_PENDING_OPENS).unwrap() {
        rig.get(Command::Open, (remote, 0), b"x:\0");
    }
    assert_eq!(rig.sent(), []);
    rig.get(Command::Open, (1000, 0), b"x:\0");
    assert_eq!(rig.sent(), [(Command::Clse, 0, 1000, vec![])]);

    let mut rig = Rig::new(false);
    for _ in 0..MAX_STREAMS {
        rig.machine.open("x:").unwrap();
    }
    assert_eq!(rig.machine.open("x:"), Err(OpenError::TooManyStreams));
}

#[test]
fn a_peer_that_breaks_the_rules_is_told_apart() {
    let mut rig = Rig::new(true);
    let id = rig.accept(7, 1);
    assert_eq!(
        rig.try_get(Command::Okay, (7, id.0), b""),
        Err(ProtocolError::OkayPayload(0))
    );
    assert_eq!(
        rig.try_get(Command::Open, (0, 1), b"x:\0"),
        Err(ProtocolError::ZeroId)
    );
    assert_eq!(
        rig.try_get(Command::Cnxn, (0, 0), b""),
        Err(ProtocolError::Unexpected(Command::Cnxn))
    );
    static BIG: [u8; 1024 * 1024] = [0; 1024 * 1024];
    rig.get(Command::Wrte, (7, id.0), &BIG);
    rig.get(Command::Wrte, (7, id.0), &BIG);
    assert_eq!(
        rig.try_get(Command::Wrte, (7, id.0), b"x"),
        Err(ProtocolError::WindowOverrun)
    );
}

#[test]
fn an_end_lets_readers_drain_and_then_tells_why() {
    let mut rig = Rig::new(false);
    let id = rig.accept(7, 0);
    rig.get(Command::Wrte, (7, id.0), b"last");
    rig.machine.finish(End::PeerClosed);
    rig.machine.finish(End::Closed);
    assert_eq!(rig.read(id), Poll::Ready(Ok(Some(Bytes::from_static(b"last")))));
    assert_eq!(rig.read(id), Poll::Ready(Err(End::PeerClosed)));
    assert_eq!(rig.write(id, b"x"), Poll::Ready(Err(End::PeerClosed)));
    assert_eq!(rig.machine.open("x:"), Err(OpenError::Ended(End::PeerClosed)));
}
