//! AndroidManifest.xml in its binary form, as far as an installer needs it. Pure.
//!
//! ```text
//!   chunk = u16 type · u16 header length · u32 length · rest of the header · content        all little-endian
//!   0003 file ─┬─ 0001 strings     count, styles, flags, start │ offsets │ texts (UTF-16 or UTF-8)
//!              ├─ 0180 resources   u32 each: what attribute the string of the same number stands for
//!              ├─ 0102 element     line, comment │ namespace, name, start, size, count … │ attributes
//!              │                   attribute = namespace · name · raw · u16 size · u8 0 · u8 kind · u32 data
//!              └─ 0103 end of it
//! ```
//!
//! Attributes are told by their resource number where they have one, as Android does, else by their name.

/// Longest package name in bytes, Android's own.
const MAX_PACKAGE: usize = 223;
/// Longest text in characters that is read.
const MAX_TEXT: usize = 4096;
/// Most chunks that are looked at.
const MAX_CHUNKS: usize = 65_536;

const STRINGS: u16 = 0x0001;
const FILE: u16 = 0x0003;
const ELEMENT: u16 = 0x0102;
const END: u16 = 0x0103;
const RESOURCES: u16 = 0x0180;
/// Texts are UTF-8.
const UTF8: u32 = 1 << 8;

const KIND_TEXT: u8 = 0x03;
const KIND_DECIMAL: u8 = 0x10;
const KIND_HEXADECIMAL: u8 = 0x11;

const LABEL: u32 = 0x0101_0001;
const VERSION_CODE: u32 = 0x0101_021b;
const VERSION_NAME: u32 = 0x0101_021c;
const VERSION_CODE_MAJOR: u32 = 0x0101_0576;

/// What an app says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Its package, e.g. `org.example.app`.
    pub package: String,
    /// Its version's number; the upper half is versionCodeMajor.
    pub version_code: u64,
    /// Its version for people, if it stands in the manifest itself.
    pub version_name: Option<String>,
    /// What people call it, if that stands in the manifest itself.
    pub label: Option<String>,
}

/// Why a manifest cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// Not binary XML, or cut off.
    #[error("not binary XML")]
    NotXml,
    /// Its first element is not `manifest`.
    #[error("there is no manifest element")]
    NoManifest,
    /// A package name that Android does not allow, or none.
    #[error("the package name is missing or not allowed")]
    Package,
}

/// Reads a manifest.
///
/// # Errors
/// [`ManifestError`].
pub fn parse(bytes: &[u8]) -> Result<Manifest, ManifestError> {
    let file = Chunk::parse(bytes)
        .filter(|file| file.kind == FILE)
        .ok_or(ManifestError::NotXml)?;
    let mut document = Document::default();
    let (mut rest, mut depth, mut manifest) = (file.content, 0u32, None);
    for _ in 0..MAX_CHUNKS {
        if rest.is_empty() {
            break;
        }
        let chunk = Chunk::parse(rest).ok_or(ManifestError::NotXml)?;
        rest = &rest[chunk.length..];
        match chunk.kind {
            STRINGS => document.strings = Strings::parse(&chunk).ok_or(ManifestError::NotXml)?,
            RESOURCES => document.resources = chunk.content,
            END => depth = depth.saturating_sub(1),
            ELEMENT => {
                let element = Element::parse(&chunk).ok_or(ManifestError::NotXml)?;
                match (depth, &mut manifest) {
                    (0, None) => manifest = Some(document.manifest(&element)?),
                    (1, Some(manifest)) if document.text(element.name).as_deref() == Some("application") => {
                        manifest.label = document.attribute_text(&element, LABEL, "label");
                        break;
                    }
                    _ => {}
                }
                depth = depth.saturating_add(1);
            }
            _ => {}
        }
    }
    manifest.ok_or(ManifestError::NoManifest)
}

struct Chunk<'a> {
    kind: u16,
    length: usize,
    /// What stands behind the kind and the lengths, up to the content.
    header: &'a [u8],
    content: &'a [u8],
    whole: &'a [u8],
}

impl<'a> Chunk<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let header = usize::from(short(bytes, 2)?);
        let length = usize::try_from(long(bytes, 4)?).ok()?;
        if header < 8 || length < header {
            return None;
        }
        let whole = bytes.get(..length)?;
        Some(Self {
            kind: short(bytes, 0)?,
            length,
            header: &whole[8..header],
            content: &whole[header..],
            whole,
        })
    }
}

#[derive(Default)]
struct Document<'a> {
    strings: Strings<'a>,
    resources: &'a [u8],
}

#[derive(Default)]
struct Strings<'a> {
    count: u32,
    utf8: bool,
    offsets: &'a [u8],
    texts: &'a [u8],
}

impl<'a> Strings<'a> {
    fn parse(chunk: &Chunk<'a>) -> Option<Self> {
        let start = usize::try_from(long(chunk.header, 12)?).ok()?;
        Some(Self {
            count: long(chunk.header, 0)?,
            utf8: long(chunk.header, 8)? & UTF8 != 0,
            offsets: chunk.content,
            texts: chunk.whole.get(start..)?,
        })
    }

    fn text(&self, index: u32) -> Option<String> {
        if index >= self.count {
            return None;
        }
        let at = long(self.offsets, usize::try_from(index).ok()?.checked_mul(4)?)?;
        let mut bytes = self.texts.get(usize::try_from(at).ok()?..)?;
        if self.utf8 {
            // The length in UTF-16 first, which is of no interest, then the one in bytes.
            let _ = length8(&mut bytes)?;
            let length = length8(&mut bytes)?;
            let text = bytes.get(..length).filter(|text| text.len() <= MAX_TEXT)?;
            return String::from_utf8(text.to_vec()).ok();
        }
        let length = length16(&mut bytes).filter(|length| *length <= MAX_TEXT)?;
        let units = bytes.get(..length * 2)?.chunks_exact(2);
        let units = units.map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
        char::decode_utf16(units).collect::<Result<_, _>>().ok()
    }
}

struct Element<'a> {
    name: u32,
    attributes: &'a [u8],
    size: usize,
    count: usize,
}

struct Attribute {
    name: u32,
    kind: u8,
    data: u32,
}

impl<'a> Element<'a> {
    fn parse(chunk: &Chunk<'a>) -> Option<Self> {
        let content = chunk.content;
        let size = usize::from(short(content, 10)?);
        let count = usize::from(short(content, 12)?);
        let start = usize::from(short(content, 8)?);
        let attributes = content.get(start..start.checked_add(size * count)?)?;
        (count == 0 || size >= 20).then_some(Self {
            name: long(content, 4)?,
            attributes,
            size,
            count,
        })
    }

    fn attributes(&self) -> impl Iterator<Item = Attribute> {
        (0..self.count).filter_map(|at| {
            let bytes = &self.attributes[at * self.size..];
            Some(Attribute {
                name: long(bytes, 4)?,
                kind: *bytes.get(15)?,
                data: long(bytes, 16)?,
            })
        })
    }
}

impl Document<'_> {
    fn manifest(&self, element: &Element<'_>) -> Result<Manifest, ManifestError> {
        if self.text(element.name).as_deref() != Some("manifest") {
            return Err(ManifestError::NoManifest);
        }
        // No resource stands for the package: it is told by its name alone.
        let package = self.attribute_text(element, 0, "package");
        let package = package
            .filter(|package| is_package(package))
            .ok_or(ManifestError::Package)?;
        let number = |resource, name| self.attribute_number(element, resource, name).unwrap_or(0);
        let low = number(VERSION_CODE, "versionCode");
        let high = number(VERSION_CODE_MAJOR, "versionCodeMajor");
        Ok(Manifest {
            package,
            version_code: u64::from(high) << 32 | u64::from(low),
            version_name: self.attribute_text(element, VERSION_NAME, "versionName"),
            label: None,
        })
    }

    fn attribute_text(&self, element: &Element<'_>, resource: u32, name: &str) -> Option<String> {
        let attribute = self.attribute(element, resource, name)?;
        (attribute.kind == KIND_TEXT).then(|| self.text(attribute.data))?
    }

    fn attribute_number(&self, element: &Element<'_>, resource: u32, name: &str) -> Option<u32> {
        let attribute = self.attribute(element, resource, name)?;
        matches!(attribute.kind, KIND_DECIMAL | KIND_HEXADECIMAL).then_some(attribute.data)
    }

    fn attribute(&self, element: &Element<'_>, resource: u32, name: &str) -> Option<Attribute> {
        element
            .attributes()
            .find(|attribute| match self.resource(attribute.name) {
                Some(known) if known != 0 => known == resource,
                _ => self.text(attribute.name).as_deref() == Some(name),
            })
    }

    fn resource(&self, index: u32) -> Option<u32> {
        long(self.resources, usize::try_from(index).ok()?.checked_mul(4)?)
    }

    fn text(&self, index: u32) -> Option<String> {
        self.strings.text(index)
    }
}

/// Whether Android would allow the name: two or more parts, each of letters, digits and `_`, beginning with a letter.
fn is_package(name: &str) -> bool {
    let is_part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    name.len() <= MAX_PACKAGE && name.contains('.') && name.split('.').all(is_part)
}

/// One byte, or two with the highest bit of the first set.
fn length8(bytes: &mut &[u8]) -> Option<usize> {
    let (first, rest) = bytes.split_first()?;
    *bytes = rest;
    if first & 0x80 == 0 {
        return Some(usize::from(*first));
    }
    let (second, rest) = bytes.split_first()?;
    *bytes = rest;
    Some(usize::from(first & 0x7f) << 8 | usize::from(*second))
}

/// One unit, or two with the highest bit of the first set.
fn length16(bytes: &mut &[u8]) -> Option<usize> {
    let first = short(bytes, 0)?;
    if first & 0x8000 == 0 {
        *bytes = &bytes[2..];
        return Some(usize::from(first));
    }
    let second = short(bytes, 2)?;
    *bytes = &bytes[4..];
    Some(usize::from(first & 0x7fff) << 16 | usize::from(second))
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
