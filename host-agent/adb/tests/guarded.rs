//! Devices that do not let everybody in: AUTH and STLS between host and daemon, and against a peer made of bare packets
//! that breaks the order of messages. Also how a connection begins anew.

#![expect(clippy::unwrap_used, reason = "tests: a broken rig may panic")]

use std::sync::{Arc, OnceLock};

use adb::banner::{Banner, Product};
use adb::connection::{End, OpenError};
use adb::daemon::Guard;
use adb::handshake::HandshakeError;
use adb::key::Key;
use adb::known_keys::{KnownKeys, NewKeys};
use adb::packet::{Command, Packet, Sum, VERSION, encode};
use adb::tls::DeviceTrust;
use adb::window::Window;
use adb::{Daemon, Host, daemon, host};
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// Key number `n`, made once per process.
fn key(n: usize) -> Key {
    static KEYS: [OnceLock<Key>; 3] = [const { OnceLock::new() }; 3];
    KEYS[n]
        .get_or_init(|| Key::generate("test@host").unwrap())
        .clone()
}

fn device(guard: Guard) -> daemon::Options {
    let product = Product {
        name: "test".into(),
        model: "Test".into(),
        device: "test".into(),
    };
    daemon::Options {
        guard,
        ..daemon::Options::open(Banner::device(&product, &["shell_v2", "delayed_ack"]))
    }
}

fn known(keys: &[usize], new: NewKeys) -> KnownKeys {
    KnownKeys::new(keys.iter().map(|&n| key(n).public().clone()).collect(), new)
}

fn tls(own: usize, known: KnownKeys) -> Guard {
    Guard::Tls { key: key(own), known }
}

fn with_keys(keys: &[usize]) -> host::Options {
    host::Options {
        keys: keys.iter().map(|&n| key(n)).collect(),
        ..host::Options::default()
    }
}

type Met = (Result<Host, HandshakeError>, Result<Daemon, HandshakeError>);

async fn meet(host: &host::Options, device: &daemon::Options) -> Met {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    tokio::join!(host.connect_over(ours), device.accept_over(theirs))
}

/// Sends something through a stream and back.
async fn talk((host, daemon): Met) {
    let (host, mut daemon) = (host.unwrap(), daemon.unwrap());
    let serving = async {
        let open = daemon.next_open().await.unwrap();
        assert_eq!(open.service(), "echo:");
        let mut stream = open.accept().unwrap();
        let chunk = stream.read_chunk().await.unwrap().unwrap();
        stream.send(&chunk).await.unwrap();
        stream
    };
    let (stream, _at_device) = tokio::join!(
        async {
            let mut stream = host.open("echo:").await.unwrap();
            stream.send(b"hello").await.unwrap();
            assert_eq!(stream.read_chunk().await.unwrap().unwrap(), "hello");
            stream
        },
        serving
    );
    drop(stream);
}

#[tokio::test]
async fn a_host_with_a_known_key_is_let_in_whichever_of_its_keys_that_is() {
    let device = device(Guard::Keys(known(&[1], NewKeys::Refuse)));
    talk(meet(&with_keys(&[1]), &device).await).await;
    talk(meet(&with_keys(&[0, 1]), &device).await).await;
}

#[tokio::test]
async fn a_host_with_unknown_keys_is_turned_away_and_told_so() {
    let guard = known(&[1], NewKeys::Refuse);
    let (host, daemon) = meet(&with_keys(&[0, 2]), &device(Guard::Keys(guard.clone()))).await;
    assert!(matches!(host, Err(HandshakeError::Unauthorized)));
    assert!(matches!(daemon, Err(HandshakeError::Unauthorized)));
    assert_eq!(
        guard.all(),
        [key(1).public().clone()],
        "a refused key is not remembered"
    );
    let (host, _) = meet(&with_keys(&[]), &device(Guard::Keys(guard))).await;
    assert!(matches!(host, Err(HandshakeError::AuthRequired)));
}

#[tokio::test]
async fn a_new_key_that_is_accepted_is_known_from_then_on() {
    let guard = known(&[], NewKeys::Accept);
    talk(meet(&with_keys(&[0, 1]), &device(Guard::Keys(guard.clone()))).await).await;
    assert_eq!(
        guard.all(),
        [key(0).public().clone()],
        "the first key is the one that is offered"
    );
    assert_eq!(guard.all()[0].name(), "test@host");
    let now = KnownKeys::new(guard.all(), NewKeys::Refuse);
    talk(meet(&with_keys(&[0]), &device(Guard::Keys(now))).await).await;
}

#[tokio::test(start_paused = true)]
async fn a_host_whose_key_nobody_confirms_in_time_is_told_to_ask_for_that() {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let mut device = Peer::new(theirs);
    let options = with_keys(&[0]);
    let prompting = async {
        assert_eq!(device.next().await.command, Command::Cnxn);
        for kind in [2, 3] {
            device.send(Command::Auth, (1, 0), &[kind; 20]).await;
            assert_eq!(device.next().await.arg0, u32::from(kind));
        }
        // The person at the device does not look.
        std::future::pending::<()>().await;
    };
    let refused = tokio::select! {
        host = options.connect_over(ours) => host.err().unwrap(),
        () = prompting => unreachable!(),
    };
    assert!(matches!(refused, HandshakeError::Unauthorized), "{refused}");
}

#[tokio::test]
async fn inside_tls_host_and_device_talk_as_outside() {
    let guard = tls(0, known(&[1], NewKeys::Refuse));
    talk(meet(&with_keys(&[1]), &device(guard.clone())).await).await;
    // The device names the keys that it knows, and the host shows the one of them that it has.
    talk(meet(&with_keys(&[2, 1]), &device(guard)).await).await;
}

#[tokio::test]
async fn inside_tls_an_unknown_host_is_turned_away() {
    let guard = tls(0, known(&[1], NewKeys::Refuse));
    let (host, daemon) = meet(&with_keys(&[2]), &device(guard.clone())).await;
    assert!(
        matches!(host, Err(HandshakeError::Unauthorized)),
        "{:?}",
        host.err()
    );
    assert!(
        matches!(daemon, Err(HandshakeError::Unauthorized)),
        "{:?}",
        daemon.err()
    );
    let (host, _) = meet(&with_keys(&[]), &device(guard)).await;
    assert!(matches!(host, Err(HandshakeError::TlsRequired)));
    talk(meet(&with_keys(&[2]), &device(tls(0, known(&[1], NewKeys::Accept)))).await).await;
}

#[tokio::test]
async fn inside_tls_a_host_knows_its_device_by_the_key_it_expects() {
    let device = device(tls(0, known(&[1], NewKeys::Refuse)));
    let expecting = |n: usize| host::Options {
        trust: DeviceTrust::Known(vec![key(n).public().fingerprint()]),
        ..with_keys(&[1])
    };
    talk(meet(&expecting(0), &device).await).await;
    let (host, _) = meet(&expecting(2), &device).await;
    assert!(
        matches!(host, Err(HandshakeError::WrongDevice)),
        "{:?}",
        host.err()
    );
}

#[tokio::test]
async fn tls_before_1_3_is_refused() {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let device = device(tls(0, known(&[1], NewKeys::Accept)));
    let old = async {
        let mut peer = Peer::new(ours);
        peer.hello().await;
        assert_eq!(peer.next().await.command, Command::Stls);
        peer.send(Command::Stls, (0x0100_0000, 0), b"").await;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let nobody = rustls::pki_types::ServerName::try_from("adb").unwrap();
        connector
            .connect(nobody, peer.socket)
            .await
            .err()
            .unwrap()
            .to_string()
    };
    let (refused, daemon) = tokio::join!(old, device.accept_over(theirs));
    assert!(refused.contains("ProtocolVersion"), "{refused}");
    assert!(matches!(daemon, Err(HandshakeError::Io(_))));
}

/// Whoever is on the other side, packet by packet.
struct Peer {
    socket: DuplexStream,
    inbox: BytesMut,
}

impl Peer {
    fn new(socket: DuplexStream) -> Self {
        Self {
            socket,
            inbox: BytesMut::new(),
        }
    }

    async fn hello(&mut self) {
        self.send(
            Command::Cnxn,
            (VERSION, 4096),
            b"host::features=shell_v2,delayed_ack",
        )
        .await;
    }

    async fn send(&mut self, command: Command, args: (u32, u32), payload: &[u8]) {
        let mut out = BytesMut::new();
        encode(&mut out, command, args, payload, Sum::Zero);
        self.socket.write_all(&out).await.unwrap();
    }

    async fn next(&mut self) -> Packet {
        loop {
            if let Some(packet) = Packet::decode(&mut self.inbox).unwrap() {
                return packet;
            }
            assert_ne!(self.socket.read_buf(&mut self.inbox).await.unwrap(), 0, "hung up");
        }
    }
}

/// A peer of bare packets, and what the device thinks of it in the end.
fn strange(device: daemon::Options) -> (Peer, tokio::task::JoinHandle<Result<Daemon, HandshakeError>>) {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let accepting = tokio::spawn(async move { device.accept_over(theirs).await });
    (Peer::new(ours), accepting)
}

#[tokio::test]
async fn messages_out_of_their_order_end_the_connection() {
    type Messages = &'static [(Command, u32)];
    let guards = [
        Guard::Open,
        Guard::Keys(known(&[], NewKeys::Accept)),
        tls(0, known(&[], NewKeys::Accept)),
    ];
    let wrong: [(usize, Messages); 8] = [
        (0, &[(Command::Auth, 3)]),
        (0, &[(Command::Open, 1)]),
        (1, &[(Command::Auth, 3)]),
        (1, &[(Command::Cnxn, VERSION), (Command::Open, 1)]),
        (1, &[(Command::Cnxn, VERSION), (Command::Stls, 0x0100_0000)]),
        (1, &[(Command::Cnxn, VERSION), (Command::Auth, 1)]),
        (2, &[(Command::Stls, 0x0100_0000)]),
        (2, &[(Command::Cnxn, VERSION), (Command::Auth, 3)]),
    ];
    for (guard, messages) in wrong {
        let (mut peer, accepting) = strange(device(guards[guard].clone()));
        for &(command, arg0) in messages {
            peer.send(command, (arg0, 0), b"host::\0").await;
        }
        let refused = accepting.await.unwrap().err().unwrap();
        assert!(
            matches!(refused, HandshakeError::Protocol(_)),
            "{guard} {messages:?}: {refused}"
        );
    }
}

#[tokio::test]
async fn each_token_is_new_and_a_signature_is_good_for_one() {
    let (mut peer, accepting) = strange(device(Guard::Keys(known(&[0], NewKeys::Refuse))));
    peer.hello().await;
    let first = peer.next().await;
    assert_eq!(
        (first.command, first.arg0, first.payload.len()),
        (Command::Auth, 1, 20)
    );
    let token = |packet: &Packet| packet.payload.as_ref().try_into().unwrap();
    let signature = key(0).sign(&token(&first)).unwrap();
    // A host that begins again gets another token, for which the signature is of no use.
    peer.hello().await;
    let second = peer.next().await;
    assert_ne!(first.payload, second.payload);
    peer.send(Command::Auth, (2, 0), &signature).await;
    let third = peer.next().await;
    assert_eq!((third.command, third.arg0), (Command::Auth, 1));
    assert_ne!(second.payload, third.payload);
    peer.send(Command::Auth, (2, 0), &key(0).sign(&token(&third)).unwrap())
        .await;
    assert_eq!(peer.next().await.command, Command::Cnxn);
    accepting.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_host_that_tries_forever_and_one_that_offers_no_key_are_hung_up_on() {
    let (mut peer, accepting) = strange(device(Guard::Keys(known(&[0], NewKeys::Refuse))));
    peer.hello().await;
    let trying = async {
        loop {
            let mut out = BytesMut::new();
            encode(&mut out, Command::Auth, (2, 0), &[7; 256], Sum::Zero);
            if peer.socket.write_all(&out).await.is_err() {
                break;
            }
        }
    };
    tokio::join!(trying, async {
        assert!(matches!(
            accepting.await.unwrap(),
            Err(HandshakeError::Unauthorized)
        ));
    });
    let (mut peer, accepting) = strange(device(Guard::Keys(known(&[0], NewKeys::Accept))));
    peer.hello().await;
    peer.send(Command::Auth, (3, 0), b"no key\0").await;
    assert!(matches!(accepting.await.unwrap(), Err(HandshakeError::Key(_))));
}

#[tokio::test]
async fn a_second_hello_ends_all_streams_and_the_connection_goes_on() {
    let (mut peer, accepting) = strange(device(Guard::Open));
    peer.hello().await;
    assert_eq!(peer.next().await.command, Command::Cnxn);
    let mut daemon = accepting.await.unwrap().unwrap();
    peer.send(Command::Open, (1, 100), b"old:\0").await;
    let mut old = daemon.next_open().await.unwrap().accept().unwrap();
    assert_eq!(peer.next().await.command, Command::Okay);
    peer.send(Command::Open, (2, 100), b"waiting:\0").await;
    let waiting = daemon.next_open().await.unwrap();
    assert_eq!(daemon.connection().resets(), 0);

    peer.send(Command::Wrte, (1, 1), b"last words").await;
    peer.hello().await;
    assert_eq!(peer.next().await.command, Command::Cnxn);
    assert_eq!(daemon.connection().resets(), 1);
    assert_eq!(old.read_chunk().await.unwrap().unwrap(), "last words");
    assert_eq!(old.read_chunk().await.unwrap(), None);
    assert!(old.send(b"x").await.is_err());
    assert_eq!(waiting.accept().err(), Some(OpenError::Withdrawn));

    peer.send(Command::Open, (1, 100), b"new:\0").await;
    let open = daemon.next_open().await.unwrap();
    assert_eq!(open.service(), "new:");
    let mut stream = open.accept().unwrap();
    let okay = peer.next().await;
    assert_eq!(
        (okay.command, okay.arg1),
        (Command::Okay, 1),
        "nothing about the old streams"
    );
    stream.send(b"fresh").await.unwrap();
    assert_eq!(peer.next().await.payload, "fresh");
}

#[tokio::test]
async fn after_a_second_hello_a_host_has_to_show_its_key_again() {
    let (mut peer, accepting) = strange(device(Guard::Keys(known(&[0], NewKeys::Refuse))));
    let mut daemon = None;
    let mut accepting = Some(accepting);
    for _ in 0..2 {
        peer.hello().await;
        let asked = peer.next().await;
        assert_eq!((asked.command, asked.arg0), (Command::Auth, 1));
        let signature = key(0).sign(&asked.payload.as_ref().try_into().unwrap()).unwrap();
        peer.send(Command::Auth, (2, 0), &signature).await;
        assert_eq!(peer.next().await.command, Command::Cnxn);
        if let Some(accepting) = accepting.take() {
            daemon = Some(accepting.await.unwrap().unwrap());
        }
    }
    let mut daemon = daemon.unwrap();
    peer.hello().await;
    assert_eq!(peer.next().await.command, Command::Auth);
    peer.send(Command::Open, (1, 100), b"sneaky:\0").await;
    assert!(daemon.next_open().await.is_none(), "an OPEN without a key");
    assert!(matches!(daemon.connection().end(), Some(End::NotAgain(_))));
}

#[tokio::test]
async fn a_device_that_says_hello_again_ends_the_hosts_streams_and_serves_new_ones() {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let mut peer = Peer::new(theirs);
    let connecting = tokio::spawn(async move { Host::connect_over(ours).await });
    assert_eq!(peer.next().await.command, Command::Cnxn);
    peer.send(Command::Cnxn, (VERSION, 4096), b"device::features=shell_v2")
        .await;
    let host = connecting.await.unwrap().unwrap();
    let doomed = host.open("a:");
    assert_eq!(peer.next().await.command, Command::Open);
    peer.send(Command::Cnxn, (VERSION, 4096), b"device::features=shell_v2")
        .await;
    assert_eq!(doomed.await.err(), Some(OpenError::Refused));
    let opening = host.open("b:");
    let open = peer.next().await;
    assert_eq!(open.payload, "b:\0");
    peer.send(Command::Okay, (9, open.arg0), b"").await;
    opening.await.unwrap();
}

#[tokio::test]
async fn the_window_is_what_the_caller_chose_in_both_roles() {
    let window = Window::new(5000).unwrap();
    let device = daemon::Options {
        window,
        ..device(Guard::Open)
    };
    let (mut peer, accepting) = strange(device.clone());
    peer.hello().await;
    assert_eq!(peer.next().await.command, Command::Cnxn);
    let mut daemon = accepting.await.unwrap().unwrap();
    peer.send(Command::Open, (1, 100), b"a:\0").await;
    let _stream = daemon.next_open().await.unwrap().accept().unwrap();
    assert_eq!(peer.next().await.payload.as_ref(), 5000u32.to_le_bytes());

    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let host = host::Options {
        window,
        ..host::Options::default()
    };
    let mut peer = Peer::new(theirs);
    let connecting = tokio::spawn(async move { host.connect_over(ours).await });
    assert_eq!(peer.next().await.command, Command::Cnxn);
    peer.send(Command::Cnxn, (VERSION, 4096), b"device::features=delayed_ack")
        .await;
    let host = connecting.await.unwrap().unwrap();
    let _opening = host.open("a:");
    assert_eq!(peer.next().await.arg1, 5000);
    assert_eq!(Window::new(0), None);
    assert_eq!(Window::new(Window::MAX + 1), None);
}
