//! The .exe that ships, before anyone runs it.
//!
//! It loads no library but what is part of Windows, the C runtime included (`msvcrt.dll` is the
//! system's own; the compiler's libraries are inside). It is a console program of 64 bits that may
//! be loaded anywhere, runs no data, holds no symbols and no time of build. (`budgets` says how large
//! it may be.)

use crate::kit::{self, System};
use std::fs;

/// What every Windows has had since version 10.
const SYSTEM_LIBRARIES: [&str; 9] = [
    "advapi32.dll",
    "api-ms-win-core-synch-l1-2-0.dll",
    "bcrypt.dll",
    "bcryptprimitives.dll",
    "crypt32.dll",
    "kernel32.dll",
    "msvcrt.dll",
    "ntdll.dll",
    "ws2_32.dll",
];

// From Microsoft's "PE Format".
const MACHINE_AMD64: u16 = 0x8664;
const MAGIC_PE32_PLUS: u16 = 0x20b;
const SUBSYSTEM_CONSOLE: u16 = 3;
const HIGH_ENTROPY_VA: u16 = 0x20;
const DYNAMIC_BASE: u16 = 0x40;
const NX_COMPAT: u16 = 0x100;
const IMPORT_DIRECTORY: usize = 1;
const DEBUG_DIRECTORY: usize = 6;
const DELAYED_IMPORT_DIRECTORY: usize = 13;

/// A PE file of 64 bits.
struct Image {
    bytes: Vec<u8>,
    /// Where the file header begins, behind the signature.
    header: usize,
}

impl Image {
    fn read() -> Image {
        let bytes = fs::read(kit::binary()).expect("read the program");
        let header = u32::from_le_bytes(take(&bytes, 0x3c)) as usize + 4;
        assert_eq!(take(&bytes, header - 4), *b"PE\0\0");
        Image { bytes, header }
    }

    fn half(&self, at: usize) -> u16 {
        u16::from_le_bytes(take(&self.bytes, at))
    }

    fn word(&self, at: usize) -> u32 {
        u32::from_le_bytes(take(&self.bytes, at))
    }

    /// Where the optional header begins, in which all offsets are those of PE32+.
    fn optional(&self) -> usize {
        self.header + 20
    }

    /// The place in the file and the size of a data directory; none if it is empty.
    fn directory(&self, index: usize) -> Option<usize> {
        let entry = self.optional() + 112 + index * 8;
        (self.word(entry + 4) > 0).then(|| self.place(self.word(entry)))
    }

    /// The place in the file of what is loaded at this address.
    fn place(&self, address: u32) -> usize {
        let sections = self.optional() + usize::from(self.half(self.header + 16));
        let mut sections = (0..usize::from(self.half(self.header + 2))).map(|index| sections + index * 40);
        let section = sections.find(|&section| {
            let start = self.word(section + 12);
            (start..start + self.word(section + 16)).contains(&address)
        });
        let section = section.expect("the address is in a section");
        (address - self.word(section + 12) + self.word(section + 20)) as usize
    }

    /// The names of the libraries that it is loaded with.
    fn libraries(&self) -> Vec<String> {
        let table = self.directory(IMPORT_DIRECTORY).expect("it imports something");
        let descriptors = (table..).step_by(20);
        let names = descriptors.map(|descriptor| self.word(descriptor + 12)).take_while(|&name| name != 0);
        names.map(|name| self.text(self.place(name)).to_ascii_lowercase()).collect()
    }

    fn text(&self, at: usize) -> String {
        let length = self.bytes[at..].iter().position(|&byte| byte == 0).expect("a name ends");
        String::from_utf8_lossy(&self.bytes[at..at + length]).into_owned()
    }
}

fn take<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..at + N).and_then(|bytes| bytes.try_into().ok()).expect("a whole PE file")
}

fn image() -> Image {
    assert_eq!(kit::system(), System::Windows, "make test-windows runs this");
    Image::read()
}

#[test]
#[ignore = "of the .exe: make test-windows"]
fn it_loads_only_what_is_part_of_windows() {
    let image = image();
    let mut libraries = image.libraries();
    libraries.sort();
    libraries.dedup();
    println!("{libraries:?}");
    assert!(libraries.contains(&"kernel32.dll".to_owned()), "the import table was not understood");
    libraries.retain(|library| !SYSTEM_LIBRARIES.contains(&library.as_str()));
    assert_eq!(libraries, [""; 0]);
    assert_eq!(image.directory(DELAYED_IMPORT_DIRECTORY), None, "nor anything later");
}

#[test]
#[ignore = "of the .exe: make test-windows"]
fn it_is_a_console_program_without_symbols_or_time_of_build() {
    let image = image();
    let (optional, machine) = (image.optional(), image.half(image.header));
    assert_eq!((machine, image.half(optional)), (MACHINE_AMD64, MAGIC_PE32_PLUS));
    assert_eq!(image.half(optional + 68), SUBSYSTEM_CONSOLE);
    let mitigations = HIGH_ENTROPY_VA | DYNAMIC_BASE | NX_COMPAT;
    assert_eq!(image.half(optional + 70) & mitigations, mitigations);
    let (time, symbols) = (image.word(image.header + 4), image.word(image.header + 12));
    assert_eq!((time, symbols), (0, 0));
    assert_eq!(image.directory(DEBUG_DIRECTORY), None);
}
