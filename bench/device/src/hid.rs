//! HID report descriptors: which bits of a report mean what.
//!
//! ```text
//!   descriptor   item · item · …      an item is  [tag 4 | type 2 | size 2]  and 0, 1, 2 or 4 bytes, little-endian
//!                  Global: page, logical range, size, count, report id      stay until changed
//!                  Local:  usages                                           end with the next Main item
//!                  Main:   Input ──► a field, or padding
//!   report       [id] · fields, bits counted from the lowest of the first byte
//! ```
//!
//! Of a descriptor only what a report to the host needs is kept: its first application collection and its Input
//! items. It does not know what a keyboard types or where a mouse points.
//! Device Class Definition for HID 1.11, section 6.2.2.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use thiserror::Error;

/// Longest descriptor in bytes: the kernel's limit; a longer one is refused.
pub const DESCRIPTOR_LEN_MAX: usize = 4_096;

/// Input fields of a descriptor, counted slot by slot; the kernel's limit is higher, the stock devices need 40.
pub const SLOTS_MAX: usize = 1_024;

/// What a field is about: a usage page and a usage in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usage {
    /// Such as 1 generic desktop, 7 keyboard, 9 buttons, 12 consumer.
    pub page: u16,
    /// A number of that page.
    pub id: u16,
}

impl Usage {
    /// A keyboard.
    pub const KEYBOARD: Self = Self { page: 1, id: 6 };
    /// A mouse.
    pub const MOUSE: Self = Self { page: 1, id: 2 };
    /// A gamepad.
    pub const GAMEPAD: Self = Self { page: 1, id: 5 };
}

/// A descriptor that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// What the device is.
    pub application: Usage,
    fields: Vec<Field>,
    /// Whether reports begin with a number.
    numbered: bool,
}

/// An Input item.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    report: u8,
    /// Where its first slot begins, in bits.
    at: usize,
    bits: usize,
    count: usize,
    signed: bool,
    meaning: Meaning,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Meaning {
    /// A value per slot.
    Variable(Vec<Usage>),
    /// Each slot names a usage that is on; `logical` is the value that stands for the first of `usages`.
    Array { usages: Vec<Usage>, logical: i32 },
}

/// Why a descriptor or a report is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HidError {
    /// It ends inside an item.
    #[error("the descriptor ends inside an item")]
    Truncated,
    /// Beyond [`DESCRIPTOR_LEN_MAX`] or [`SLOTS_MAX`].
    #[error("the descriptor is too large")]
    TooLarge,
    /// A value of more than 32 bits, or a POP without PUSH.
    #[error("the descriptor breaks a rule")]
    Malformed,
    /// No application collection with an Input.
    #[error("the descriptor has no input")]
    NoInput,
    /// A report that is shorter than its fields, or has an unknown number.
    #[error("the report does not fit its descriptor")]
    Report,
}

impl Descriptor {
    /// Reads a descriptor.
    ///
    /// # Errors
    /// The kernel would refuse it as well, or it is beyond our limits.
    pub fn parse(bytes: &[u8]) -> Result<Self, HidError> {
        if bytes.len() > DESCRIPTOR_LEN_MAX {
            return Err(HidError::TooLarge);
        }
        let mut parser = Parser::default();
        let mut rest = bytes;
        while let Some((&prefix, after)) = rest.split_first() {
            let len = [0, 1, 2, 4][usize::from(prefix & 3)];
            let data = after.get(..len).ok_or(HidError::Truncated)?;
            rest = &after[len..];
            parser.item(prefix >> 2, data)?;
        }
        let application = parser.application.ok_or(HidError::NoInput)?;
        if parser.fields.is_empty() {
            return Err(HidError::NoInput);
        }
        Ok(Self {
            application,
            fields: parser.fields,
            numbered: parser.numbered,
        })
    }

    /// The values of a report: every variable, and 1 for every usage that an array names.
    ///
    /// # Errors
    /// [`HidError::Report`].
    pub fn read(&self, report: &[u8]) -> Result<Vec<(Usage, i32)>, HidError> {
        let (number, body) = match (self.numbered, report.split_first()) {
            (false, _) => (0, report),
            (true, Some((&number, body))) => (number, body),
            (true, None) => return Err(HidError::Report),
        };
        let mut values = Vec::new();
        let mut known = false;
        for field in self.fields.iter().filter(|field| field.report == number) {
            known = true;
            for slot in 0..field.count {
                let raw = bits(body, field.at + slot * field.bits, field.bits).ok_or(HidError::Report)?;
                let value = if field.signed {
                    sign_extended(raw, field.bits)
                } else {
                    raw as i32
                };
                match &field.meaning {
                    Meaning::Variable(usages) => {
                        // Fewer usages than slots: the last one stands for the rest.
                        values.extend(usages.get(slot).or(usages.last()).map(|&usage| (usage, value)));
                    }
                    Meaning::Array { usages, logical } => {
                        let index = usize::try_from(i64::from(value) - i64::from(*logical)).ok();
                        values.extend(index.and_then(|index| usages.get(index)).map(|&usage| (usage, 1)));
                    }
                }
            }
        }
        if known { Ok(values) } else { Err(HidError::Report) }
    }
}

/// State that Global items set and PUSH saves.
#[derive(Debug, Clone, Copy, Default)]
struct Global {
    page: u16,
    logical_min: i32,
    bits: usize,
    count: usize,
    report: u8,
}

#[derive(Debug, Default)]
struct Parser {
    global: Global,
    saved: Vec<Global>,
    usages: Vec<Usage>,
    usage_min: Option<Usage>,
    application: Option<Usage>,
    fields: Vec<Field>,
    /// The next bit of each report.
    ends: BTreeMap<u8, usize>,
    slots: usize,
    numbered: bool,
}

impl Parser {
    /// `kind`: the tag in bits 2 to 5, the type in bits 0 and 1.
    fn item(&mut self, kind: u8, data: &[u8]) -> Result<(), HidError> {
        const MAIN: u8 = 0;
        const GLOBAL: u8 = 1;
        const LOCAL: u8 = 2;
        let unsigned = data
            .iter()
            .rev()
            .fold(0u32, |value, &byte| value << 8 | u32::from(byte));
        match (kind & 3, kind >> 2) {
            (MAIN, 0x8) => self.input(unsigned)?,
            (MAIN, tag) => {
                if tag == 0xa && unsigned == 1 && self.application.is_none() {
                    self.application = self.usages.first().copied();
                }
                self.end_of_local();
            }
            (GLOBAL, tag) => self.global(tag, unsigned, data.len())?,
            (LOCAL, 0) => {
                let usage = self.usage(unsigned, data.len());
                self.add_usages(usage, usage.id..=usage.id)?;
            }
            (LOCAL, 1) => self.usage_min = Some(self.usage(unsigned, data.len())),
            (LOCAL, 2) => {
                let last = self.usage(unsigned, data.len());
                if let Some(first) = self.usage_min.take() {
                    self.add_usages(first, first.id..=last.id)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn global(&mut self, tag: u8, value: u32, len: usize) -> Result<(), HidError> {
        match tag {
            0 => self.global.page = value as u16,
            1 => self.global.logical_min = sign_extended(value, len * 8),
            7 if value > 32 => return Err(HidError::Malformed),
            7 => self.global.bits = value as usize,
            8 => {
                self.global.report = value as u8;
                self.numbered = true;
            }
            9 if value as usize > SLOTS_MAX => return Err(HidError::TooLarge),
            9 => self.global.count = value as usize,
            0xa if self.saved.len() < 8 => self.saved.push(self.global),
            0xa => return Err(HidError::TooLarge),
            0xb => self.global = self.saved.pop().ok_or(HidError::Malformed)?,
            _ => {}
        }
        Ok(())
    }

    fn input(&mut self, flags: u32) -> Result<(), HidError> {
        const CONSTANT: u32 = 1;
        const VARIABLE: u32 = 2;
        let Global {
            logical_min,
            bits,
            count,
            report,
            ..
        } = self.global;
        let end = self.ends.entry(report).or_default();
        let at = *end;
        *end += bits * count;
        self.slots += count;
        if self.slots > SLOTS_MAX {
            return Err(HidError::TooLarge);
        }
        let usages = std::mem::take(&mut self.usages);
        if flags & CONSTANT == 0 && bits > 0 {
            let meaning = match flags & VARIABLE {
                0 => Meaning::Array {
                    usages,
                    logical: logical_min,
                },
                _ => Meaning::Variable(usages),
            };
            let signed = logical_min < 0;
            self.fields.push(Field {
                report,
                at,
                bits,
                count,
                signed,
                meaning,
            });
        }
        self.end_of_local();
        Ok(())
    }

    /// A usage of four bytes brings its own page.
    fn usage(&self, value: u32, len: usize) -> Usage {
        match len {
            4 => Usage {
                page: (value >> 16) as u16,
                id: value as u16,
            },
            _ => Usage {
                page: self.global.page,
                id: value as u16,
            },
        }
    }

    fn add_usages(&mut self, of: Usage, ids: RangeInclusive<u16>) -> Result<(), HidError> {
        if self.usages.len() + ids.len() > SLOTS_MAX {
            return Err(HidError::TooLarge);
        }
        self.usages.extend(ids.map(|id| Usage { page: of.page, id }));
        Ok(())
    }

    fn end_of_local(&mut self) {
        self.usages.clear();
        self.usage_min = None;
    }
}

/// `len` bits from bit `at`, at most 32; `None` beyond the end.
fn bits(bytes: &[u8], at: usize, len: usize) -> Option<u32> {
    (0..len).try_fold(0u32, |value, n| {
        let bit = at + n;
        let byte = *bytes.get(bit / 8)?;
        Some(value | u32::from(byte >> (bit % 8) & 1) << n)
    })
}

fn sign_extended(value: u32, bits: usize) -> i32 {
    match bits {
        1..=31 if value >> (bits - 1) & 1 == 1 => (value | u32::MAX << bits) as i32,
        _ => value as i32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two buttons, padding, and two signed bytes.
    const MOUSE: &[u8] = &[
        0x05, 0x01, 0x09, 0x02, 0xa1, 0x01, 0x05, 0x09, 0x19, 1, 0x29, 2, 0x15, 0, 0x25, 1, 0x75, 1, 0x95, 2,
        0x81, 2, 0x75, 6, 0x95, 1, 0x81, 1, 0x05, 0x01, 0x09, 0x30, 0x09, 0x31, 0x15, 0x81, 0x25, 0x7f, 0x75,
        8, 0x95, 2, 0x81, 6, 0xc0,
    ];

    #[test]
    fn a_mouse_reports_buttons_and_signed_steps() {
        let mouse = Descriptor::parse(MOUSE).unwrap();
        assert_eq!(mouse.application, Usage::MOUSE);
        let values = mouse.read(&[0b10, 0xff, 5]).unwrap();
        let usage = |page, id| Usage { page, id };
        assert_eq!(
            values,
            [
                (usage(9, 1), 0),
                (usage(9, 2), 1),
                (usage(1, 0x30), -1),
                (usage(1, 0x31), 5)
            ]
        );
    }

    #[test]
    fn a_short_report_is_refused() {
        assert_eq!(
            Descriptor::parse(MOUSE).unwrap().read(&[0, 1]),
            Err(HidError::Report)
        );
    }

    #[test]
    fn a_descriptor_is_refused_when_cut_and_no_beginning_of_it_panics() {
        assert_eq!(Descriptor::parse(&MOUSE[..1]), Err(HidError::Truncated));
        for end in 0..MOUSE.len() {
            let _ = Descriptor::parse(&MOUSE[..end]);
        }
        assert_eq!(Descriptor::parse(&[0x75, 33]), Err(HidError::Malformed));
        assert_eq!(Descriptor::parse(&[0xb4]), Err(HidError::Malformed));
        assert_eq!(Descriptor::parse(&[]), Err(HidError::NoInput));
    }

    #[test]
    fn a_number_in_front_chooses_the_fields() {
        let numbered = [&[
            0x05, 0x01, 0x09, 0x05, 0xa1, 0x01, 0x85, 3, 0x09, 0x30, 0x75, 8, 0x95, 1, 0x81, 2, 0xc0,
        ][..]]
        .concat();
        let device = Descriptor::parse(&numbered).unwrap();
        assert_eq!(device.read(&[3, 9]).unwrap(), [(Usage { page: 1, id: 0x30 }, 9)]);
        assert_eq!(device.read(&[4, 9]), Err(HidError::Report));
    }
}
