//! What `farglass up` tells the person once everything is ready: addresses, login, a link and its QR code
//! per device. Pure text: what is known goes in, the screen comes out.

use anyhow::Context as _;
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

use super::folder::UpJson;

/// The announcement; `names` are the devices' names in the order of `up.devices`.
pub(crate) fn text(up: &UpJson, names: &[String], up_json: &std::path::Path) -> anyhow::Result<String> {
    let mut out = format!(
        "\nFarglass is ready at {}\n\n  admin     {}\n  password  {}\n",
        up.url, up.admin.login, up.admin.password
    );
    for (device, name) in up.devices.iter().zip(names) {
        out.push_str(&format!("\n{name}  (adb connect {})\n", device.adb));
        for link in up.links.iter().filter(|link| link.device == device.id) {
            out.push_str(&format!("  {}\n{}\n", link.url, indent(&qr(&link.url)?)));
        }
    }
    out.push_str(&format!(
        "\nFor programs: {}\nCtrl-C ends everything.\n",
        up_json.display()
    ));
    Ok(out)
}

/// The text as a QR code of half blocks, dark on light whatever the terminal's colours are: scanners want a
/// light quiet zone, and most terminals are dark, so the light modules are the ones that are printed.
fn qr(text: &str) -> anyhow::Result<String> {
    let code =
        QrCode::with_error_correction_level(text, EcLevel::L).context("a link too long for a QR code")?;
    Ok(code
        .render::<Dense1x2>()
        .dark_color(Dense1x2::Light)
        .light_color(Dense1x2::Dark)
        .quiet_zone(true)
        .build())
}

fn indent(block: &str) -> String {
    block
        .lines()
        .map(|line| format!("  {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::super::folder::{Admin, ReadyLink, UpDevice};
    use super::*;

    #[test]
    fn the_announcement_names_the_login_and_each_devices_link_with_its_code() {
        let up = UpJson {
            url: "http://localhost:3000".into(),
            admin: Admin {
                login: "admin".into(),
                password: "p-w".into(),
            },
            links: vec![ReadyLink {
                device: "b".into(),
                url: "http://localhost:3000/l#tok".into(),
            }],
            devices: vec![
                UpDevice {
                    id: "a".into(),
                    adb: "127.0.0.1:1".into(),
                },
                UpDevice {
                    id: "b".into(),
                    adb: "127.0.0.1:2".into(),
                },
            ],
        };
        let told = text(
            &up,
            &["device-1".into(), "device-2".into()],
            "data/up.json".as_ref(),
        )
        .unwrap();
        for part in [
            "http://localhost:3000",
            "p-w",
            "adb connect 127.0.0.1:2",
            "/l#tok",
            "data/up.json",
        ] {
            assert!(told.contains(part), "{part} is missing in {told}");
        }
        let second = told.split("device-2").nth(1).unwrap();
        assert!(second.contains("/l#tok"), "the link stands under its own device");
        assert!(
            second.contains('█') && second.contains('▄'),
            "a code of half blocks follows"
        );
    }

    #[test]
    fn the_code_is_light_around_and_square() {
        let drawn = qr("http://localhost:3000/l#0123456789012345678901234567890123456789012").unwrap();
        let lines: Vec<&str> = drawn.lines().collect();
        let width = lines[0].chars().count();
        assert!(
            lines[0].chars().all(|c| c == '█'),
            "the quiet zone is light: {}",
            lines[0]
        );
        assert_eq!(
            lines.len(),
            width.div_ceil(2),
            "two modules a character, one above the other"
        );
    }
}
