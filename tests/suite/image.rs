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

// What the System V ABI, its GNU extensions and ELF-64 call these.
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const PT_NOTE: u32 = 4;
const SHT_SYMTAB: u32 = 2;
const DT_NEEDED: u64 = 1;
const NT_GNU_ABI_TAG: u32 = 1;

/// An ELF file of 64 bits, little-endian.
struct Image {
    bytes: Vec<u8>,
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
    bytes.starts_with(b"\x7fELF\x02\x01").then(|| Image::parse(bytes))
});

impl Image {
    fn parse(bytes: Vec<u8>) -> Image {
        let half = |at| u16::from_le_bytes(take(&bytes, at));
        let table = |start: usize, entry: u16, count: u16| {
            (0..usize::from(count)).map(move |index| start + index * usize::from(entry))
        };
        let segments = table(offset_at(&bytes, 32), half(54), half(56)).map(|at| Segment {
            kind: word_at(&bytes, at),
            offset: offset_at(&bytes, at + 8),
            size: offset_at(&bytes, at + 32),
        });
        let segments = segments.collect();
        let sections = table(offset_at(&bytes, 40), half(58), half(60)).map(|at| word_at(&bytes, at + 4)).collect();
        Image { bytes, segments, sections }
    }

    fn of_kind(&self, kind: u32) -> impl Iterator<Item = &[u8]> {
        let segments = self.segments.iter().filter(move |segment| segment.kind == kind);
        segments.map(|segment| &self.bytes[segment.offset..segment.offset + segment.size])
    }

    /// The tags of the dynamic section.
    fn dynamic_tags(&self) -> Vec<u64> {
        let entries = self.of_kind(PT_DYNAMIC).flat_map(|segment| segment.chunks_exact(16));
        entries.map(|entry| u64::from_le_bytes(take(entry, 0))).collect()
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

fn offset_at(bytes: &[u8], at: usize) -> usize {
    usize::try_from(u64::from_le_bytes(take(bytes, at))).expect("64 bits")
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
    let usual = [env!("CARGO_MANIFEST_DIR"), "/root/", "/home/", "/Users/", ".cargo/registry", ".rustup"];
    for place in variables.chain(usual.map(str::to_owned)) {
        let found = bytes.windows(place.len()).position(|window| window == place.as_bytes());
        let context = found.map(|at| String::from_utf8_lossy(&bytes[at..(at + 120).min(bytes.len())]).into_owned());
        assert_eq!(context, None, "{place} stands in the program");
    }
}
