//! The parsers against archives that the tests write byte by byte.

use super::writer::{App, Packing, apk, archive, manifest};
use super::*;

const APP: App<'_> = App {
    package: "org.example.notes",
    version_code: 42,
    version_name: "4.2 β",
    label: "Notizen 📝",
};

fn expected() -> Manifest {
    Manifest {
        package: "org.example.notes".into(),
        version_code: 42,
        version_name: Some("4.2 β".into()),
        label: Some("Notizen 📝".into()),
    }
}

#[test]
fn an_apk_tells_its_package_version_and_label_in_either_packing() {
    for packing in [Packing::Plain, Packing::Tight] {
        assert_eq!(read(&apk(APP, packing, b"dex")), Ok(expected()));
    }
}

#[test]
fn an_archive_is_refused_where_readers_could_differ_or_data_is_damaged() {
    let file = manifest(APP, Packing::Plain);
    let name = "AndroidManifest.xml";
    let zip = |error| Err(ApkError::Zip(error));
    assert_eq!(read(b""), zip(ZipError::NotZip));
    assert_eq!(read(&[b'x'; 1000]), zip(ZipError::NotZip));
    assert_eq!(
        read(&archive(&[("other", &file, Packing::Plain)])),
        zip(ZipError::Missing)
    );
    let twice = archive(&[(name, &file, Packing::Plain), (name, &file, Packing::Tight)]);
    assert_eq!(read(&twice), zip(ZipError::Twice));
    for packing in [Packing::Plain, Packing::Tight] {
        let mut damaged = archive(&[(name, &file, packing)]);
        let middle = 30 + name.len() + 40;
        damaged[middle] ^= 0x10;
        assert_eq!(read(&damaged), zip(ZipError::Damaged));
    }
    let bomb = vec![0; MAX_MANIFEST + 1];
    assert_eq!(
        read(&archive(&[(name, &bomb, Packing::Tight)])),
        zip(ZipError::TooLarge)
    );
    let whole = archive(&[(name, &file, Packing::Plain)]);
    let with_comment = [&whole[..whole.len() - 2], b"\x03\0end"].concat();
    assert_eq!(read(&with_comment), Ok(expected()));
    for cut in 1..whole.len() {
        assert!(
            read(&whole[..cut]).is_err() && read(&whole[cut..]).is_err(),
            "cut at {cut}"
        );
    }
}

#[test]
fn a_manifest_that_android_would_not_take_is_refused() {
    let parsed =
        |app: App<'_>| manifest::parse(&manifest(app, Packing::Tight)).map(|manifest| manifest.package);
    let named = |package| parsed(App { package, ..APP });
    assert_eq!(named("a.b_2"), Ok("a.b_2".into()));
    for package in [
        "", "nodot", "a..b", ".a", "a.", "1a.b", "a.1", "a.b/c", "a.b c", "ä.b",
    ] {
        assert_eq!(named(package), Err(ManifestError::Package), "{package}");
    }
    let whole = manifest(APP, Packing::Plain);
    for cut in 0..whole.len() {
        assert!(manifest::parse(&whole[..cut]).is_err(), "cut at {cut}");
    }
    let mut other = whole.clone();
    other[0] = 2;
    assert_eq!(manifest::parse(&other), Err(ManifestError::NotXml));
}

#[test]
fn no_byte_of_an_apk_can_make_the_reader_panic() {
    let whole = apk(APP, Packing::Plain, b"");
    for at in 0..whole.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut bent = whole.clone();
            bent[at] = value;
            drop(read(&bent));
        }
    }
    let whole = manifest(APP, Packing::Tight);
    for at in 0..whole.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut bent = whole.clone();
            bent[at] = value;
            drop(manifest::parse(&bent));
        }
    }
}
