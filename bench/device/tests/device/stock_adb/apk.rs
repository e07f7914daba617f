//! Writes APKs that hold a manifest and nothing else: binary XML in a zip archive, by this project's own hand, so that
//! a test decides every byte.

/// What goes into the manifest.
#[derive(Clone, Copy)]
pub(crate) struct App<'a> {
    pub(crate) package: &'a str,
    pub(crate) version_code: u32,
    pub(crate) version_name: &'a str,
    pub(crate) label: &'a str,
}

/// How it is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    /// Texts in UTF-16, not compressed.
    Plain,
    /// Texts in UTF-8, deflated.
    Tight,
}

const PACKINGS_UTF8: u32 = 1 << 8;
const NONE: u32 = u32::MAX;
const TEXT: u8 = 0x03;
const DECIMAL: u8 = 0x10;

/// The APK; `ballast` is a second file in it, for its size.
pub(crate) fn apk(app: App<'_>, packing: Packing, ballast: &[u8]) -> Vec<u8> {
    let manifest = manifest(app, packing);
    archive(&[
        ("classes.dex", ballast, Packing::Plain),
        ("AndroidManifest.xml", &manifest, packing),
    ])
}

/// A zip archive of these files.
pub(crate) fn archive(files: &[(&str, &[u8], Packing)]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, content, packing) in files {
        let (method, packed) = match packing {
            Packing::Plain => (0u16, content.to_vec()),
            Packing::Tight => (8, miniz_oxide::deflate::compress_to_vec(content, 6)),
        };
        let local = u32::try_from(out.len()).unwrap();
        // Version, flags, method, time and date; then the sum, both sizes, and the length of the name.
        let mut common = [20u16, 0, method, 0, 0].map(u16::to_le_bytes).concat();
        common.extend(sum(content).to_le_bytes());
        for size in [packed.len(), content.len()] {
            common.extend(u32::try_from(size).unwrap().to_le_bytes());
        }
        common.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        out.extend(b"PK\x03\x04");
        out.extend(&common);
        out.extend([0, 0]);
        out.extend(name.as_bytes());
        out.extend(&packed);
        directory.extend(b"PK\x01\x02\x14\0");
        directory.extend(&common);
        // Extra field, comment, disk, attributes.
        directory.extend([0; 12]);
        directory.extend(local.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let count = u16::try_from(files.len()).unwrap().to_le_bytes();
    let start = u32::try_from(out.len()).unwrap();
    out.extend(&directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend(count);
    out.extend(count);
    out.extend(u32::try_from(directory.len()).unwrap().to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend([0; 2]);
    out
}

/// The manifest as binary XML.
pub(crate) fn manifest(app: App<'_>, packing: Packing) -> Vec<u8> {
    // The first three have resource numbers, and stand first for that.
    let texts = [
        "versionCode",
        "versionName",
        "label",
        "package",
        "manifest",
        "application",
        app.package,
        app.version_name,
        app.label,
    ];
    let resources = [0x0101_021bu32, 0x0101_021c, 0x0101_0001]
        .map(u32::to_le_bytes)
        .concat();
    let parts = [
        strings(&texts, packing),
        chunk(0x0180, &[], &resources),
        element(4, &[(0, DECIMAL, app.version_code), (1, TEXT, 7), (3, TEXT, 6)]),
        element(5, &[(2, TEXT, 8)]),
        end(5),
        end(4),
    ];
    chunk(0x0003, &[], &parts.concat())
}

fn chunk(kind: u16, header: &[u8], content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(8 + header.len() + content.len()).unwrap();
    let mut out = kind.to_le_bytes().to_vec();
    out.extend(u16::try_from(8 + header.len()).unwrap().to_le_bytes());
    out.extend(length.to_le_bytes());
    out.extend(header);
    out.extend(content);
    out
}

fn strings(texts: &[&str], packing: Packing) -> Vec<u8> {
    let (mut offsets, mut data) = (Vec::new(), Vec::new());
    for text in texts {
        offsets.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
        let units: Vec<u16> = text.encode_utf16().collect();
        if packing == Packing::Tight {
            data.extend([
                u8::try_from(units.len()).unwrap(),
                u8::try_from(text.len()).unwrap(),
            ]);
            data.extend(text.as_bytes());
            data.push(0);
        } else {
            data.extend(u16::try_from(units.len()).unwrap().to_le_bytes());
            data.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
            data.extend([0, 0]);
        }
    }
    data.resize(data.len().next_multiple_of(4), 0);
    let flags = if packing == Packing::Tight {
        PACKINGS_UTF8
    } else {
        0
    };
    let start = u32::try_from(28 + offsets.len()).unwrap();
    let count = u32::try_from(texts.len()).unwrap();
    let header = [count, 0, flags, start, 0].map(u32::to_le_bytes).concat();
    chunk(0x0001, &header, &[offsets, data].concat())
}

/// An element whose name and whose attributes' names and texts are given by their number among the strings.
fn element(name: u32, attributes: &[(u32, u8, u32)]) -> Vec<u8> {
    let mut content = [NONE, name].map(u32::to_le_bytes).concat();
    let count = u16::try_from(attributes.len()).unwrap();
    content.extend([20u16, 20, count, 0, 0, 0].map(u16::to_le_bytes).concat());
    for &(name, kind, data) in attributes {
        let raw = if kind == TEXT { data } else { NONE };
        content.extend([NONE, name, raw].map(u32::to_le_bytes).concat());
        content.extend([8, 0, 0, kind]);
        content.extend(data.to_le_bytes());
    }
    chunk(0x0102, &[1, NONE].map(u32::to_le_bytes).concat(), &content)
}

fn end(name: u32) -> Vec<u8> {
    let content = [NONE, name].map(u32::to_le_bytes).concat();
    chunk(0x0103, &[1, NONE].map(u32::to_le_bytes).concat(), &content)
}

/// CRC-32, by a table that is made on the way, unlike the reader's.
fn sum(bytes: &[u8]) -> u32 {
    let table: Vec<u32> = (0..256)
        .map(|n| {
            (0..8).fold(n, |c, _| {
                if c & 1 == 1 {
                    0xedb8_8320 ^ (c >> 1)
                } else {
                    c >> 1
                }
            })
        })
        .collect();
    let step = |crc: u32, byte: &u8| table[usize::from(crc as u8 ^ byte)] ^ (crc >> 8);
    bytes.iter().fold(u32::MAX, step) ^ u32::MAX
}
