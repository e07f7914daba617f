//! What people leave on a device, seen and removed by the commands that Android has for it, over adb; and a device
//! whose services are not up yet.

use std::time::Duration;

use adb::Host;
use device::{Boot, Config, Traits};
use tokio_util::sync::DropGuard;

use crate::phone::{plain, start};

/// The longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(30);

struct Rig {
    host: Host,
    _stop: DropGuard,
}

impl Rig {
    async fn start(boot: Boot) -> Self {
        let config = Config { boot, ..plain() };
        let (adb, stop) = start(config, Traits::default()).await;
        Self {
            host: Host::connect(adb).await.unwrap(),
            _stop: stop,
        }
    }

    /// Exit code and both outputs.
    async fn run(&self, command: &str) -> (u8, String) {
        let output = self.host.shell(command).await.unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.exit.unwrap(), String::from_utf8(text).unwrap())
    }

    async fn out(&self, command: &str) -> String {
        let (code, text) = self.run(command).await;
        assert_eq!(code, 0, "{command}: {text}");
        text
    }
}

#[tokio::test]
async fn a_device_answers_before_it_has_booted_but_its_services_do_not() {
    let rig = Rig::start(Boot::Fails).await;
    assert_eq!(rig.out("getprop sys.boot_completed").await, "\n");
    for command in ["pm list packages", "settings list system", "dumpsys simulated"] {
        let (code, said) = rig.run(command).await;
        assert!(code == 20 && said.contains("Can't find service"), "{said}");
    }
    assert_eq!(rig.out("ls /sdcard").await, "Download\n");
}

#[tokio::test]
async fn a_device_that_takes_its_time_is_up_in_the_end() {
    let rig = Rig::start(Boot::Takes(Duration::from_millis(100))).await;
    let booted = async {
        while rig.out("getprop sys.boot_completed").await != "1\n" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, booted).await.expect("it boots");
    assert!(rig.out("pm list packages").await.contains("dev.farglass.echo"));
}

#[tokio::test]
async fn settings_are_listed_put_deleted_and_reset_in_three_namespaces() {
    let rig = Rig::start(Boot::default()).await;
    for namespace in ["system", "secure", "global"] {
        let before = rig.out(&format!("settings list {namespace}")).await;
        assert!(!before.is_empty());
        rig.out(&format!("settings put {namespace} zz 'a=b\nc'")).await;
        let list = rig.out(&format!("settings list {namespace}")).await;
        assert_eq!(list, format!("{before}zz=a=b\nc\n"));
        let deleted = rig.out(&format!("settings delete {namespace} zz")).await;
        assert_eq!(deleted, "Deleted 1 rows\n");
        rig.out(&format!(
            "settings put {namespace} aa 1; settings reset {namespace} trusted_defaults"
        ))
        .await;
        assert_eq!(rig.out(&format!("settings list {namespace}")).await, before);
    }
    assert_eq!(rig.run("settings list nowhere").await.0, 1);
}

#[tokio::test]
async fn accounts_go_with_their_authenticator_and_not_with_its_data() {
    let rig = Rig::start(Boot::default()).await;
    assert_eq!(rig.run("cmd simulated account nobody me").await.0, 1);
    rig.out("cmd simulated account dev.farglass me@example.org").await;
    let account = "Account {name=me@example.org, type=dev.farglass}";
    assert_eq!(rig.out("pm clear dev.farglass.accounts").await, "Success\n");
    assert!(rig.out("dumpsys account").await.contains(account));
    // A part of the image cannot be removed, only uninstalled for the user.
    assert_eq!(rig.run("pm uninstall dev.farglass.accounts").await.0, 1);
    assert_eq!(
        rig.out("pm uninstall --user 0 dev.farglass.accounts").await,
        "Success\n"
    );
    assert!(
        !rig.out("pm list packages")
            .await
            .contains("dev.farglass.accounts")
    );
    rig.out("cmd package install-existing --user 0 dev.farglass.accounts")
        .await;
    assert!(
        rig.out("pm list packages -s")
            .await
            .contains("dev.farglass.accounts")
    );
    assert!(!rig.out("dumpsys account").await.contains(account));
    assert_eq!(
        rig.run("cmd package install-existing --user 0 org.nowhere")
            .await
            .0,
        1
    );
}

#[tokio::test]
async fn notifications_go_with_their_package_and_no_command_removes_one() {
    let rig = Rig::start(Boot::default()).await;
    rig.out("cmd notification post -t Title tag text; cmd simulated notify dev.farglass.echo tag text")
        .await;
    let list = rig.out("cmd notification list").await;
    assert_eq!(list.lines().count(), 2, "{list}");
    assert!(
        rig.out("dumpsys notification --noredact")
            .await
            .contains("(Title)")
    );
    rig.out("am force-stop com.android.shell; pm clear dev.farglass.echo")
        .await;
    assert_eq!(rig.out("cmd notification list").await, "");
}

#[tokio::test]
async fn private_files_are_roots_and_go_when_the_app_is_cleared() {
    let rig = Rig::start(Boot::default()).await;
    assert!(rig.out("su 0 id").await.starts_with("uid=0(root)"));
    rig.out("cmd simulated write dev.farglass.echo files/note secret; cmd simulated wallpaper picture")
        .await;
    let path = "/data/data/dev.farglass.echo/files/note";
    assert_eq!(rig.out(&format!("su 0 cat {path}")).await, "secret");
    assert_eq!(
        rig.run(&format!("cat {path}")).await.0,
        1,
        "the shell user sees none of it"
    );
    assert_eq!(rig.run("find /data/data").await.0, 1);
    let found = rig.out("su 0 find /data/data /data/system -type f").await;
    assert_eq!(found, format!("{path}\n/data/system/users/0/wallpaper\n"));
    rig.out("pm clear dev.farglass.echo; su 0 rm -f /data/system/users/0/wallpaper")
        .await;
    assert_eq!(rig.run("su 0 find /data/data /data/system -type f").await.0, 1);
}

#[tokio::test]
async fn files_are_found_by_their_kind_and_hashed() {
    let rig = Rig::start(Boot::default()).await;
    rig.out("mkdir -p /sdcard/a/b; echo -n abc > '/sdcard/a/b/c d'")
        .await;
    let found = rig.out("find /sdcard/ -mindepth 1 -type d -print0").await;
    assert_eq!(found, "/sdcard/Download\0/sdcard/a\0/sdcard/a/b\0");
    assert_eq!(
        rig.out("find /sdcard/ -mindepth 1 ! -type d").await,
        "/sdcard/a/b/c d\n"
    );
    // FIPS 180-2, the first example.
    let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(
        rig.out("sha256sum '/sdcard/a/b/c d'").await,
        format!("{hash}  /sdcard/a/b/c d\n")
    );
    let (code, said) = rig.run("find /nowhere; find / -delete").await;
    assert!(
        code == 1 && said.contains("No such file") && said.contains("bad arg"),
        "{said}"
    );
}

#[tokio::test]
async fn another_user_is_gone_some_time_after_he_was_removed_and_not_while_he_is_in_front() {
    let rig = Rig::start(Boot::default()).await;
    assert_eq!(
        rig.out("pm create-user Guest").await,
        "Success: created user id 10\n"
    );
    rig.out("am switch-user 10").await;
    assert_eq!(rig.out("am get-current-user").await, "10\n");
    let refused = rig.out("pm remove-user 10 2>&1 || true").await;
    assert_eq!(refused, "Error: couldn't remove user id 10\n");
    rig.out("am switch-user 0").await;
    assert_eq!(rig.out("pm remove-user 10").await, "Success: removed user\n");
    let refused = rig.out("pm remove-user 10 2>&1 || true").await;
    assert_eq!(refused, "Error: couldn't remove user id 10\n", "he is leaving");
    for there in [true, true, false] {
        assert_eq!(
            rig.out("pm list users").await.contains("UserInfo{10:Guest:"),
            there
        );
    }
    let managed = rig.out("pm create-user --profileOf 0 --managed Work").await;
    assert_eq!(managed, "Success: created user id 11\n");
}

#[tokio::test]
async fn a_screen_lock_opens_to_its_credential_alone() {
    let rig = Rig::start(Boot::default()).await;
    let verified = "Lock credential verified successfully\n";
    assert_eq!(rig.out("locksettings verify --user 0").await, verified);
    assert_eq!(rig.out("locksettings set-pin 1234").await, "Pin set to '1234'\n");
    let refused = rig.out("locksettings verify || true").await;
    assert_eq!(refused, "Old password '' didn't match\n");
    assert_eq!(rig.out("locksettings verify --old 1234").await, verified);
    assert_eq!(
        rig.out("locksettings clear --old 1234").await,
        "Lock credential cleared\n"
    );
}

#[tokio::test]
async fn what_providers_keep_goes_when_their_package_is_cleared() {
    let rig = Rig::start(Boot::default()).await;
    let query = "content query --uri content://sms";
    assert_eq!(rig.out(query).await, "No result found.\n");
    rig.out("content insert --uri content://sms --bind address:s:1 --bind body:s:hello")
        .await;
    assert_eq!(rig.out(query).await, "Row: 0 address=1, body=hello\n");
    let root = "su 0 cat /data/data/com.android.providers.telephony/databases/sms";
    assert_eq!(rig.out(root).await, "address=1, body=hello\n");
    rig.out("pm clear com.android.providers.telephony").await;
    assert_eq!(rig.out(query).await, "No result found.\n");
}
