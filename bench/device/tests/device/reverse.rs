//! Reverses from the host's side: what a removal ends, and what it leaves.

use std::time::Duration;

use adb::{Host, Stream};
use device::Traits;
use tokio::time::timeout;

use crate::phone::{plain, start};

/// Longer than any step takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);

/// Reads so many bytes.
async fn read(stream: &mut Stream, length: usize) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < length {
        let chunk = timeout(DEADLINE, stream.read_chunk()).await.expect("silence");
        bytes.extend_from_slice(&chunk.unwrap().expect("it was closed"));
    }
    String::from_utf8(bytes).unwrap()
}

async fn ask(host: &Host, service: &str) -> String {
    let mut stream = host.open(service).await.unwrap();
    read(&mut stream, 4).await
}

#[tokio::test]
async fn a_removed_reverse_takes_nobody_any_more_and_leaves_open_what_runs_through_it() {
    let (adb, _device) = start(plain(), Traits::default()).await;
    let host = Host::connect(adb).await.unwrap();
    let mut incoming = host.incoming().unwrap();
    assert_eq!(ask(&host, "reverse:forward:tcp:7700;tcp:9").await, "OKAY");
    let mut program = host.start_shell("nc localhost 7700").await.unwrap();
    let open = timeout(DEADLINE, incoming.next()).await.unwrap().unwrap();
    assert_eq!(open.service(), "tcp:9");
    let mut through = open.accept().unwrap();
    program.send_stdin(b"before").await.unwrap();
    assert_eq!(read(&mut through, 6).await, "before");

    assert_eq!(ask(&host, "reverse:killforward:tcp:7700").await, "OKAY");
    let late = host.shell("nc localhost 7700").await.unwrap();
    assert_eq!(late.stderr, b"nc: Connection refused\n");
    program.send_stdin(b"after").await.unwrap();
    assert_eq!(read(&mut through, 5).await, "after");
    through.send(b"and back").await.unwrap();
    let back = timeout(DEADLINE, program.next()).await.unwrap().unwrap();
    assert!(
        matches!(&back, Some(adb::host::ShellEvent::Stdout(data)) if data == "and back"),
        "{back:?}"
    );
}
