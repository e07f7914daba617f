//! What a real session over adb looks like from the host's side: for each service, the payloads that the device sent.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use adb::Host;
use adb::packet::{Command, Packet};
use adb::transfer::{Links, Target};
use bytes::{Bytes, BytesMut};
use scrcpy::control::{self, ControlMsg, CopyKey};
use scrcpy::demux::{Demuxer, Event};
use scrcpy::handshake::{Scid, socket_name};
use scrcpy::options::ServerOptions;
use scrcpy::version::ServerVersion;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Pictures of the session, a few of them key frames.
const PICTURES: usize = 20;
/// Where a real client pushes the server.
pub(crate) const JAR: &str = "/data/local/tmp/scrcpy-server.jar";
pub(crate) const VERSION: &str = "4.1";

/// Recorded payloads, by service: shell, sync, video, control.
pub(crate) struct Tape {
    pub(crate) banner: Bytes,
    pub(crate) payloads: HashMap<&'static str, Vec<Bytes>>,
}

pub(crate) fn options() -> ServerOptions {
    ServerOptions {
        scid: Some(Scid::from_bits(7)),
        audio: false,
        tunnel_forward: true,
        cleanup: false,
        send_dummy_byte: false,
        clipboard_autosync: false,
        video_bit_rate: 1_000_000,
        ..ServerOptions::default()
    }
}

pub(crate) fn version() -> ServerVersion {
    VERSION.parse().unwrap()
}

/// Runs a session with a real device through a tap.
pub(crate) async fn record() -> Tape {
    let stop = CancellationToken::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = device::Config {
        adb: listener.local_addr().unwrap(),
        name: "Farglass Test".to_owned(),
        width: 360,
        height: 640,
        fps: 60,
        boot: device::Boot::default(),
    };
    let wire = TcpStream::connect(config.adb).await.unwrap();
    tokio::spawn(device::serve(listener, config, stop.clone()));
    let heard: Arc<Mutex<[BytesMut; 2]>> = Arc::default();
    let (near, far) = tokio::io::duplex(1 << 20);
    let (mut to_device, mut from_device) = (wire, far);
    let tap = Arc::clone(&heard);
    let tapping = tokio::spawn(async move {
        let (mut one, mut two) = (vec![0; 1 << 16], vec![0; 1 << 16]);
        loop {
            tokio::select! {
                read = from_device.read(&mut one) => {
                    let Ok(length @ 1..) = read else { return };
                    tap.lock().unwrap()[0].extend_from_slice(&one[..length]);
                    to_device.write_all(&one[..length]).await.unwrap();
                }
                read = to_device.read(&mut two) => {
                    let Ok(length @ 1..) = read else { return };
                    tap.lock().unwrap()[1].extend_from_slice(&two[..length]);
                    from_device.write_all(&two[..length]).await.unwrap();
                }
            }
        }
    });
    let host = Host::connect_over(near).await.unwrap();
    session(&host).await;
    drop(host);
    tapping.await.unwrap();
    stop.cancel();
    let [asked, answered] = std::mem::take(&mut *heard.lock().unwrap());
    sort(asked, answered)
}

/// A bit of everything that an agent does.
async fn session(host: &Host) {
    let target = |path| Target {
        path,
        permissions: 0o644,
        mtime_s: 1,
    };
    let jar = device::stand_in_server(VERSION);
    host.push(&target(JAR), &jar).await.unwrap();
    host.pull(JAR, 1 << 20).await.unwrap();
    host.stat2(JAR, Links::Follow).await.unwrap();
    host.list("/").await.unwrap();
    let told = host
        .shell("getprop; cat /nothing; am start -n dev.farglass.motion/.MainActivity; dumpsys simulated")
        .await
        .unwrap();
    assert_eq!(told.exit, Some(0));
    let (options, version) = (options(), version());
    let line = options.command_line(JAR, version).unwrap();
    let _server = host.start_shell(&line).await.unwrap();
    let service = format!("localabstract:{}", socket_name(options.scid));
    let mut video = loop {
        if let Ok(stream) = host.open(&service).await {
            break stream;
        }
    };
    let mut control = host.open(&service).await.unwrap();
    let mut demuxer = Demuxer::new(options.video_start(version));
    let mut pictures = 0;
    while pictures < PICTURES {
        demuxer.push(video.read_chunk().await.unwrap().unwrap());
        while let Some(event) = demuxer.poll().unwrap() {
            pictures += usize::from(matches!(event, Event::Frame { .. }));
        }
    }
    let mut wire = BytesMut::new();
    for text in ["one", "and two"] {
        let set = ControlMsg::SetClipboard {
            sequence: 5,
            paste: false,
            text: text.to_owned(),
        };
        control::encode(version, &set, &mut wire).unwrap();
        control::encode(version, &ControlMsg::GetClipboard(CopyKey::NONE), &mut wire).unwrap();
    }
    control.send(&wire).await.unwrap();
    // Two acknowledgements of 9 bytes, and two texts behind 5 bytes each.
    let mut answers = vec![0; 2 * 9 + 2 * 5 + 3 + 7];
    control.read_exact(&mut answers).await.unwrap();
}

/// What belongs to which service, by the host's id of the stream.
fn sort(mut asked: BytesMut, mut answered: BytesMut) -> Tape {
    let mut tape = Tape {
        banner: Bytes::new(),
        payloads: HashMap::new(),
    };
    let (mut accepted, mut writes) = (HashSet::new(), Vec::new());
    while let Some(packet) = Packet::decode(&mut answered).unwrap() {
        match packet.command {
            Command::Cnxn => tape.banner = packet.payload,
            Command::Okay => drop(accepted.insert(packet.arg1)),
            Command::Wrte => writes.push((packet.arg1, packet.payload)),
            _ => {}
        }
    }
    let mut names = HashMap::new();
    while let Some(packet) = Packet::decode(&mut asked).unwrap() {
        if packet.command != Command::Open || !accepted.contains(&packet.arg0) {
            continue;
        }
        // Video and control have one name; the second stream of it is control.
        let name = match packet.payload.split(|&byte| byte == b':').next().unwrap() {
            b"localabstract" if names.values().any(|known| *known == "video") => "control",
            b"localabstract" => "video",
            b"sync" => "sync",
            _ => "shell",
        };
        names.insert(packet.arg0, name);
    }
    for (id, payload) in writes {
        tape.payloads.entry(names[&id]).or_default().push(payload);
    }
    tape
}
