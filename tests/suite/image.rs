//! The file that ships, before anyone runs it.
//!
//! It is one static ELF file: no interpreter, no library to load, so that it runs in a container
//! that holds nothing else. It is stripped. And it tells nothing of the machine that built it: no
//! home directory, no checkout, no cargo directory stands in it.

use crate::kit;
use crate::tools;
use std::env;
use std::fs;
use std::sync::LazyLock;

/// The C library inside the file, on which every budget depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CLibrary {
    Glibc,
    Musl,
}

// What the System V ABI and its GNU extensions call these.
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const PT_NOTE: u32 = 4;
const SHT_SYMTAB: u32 = 2;
const DT_NEEDED: usize = 1;
const NT_GNU_ABI_TAG: u32 = 1;

/// An ELF file, little-endian.
struct Image {
    bytes: Vec<u8>,
    width: Width,
    segments: Vec<Segment>,
    /// The types of its sections.
    sections: Vec<u32>,
}

struct Segment {
    kind: u32,
    offset: usize,
    size: usize,
}

/// The C library of the program under test; none if it is not an ELF file.
pub fn c_library() -> Option<CLibrary> {
    let image = IMAGE.as_ref()?;
    // glibc's start files carry a note on the oldest kernel that it runs on; musl's do not.
    Some(if image.notes().contains(&NT_GNU_ABI_TAG) { CLibrary::Glibc } else { CLibrary::Musl })
}

static IMAGE: LazyLock<Option<Image>> = LazyLock::new(|| {
    let bytes = fs::read(kit::binary()).expect("read the program");
    let width = match bytes.first_chunk() {
        Some(b"\x7fELF\x01\x01") => Width::Bits32,
        Some(b"\x7fELF\x02\x01") => Width::Bits64,
        _ => return None,
    };
    Some(Image::parse(bytes, width))
});

/// How wide addresses are, on which all places in the file depend.
#[derive(Clone, Copy)]
enum Width {
    Bits32,
    Bits64,
}

impl Width {
    fn of_address(self) -> usize {
        match self {
            Width::Bits32 => 4,
            Width::Bits64 => 8,
        }
    }

    fn address(self, bytes: &[u8], at: usize) -> usize {
        match self {
            Width::Bits32 => word_at(bytes, at) as usize,
            Width::Bits64 => usize::try_from(u64::from_le_bytes(take(bytes, at))).expect("64 bits"),
        }
    }
}

impl Image {
    fn parse(bytes: Vec<u8>, width: Width) -> Image {
        let address = |at| width.address(&bytes, at);
        let half = |at| u16::from_le_bytes(take(&bytes, at));
        let table = |start: usize, entry: u16, count: u16| {
            (0..usize::from(count)).map(move |index| start + index * usize::from(entry))
        };
        // The tables' places, and the numbers and sizes of their entries; where a segment says its place and size.
        let (places, numbers, offset, size) = match width {
            Width::Bits32 => ([28, 32], [42, 44, 46, 48], 4, 16),
            Width::Bits64 => ([32, 40], [54, 56, 58, 60], 8, 32),
        };
        let segments = table(address(places[0]), half(numbers[0]), half(numbers[1])).map(|at| Segment {
            kind: word_at(&bytes, at),
            offset: address(at + offset),
            size: address(at + size),
        });
        let segments = segments.collect();
        let sections = table(address(places[1]), half(numbers[2]), half(numbers[3]));
        let sections = sections.map(|at| word_at(&bytes, at + 4)).collect();
        Image { bytes, width, segments, sections }
    }

    fn of_kind(&self, kind: u32) -> impl Iterator<Item = &[u8]> {
        let segments = self.segments.iter().filter(move |segment| segment.kind == kind);
        segments.map(|segment| &self.bytes[segment.offset..segment.offset + segment.size])
    }

    /// The tags of the dynamic section.
    fn dynamic_tags(&self) -> Vec<usize> {
        let entry = 2 * self.width.of_address();
        let entries = self.of_kind(PT_DYNAMIC).flat_map(move |segment| segment.chunks_exact(entry));
        entries.map(|entry| self.width.address(entry, 0)).collect()
    }

    /// The types of the notes whose owner is GNU.
    fn notes(&self) -> Vec<u32> {
        let mut types = Vec::new();
        for mut rest in self.of_kind(PT_NOTE) {
            while rest.len() >= 12 {
                let padded = |at| (word_at(rest, at) as usize).next_multiple_of(4);
                let (name, description) = (padded(0), padded(4));
                if rest[12..].starts_with(b"GNU\0") {
                    types.push(word_at(rest, 8));
                }
                rest = rest.get(12 + name + description..).unwrap_or_default();
            }
        }
        types
    }
}

fn take<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..at + N).and_then(|bytes| bytes.try_into().ok()).expect("a whole ELF file")
}

fn word_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(take(bytes, at))
}

#[test]
fn it_is_static_and_stripped() {
    let Some(image) = IMAGE.as_ref() else {
        return tools::say("skipped: not an ELF file");
    };
    assert_eq!(image.of_kind(PT_INTERP).count(), 0, "it names an interpreter: it is not static");
    assert!(!image.dynamic_tags().contains(&DT_NEEDED), "it needs a library: it is not static");
    assert!(!image.sections.contains(&SHT_SYMTAB), "it has a symbol table: it is not stripped");
}

#[test]
fn it_does_not_tell_where_it_was_built() {
    let bytes = fs::read(kit::binary()).expect("read the program");
    let variables = ["HOME", "CARGO_HOME", "RUSTUP_HOME", "CARGO_TARGET_DIR"].map(|name| env::var(name).ok());
    let variables = variables.into_iter().flatten().filter(|place| place.len() > 1).map(|place| place + "/");
    let usual = [env!("CARGO_MANIFEST_DIR"), "/root/", "/home/", "/Users/", "registry/src", ".rustup"];
    for place in variables.chain(usual.map(str::to_owned)) {
        let found = bytes.windows(place.len()).position(|window| window == place.as_bytes());
        let context = found.map(|at| String::from_utf8_lossy(&bytes[at..(at + 120).min(bytes.len())]).into_owned());
        assert_eq!(context, None, "{place} stands in the program");
    }
}
