//! For fuzzing: a peer and an application that do anything in any order, one step after the other.
//!
//! ```text
//!   byte 0   what was agreed on
//!   then     step, two ids, a length ─┬─ of the peer: OPEN, OKAY, WRTE, CLSE, or what does not belong here
//!                                     └─ of ours: open, answer an OPEN, read, write, close, begin anew, send
//! ```
//!
//! Whatever happens, what is sent is whole packets within what was agreed on, and every limit holds.

use super::*;

/// Small, so that writes are cut.
const MAX_PAYLOAD_AGREED: usize = 8;

/// Steps through the bytes until they or the connection end.
pub fn fuzz(bytes: &[u8]) {
    let Some((&pick, steps)) = bytes.split_first() else {
        return;
    };
    let agreement = Agreement {
        max_payload: MAX_PAYLOAD_AGREED,
        delayed_ack: pick & 1 != 0,
        window: Window::default(),
        sum: if pick & 2 != 0 { Sum::Written } else { Sum::Zero },
    };
    let peer_opens = match pick & 4 {
        0 => PeerOpens::Queued,
        _ => PeerOpens::Refused,
    };
    let mut machine = Machine::new(agreement, peer_opens);
    for step in steps.chunks_exact(4) {
        let &[step, a, b, length] = step else { continue };
        let ids = (u32::from(a % 8), u32::from(b % 8));
        if of_peer(&mut machine, step, ids, length).is_err() {
            machine.finish(End::Closed);
        }
        of_ours(&mut machine, step, LocalId(ids.1), length, agreement);
        check(&mut machine, step);
    }
}

fn of_peer(
    machine: &mut Machine,
    step: u8,
    (arg0, arg1): (u32, u32),
    length: u8,
) -> Result<(), ProtocolError> {
    let command = match step % 16 {
        0 | 1 => Command::Open,
        2 => Command::Okay,
        3 => Command::Wrte,
        4 => Command::Clse,
        5 => Command::Auth,
        _ => return Ok(()),
    };
    let payload = match command {
        // A number of bytes, of either sign, as with delayed ack.
        Command::Okay if length > 127 => Bytes::copy_from_slice(&i32::from(length as i8).to_le_bytes()),
        _ => vec![length; usize::from(length % 8)].into(),
    };
    // The number of an OPEN is 0, or the window.
    let arg1 = if step % 16 == 1 {
        u32::from(length) << 24
    } else {
        arg1
    };
    machine.handle(Packet {
        command,
        arg0,
        arg1,
        payload,
    })
}

fn of_ours(machine: &mut Machine, step: u8, id: LocalId, length: u8, agreement: Agreement) {
    let cx = &mut Context::from_waker(Waker::noop());
    match step % 16 {
        6 => drop(machine.open("service")),
        7 => {
            if let Poll::Ready(Some(open)) = machine.poll_pending(cx) {
                match length % 2 {
                    0 => drop(machine.accept(open.remote)),
                    _ => machine.refuse(open.remote),
                }
            }
        }
        8 => drop(machine.poll_chunk(id, cx)),
        9 => {
            let data = vec![length; usize::from(length)];
            if let Poll::Ready(Ok(Some(taken))) = machine.poll_write(id, &data, cx) {
                assert!(taken <= data.len().min(agreement.max_payload));
            }
        }
        10 => machine.close(id),
        11 => drop(machine.poll_opened(id, cx)),
        12 => {
            let _ = machine.poll_settled(id, cx);
        }
        13 => {
            machine.reset();
            machine.agree(agreement);
        }
        _ => {}
    }
}

fn check(machine: &mut Machine, step: u8) {
    assert!(machine.slots.len() <= MAX_STREAMS && machine.pending.len() <= MAX_PENDING_OPENS);
    if step < 0xf0 {
        return;
    }
    let mut sent = machine.take_output();
    while let Some(packet) = Packet::decode(&mut sent).expect("what is sent are packets") {
        assert!(packet.payload.len() <= MAX_PAYLOAD_AGREED);
    }
    assert!(sent.is_empty(), "a packet is sent in part");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_order_of_packets_and_calls_breaks_a_rule() {
        let mut state = 1u64;
        let mut byte = || {
            state = state
                .wrapping_mul(0x5851_f42d_4c95_7f2d)
                .wrapping_add(0x1405_7b7e_f767_814f);
            (state >> 56) as u8
        };
        for _ in 0..5_000 {
            let bytes: Vec<u8> = (0..256).map(|_| byte()).collect();
            fuzz(&bytes);
        }
    }
}
