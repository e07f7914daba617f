//! The doctor on hosts and devices that are well, and on those that are not.
//!
//! A host without Docker or binder is a folder without their files; Docker is a socket that answers as it does; control's
//! link is the real one. Devices are simulated and reached over adb. Each cure's text is only looked at for the word
//! that somebody would act on.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use ::device::fault::{Fault, Faults};
use adb::daemon::Guard;
use adb::key_file::{self, Missing};
use adb::known_keys::{KnownKeys, NewKeys};
use signaling::link::tls::Authority;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;

use super::*;
use crate::rig::Phone;

fn places(folder: &Path) -> Places {
    Places {
        docker: folder.join("docker.sock"),
        kvm: folder.join("kvm"),
        filesystems: folder.join("filesystems"),
        binder: folder.join("binder"),
    }
}

fn word(checks: &[Check], name: &str) -> &'static str {
    find(checks, name).verdict.word()
}

fn find<'a>(checks: &'a [Check], name: &str) -> &'a Check {
    let found = checks.iter().find(|check| check.name == name);
    found.unwrap_or_else(|| panic!("no check of {name}: {checks:?}"))
}

/// Answers once on Docker's socket.
fn docker(at: &Path, answer: &'static str) -> tokio::task::JoinHandle<Vec<u8>> {
    let listener = UnixListener::bind(at).unwrap();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut question = vec![0; 1024];
        let length = socket.read(&mut question).await.unwrap();
        socket.write_all(answer.as_bytes()).await.unwrap();
        question.truncate(length);
        question
    })
}

#[tokio::test]
async fn a_host_without_docker_kvm_and_binder_is_warned_of_each_with_its_cure() {
    let folder = tempfile::tempdir().unwrap();
    let checks = host(&places(folder.path())).await;
    assert_eq!(checks.len(), 3);
    for check in &checks {
        assert_eq!(check.verdict.word(), "warning", "{check}");
        assert!(check.verdict.cure().unwrap().ends_with('.'), "{check}");
    }
    assert!(find(&checks, "docker").found.contains("nothing listens"));
}

#[tokio::test]
async fn what_a_host_has_is_found_by_using_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut places = places(folder.path());
    places.kvm = "/dev/null".into();
    std::fs::write(&places.filesystems, "nodev\tproc\nnodev\tbinder\n\text4\n").unwrap();
    let answer = "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{\"Version\":\"28.1\",\"ApiVersion\":\"1.48\"}\n";
    let asked = docker(&places.docker, answer);
    let checks = host(&places).await;
    assert!(asked.await.unwrap().starts_with(b"GET /version HTTP/1.0\r\n"));
    assert_eq!(find(&checks, "docker").found, "Docker 28.1, API 1.48");
    for name in ["docker", "kvm", "binder"] {
        assert_eq!(word(&checks, name), "ok", "{checks:?}");
    }
    // A file system whose name only ends like that is none.
    std::fs::write(&places.filesystems, "nodev\tnobinder\n").unwrap();
    assert_eq!(word(&host(&places).await, "binder"), "warning");
}

#[tokio::test]
async fn something_else_on_dockers_socket_is_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path());
    let asked = docker(&places.docker, "220 mail.example ESMTP\r\n");
    let checks = host(&places).await;
    drop(asked);
    assert_eq!(word(&checks, "docker"), "fails", "{checks:?}");
}

#[test]
fn a_taken_port_and_an_address_of_another_host_are_told_apart_from_a_free_one() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let check = media_port(address);
    assert!(
        check.verdict.word() == "fails" && check.found.contains("is taken"),
        "{check}"
    );
    assert!(
        check
            .verdict
            .cure()
            .unwrap()
            .contains(&address.port().to_string()),
        "{check}"
    );
    drop(taken);
    assert_eq!(media_port(address).verdict.word(), "ok");
    let check = media_port("192.0.2.1:0".parse().unwrap());
    assert!(check.found.contains("no address of this host"), "{check}");
}

#[test]
fn a_key_that_others_can_read_is_warned_of_and_one_that_is_none_fails() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("adbkey");
    assert_eq!(adb_key(&path).verdict.word(), "fails");
    key_file::load(&path, "x", Missing::Generate).unwrap();
    assert_eq!(adb_key(&path).verdict.word(), "ok");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let check = adb_key(&path);
    assert!(
        check.verdict.word() == "warning" && check.found.contains("644"),
        "{check}"
    );
}

#[tokio::test]
async fn controls_link_is_heard_and_silence_is_not_taken_for_it() {
    let (authority, _) = Authority::create(std::time::SystemTime::now()).unwrap();
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let now = std::time::SystemTime::now();
    let server = signaling::link::server::Server::new(socket, Arc::new(authority), now).unwrap();
    assert_eq!(link(&address).await.verdict.word(), "ok");
    drop(server);
    // It takes datagrams and says nothing.
    let mute = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let check = link(&mute.local_addr().unwrap().to_string()).await;
    assert_eq!(check.verdict.word(), "fails", "{check}");
    // It says something to everybody.
    let parrot = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = parrot.local_addr().unwrap().to_string();
    let talking = tokio::spawn(async move {
        let mut bytes = [0; 2000];
        loop {
            let (length, from) = parrot.recv_from(&mut bytes).await.unwrap();
            parrot.send_to(&bytes[..length], from).await.unwrap();
        }
    });
    assert_eq!(link(&address).await.verdict.word(), "fails");
    talking.abort();
}

fn server(version: &str) -> ServerFile {
    ServerFile {
        bytes: ::device::stand_in_server("4.1").into(),
        version: version.parse().unwrap(),
    }
}

#[tokio::test]
async fn a_device_that_is_well_passes_every_check_but_for_a_server_that_no_release_has() {
    let phone = Phone::start().await;
    let way = phone.address.to_string().parse().unwrap();
    let checks = super::device(&way, Some(&server("4.1"))).await;
    for name in ["adb", "booted", "android", "audio"] {
        assert_eq!(word(&checks, name), "ok", "{checks:?}");
    }
    assert!(find(&checks, "audio").found.contains("opus"), "{checks:?}");
    assert_eq!(word(&checks, "scrcpy server"), "warning");
    let encoders = find(&checks, "encoders");
    assert!(encoders.found.contains("avc.encoder"), "{encoders}");
    let host = phone.host().await;
    let left = host.shell("ls /data/local/tmp").await.unwrap();
    assert_eq!(
        String::from_utf8_lossy(&left.stdout),
        "",
        "the doctor left something"
    );
}

#[tokio::test]
async fn servers_of_every_kind_that_can_be_started_for_sound_alone_tell_of_it_themselves() {
    let phone = Phone::start().await;
    let way = phone.address.to_string().parse().unwrap();
    // The first that can, the last of two layouts of the stream, the last without session packets; before 2.1 none can.
    for (version, told) in [
        ("2.1", "captured, in opus"),
        ("2.7", "captured, in opus"),
        ("3.3.4", "captured, in opus"),
        ("2.0", "this Android lets"),
    ] {
        let server = ServerFile {
            bytes: ::device::stand_in_server(version).into(),
            version: version.parse().unwrap(),
        };
        let checks = super::device(&way, Some(&server)).await;
        let audio = find(&checks, "audio");
        assert!(
            audio.verdict.word() == "ok" && audio.found.contains(told),
            "{version}: {checks:?}"
        );
    }
    let host = phone.host().await;
    let left = host.shell("ls /data/local/tmp").await.unwrap();
    assert!(left.stdout.is_empty(), "the doctor left something");
}

#[tokio::test]
async fn a_device_that_refuses_its_sound_is_warned_of_whatever_its_level() {
    let refuses = Faults::new(vec![Fault::AudioRefused], 1);
    let phone = Phone::faulty((360, 640), refuses).await;
    let way = phone.address.to_string().parse().unwrap();
    let checks = super::device(&way, Some(&server("4.1"))).await;
    let audio = find(&checks, "audio");
    assert!(
        audio.verdict.word() == "warning" && audio.found.contains("does not let"),
        "{audio}"
    );
    let guessed = super::device(&way, None).await;
    assert_eq!(
        word(&guessed, "audio"),
        "ok",
        "the level alone says nothing of it"
    );
}

#[tokio::test]
async fn a_wrong_server_file_is_told_in_the_servers_own_words() {
    let phone = Phone::start().await;
    let way = phone.address.to_string().parse().unwrap();
    let checks = super::device(&way, Some(&server("4.0"))).await;
    let encoders = find(&checks, "encoders");
    assert_eq!(encoders.verdict.word(), "fails", "{encoders}");
    assert!(
        encoders.found.contains("4.1") && encoders.found.contains("4.0"),
        "{encoders}"
    );
    let page = ServerFile {
        bytes: "<html>not found</html>".into(),
        version: "4.1".parse().unwrap(),
    };
    let checks = super::device(&way, Some(&page)).await;
    assert_eq!(word(&checks, "encoders"), "fails", "{checks:?}");
}

#[tokio::test]
async fn a_device_that_wants_a_key_or_is_not_there_says_what_to_do() {
    let phone = Phone::behind(Guard::Keys(KnownKeys::new(Vec::new(), NewKeys::Refuse))).await;
    let way: crate::Way = phone.address.to_string().parse().unwrap();
    let checks = super::device(&way, None).await;
    assert_eq!(checks.len(), 1, "nothing else can be asked");
    assert!(find(&checks, "adb").verdict.cure().unwrap().contains("key=FILE"));
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("adbkey");
    let with = format!("{way},key={}", key.display());
    let checks = super::device(&with.parse().unwrap(), None).await;
    assert!(
        find(&checks, "adb")
            .verdict
            .cure()
            .unwrap()
            .contains("adb keygen")
    );
    assert!(
        !key.exists(),
        "the doctor makes no key: it would be the doctor's and not the agent's"
    );
    key_file::load(&key, "x", Missing::Generate).unwrap();
    let checks = super::device(&with.parse().unwrap(), None).await;
    assert!(find(&checks, "adb").verdict.cure().unwrap().contains("adb_keys"));
    let nobody: crate::Way = "127.0.0.1:1".parse().unwrap();
    let checks = super::device(&nobody, None).await;
    assert!(find(&checks, "adb").verdict.cure().unwrap().contains("5555"));
}
