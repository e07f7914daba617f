//! The hand on an adb stream whose other end takes input only when the test says so.
//!
//! That makes what a device on a slow wire does by chance happen every time: orders wait, and the fence or the picture
//! moves on before they are written. What the hand wrote is read back as control messages.

use adb::Daemon;
use adb::banner::{Banner, Product};
use bytes::BytesMut;
use protocol::{Fraction, Generation};
use scrcpy::control::TouchAction;
use uuid::Uuid;

use super::*;

const SIZE: PictureSize = PictureSize {
    width: 100,
    height: 100,
};

struct Rig {
    orders: mpsc::Sender<Order>,
    pass: watch::Sender<Pass>,
    frame: watch::Sender<Frame>,
    _acks: mpsc::Sender<u64>,
    device: adb::Stream,
    _daemon: Daemon,
    bytes: BytesMut,
}

impl Rig {
    /// Classic flow control: the device has at most one write that it has not taken.
    async fn new() -> Self {
        let (near, far) = tokio::io::duplex(1 << 16);
        let product = Product {
            name: "a".to_owned(),
            model: "b".to_owned(),
            device: "c".to_owned(),
        };
        let banner = Banner::device(&product, &[]);
        let (host, daemon) = tokio::join!(
            adb::Host::connect_with(near, &[]),
            Daemon::accept_over(far, &banner)
        );
        let (host, mut daemon) = (host.unwrap(), daemon.unwrap());
        let (stream, device) = tokio::join!(host.open("localabstract:x"), async {
            daemon.next_open().await.unwrap().accept().unwrap()
        });
        let (orders, taken) = mpsc::channel(ORDERS_MAX);
        let (acks, heard) = mpsc::channel(ACKS_MAX);
        let (pass, passes) = watch::channel(Pass {
            epoch: Epoch(1),
            open: true,
        });
        let (frame, frames) = watch::channel(Frame {
            size: Some(SIZE),
            changes: 1,
        });
        let senses = Senses {
            orders: taken,
            acks: heard,
            frame: frames,
            pass: passes,
        };
        let hand = Hand::new(ServerVersion::NEWEST, stream.unwrap().into_split().1, senses);
        tokio::spawn(hand.run());
        Self {
            orders,
            pass,
            frame,
            _acks: acks,
            device,
            _daemon: daemon,
            bytes: BytesMut::new(),
        }
    }

    fn press(&self, pointer: u8) {
        let op = InputOp::Down {
            pointer,
            x: Fraction(0),
            y: Fraction(0),
            pressure: u16::MAX,
            generation: Generation(1),
        };
        let connection = ConnectionId::from_uuid(Uuid::nil());
        self.orders
            .try_send(Order::Op {
                connection,
                epoch: Epoch(1),
                aimed_at: self.frame.borrow().size,
                op,
            })
            .unwrap();
    }

    /// Waits until the hand has taken every order.
    async fn taken(&self) {
        while self.orders.capacity() < ORDERS_MAX {
            tokio::task::yield_now().await;
        }
    }

    /// The next touch that the device takes.
    async fn touch(&mut self) -> (TouchAction, i64) {
        loop {
            match control::decode(ServerVersion::NEWEST, &self.bytes).unwrap() {
                Some((ControlMsg::Touch(touch), length)) => {
                    let _ = self.bytes.split_to(length);
                    return (touch.action, touch.pointer.0);
                }
                Some((other, _)) => panic!("{other:?} is no touch"),
                None => {
                    let chunk = self.device.read_chunk().await.unwrap().expect("the hand works");
                    self.bytes.extend_from_slice(&chunk);
                }
            }
        }
    }
}

#[tokio::test]
async fn what_waited_for_a_slow_device_is_not_done_after_its_epoch() {
    let mut rig = Rig::new().await;
    // The first is on its way, the second is being written, the third waits in the queue.
    for pointer in 0..2 {
        rig.press(pointer);
        rig.taken().await;
    }
    rig.press(2);
    rig.pass.send_replace(Pass {
        epoch: Epoch(2),
        open: false,
    });
    let mut touches = Vec::new();
    for _ in 0..4 {
        touches.push(rig.touch().await);
    }
    let (down, up) = (TouchAction::DOWN, TouchAction::UP);
    assert_eq!(touches, [(down, 0), (down, 1), (up, 0), (up, 1)]);
    rig.taken().await;
    let effect = |epoch| {
        let (done, answer) = oneshot::channel();
        let messages = vec![ControlMsg::RotateDevice];
        (
            Order::Effect {
                epoch: Epoch(epoch),
                messages,
                done,
            },
            answer,
        )
    };
    let (stale, refused) = effect(1);
    rig.orders.try_send(stale).unwrap();
    assert!(!refused.await.unwrap(), "an effect of an epoch that is over");
    let (current, done) = effect(2);
    rig.orders.try_send(current).unwrap();
    assert!(
        done.await.unwrap(),
        "an effect of the agent itself needs no open gate"
    );
}

#[tokio::test]
async fn closing_the_gate_lifts_every_finger_under_the_same_epoch() {
    let mut rig = Rig::new().await;
    rig.press(0);
    assert_eq!(rig.touch().await, (TouchAction::DOWN, 0));
    rig.pass.send_replace(Pass {
        epoch: Epoch(1),
        open: false,
    });
    assert_eq!(rig.touch().await, (TouchAction::UP, 0));
    rig.press(1);
    rig.taken().await;
    rig.pass.send_replace(Pass {
        epoch: Epoch(1),
        open: true,
    });
    rig.press(2);
    // Had the second finger been let through, this one would have the next number.
    assert_eq!(rig.touch().await, (TouchAction::DOWN, 1));
}

#[tokio::test]
async fn a_size_that_came_back_lifts_fingers_all_the_same() {
    let mut rig = Rig::new().await;
    rig.press(0);
    assert_eq!(rig.touch().await, (TouchAction::DOWN, 0));
    // Two changes that the hand sees as one: what was sent in between was dropped by the server.
    rig.frame.send_replace(Frame {
        size: Some(SIZE),
        changes: 3,
    });
    assert_eq!(rig.touch().await, (TouchAction::UP, 0));
}
