//! A peer that begins a connection with any messages in any order; the first byte picks whether to a host, to a device for
//! anyone, or to one that asks for a key. Of the others each picks a message, its first argument, and its length.
#![no_main]

use adb::banner::{Banner, Product};
use adb::daemon::{self, Guard};
use adb::known_keys::{KnownKeys, NewKeys};
use adb::packet::{self, Command, Sum, VERSION, VERSION_WITH_SUM};
use adb::window::Window;
use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::{Builder, Runtime};

/// More than an input can make, so that the peer never waits.
const PIPE: usize = 1 << 20;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    thread_local! {
        static RUNTIME: Runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    }
    let Some((pick, rest)) = bytes.split_first() else {
        return;
    };
    RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let (near, mut far) = tokio::io::duplex(PIPE);
            let peer = async {
                // Whoever was offended is gone, and takes no more.
                let _ = far.write_all(&messages(rest)).await;
                let _ = far.shutdown().await;
                let _ = far.read_to_end(&mut Vec::new()).await;
            };
            tokio::join!(peer, begin(*pick, near));
        });
    });
});

async fn begin(pick: u8, near: tokio::io::DuplexStream) {
    if pick.is_multiple_of(4) {
        if let Ok(host) = adb::Host::connect_over(near).await
            && let Ok(mut stream) = host.open("service").await
        {
            while let Ok(Some(_)) = stream.read_chunk().await {}
        }
        return;
    }
    let new = if pick % 4 == 1 {
        NewKeys::Accept
    } else {
        NewKeys::Refuse
    };
    let product = Product {
        name: "fuzzed".to_owned(),
        model: "Fuzzed".to_owned(),
        device: "fuzzed".to_owned(),
    };
    let options = daemon::Options {
        banner: Banner::device(&product, &["delayed_ack"]),
        guard: match pick % 4 {
            3 => Guard::Open,
            _ => Guard::Keys(KnownKeys::new(Vec::new(), new)),
        },
        window: Window::default(),
    };
    let Ok(mut daemon) = options.accept_over(near).await else {
        return;
    };
    while let Some(open) = daemon.next_open().await {
        // The host may have withdrawn it.
        let _ = open.accept();
    }
}

/// What the peer says: packets whose headers fit, for what is inside them is the matter here, and bytes as they are.
fn messages(mut bytes: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    while let [kind, argument, length, rest @ ..] = bytes {
        let (payload, rest) = rest.split_at(rest.len().min(usize::from(*length) * 4));
        bytes = rest;
        let command = match kind % 8 {
            0 => Command::Cnxn,
            1 => Command::Auth,
            2 => Command::Stls,
            3 => Command::Open,
            4 => Command::Okay,
            5 => Command::Wrte,
            6 => Command::Clse,
            _ => {
                out.extend_from_slice(payload);
                continue;
            }
        };
        let arguments = [0, 1, 2, 3, VERSION, VERSION_WITH_SUM, 1 << 20, u32::MAX];
        let pick = |pick: u8| arguments[usize::from(pick) % arguments.len()];
        let arguments = (pick(*argument), pick(argument >> 4));
        packet::encode(&mut out, command, arguments, payload, Sum::Written);
    }
    out
}
