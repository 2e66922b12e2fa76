//! The .exe that ships, before anyone runs it.
//!
//! It loads nothing but what Windows 7 SP1 and Server 2008 R2 have, function by function, the C runtime
//! included (`msvcrt.dll` is the system's own; the compiler's libraries are inside). It is a console program
//! that may be loaded anywhere, runs no data, holds no symbols and no time of build. (`budgets` says how
//! large it may be.)

use crate::kit::{self, System};
use std::collections::BTreeSet;
use std::fs;

/// What the programs of both widths import. Microsoft's pages name Windows 7 or an older one as the "minimum
/// supported client" of each. Before a name is added here, look at that line of its page: Windows loads no
/// program that imports a single function which it lacks.
const IN_WINDOWS_7: [(&str, &str); 7] = [
    (
        "advapi32.dll",
        "GetKernelObjectSecurity GetLengthSid GetTokenInformation OpenProcessToken SetKernelObjectSecurity SystemFunction036",
    ),
    ("bcrypt.dll", "BCryptGenRandom"),
    (
        "crypt32.dll",
        "CertCloseStore CertDuplicateCertificateContext CertEnumCertificatesInStore CertFreeCertificateContext \
         CertGetEnhancedKeyUsage CertOpenStore CertVerifyTimeValidity",
    ),
    (
        "kernel32.dll",
        "AcquireSRWLockExclusive AddVectoredExceptionHandler CloseHandle CreateFileW CreateMutexA \
         CreateSemaphoreW CreateThread CreateWaitableTimerExW DeleteCriticalSection DeleteFileW DeviceIoControl \
         EnterCriticalSection FileTimeToSystemTime FindClose FindFirstFileExW FindNextFileW FlushFileBuffers \
         FormatMessageW FreeLibrary GetCommandLineW GetConsoleMode GetCurrentDirectoryW GetCurrentProcess \
         GetCurrentProcessId GetCurrentThread GetCurrentThreadId GetEnvironmentVariableW \
         GetFileInformationByHandle GetFileInformationByHandleEx GetFileType GetFinalPathNameByHandleW \
         GetFullPathNameW GetLastError GetModuleFileNameW GetModuleHandleA GetModuleHandleW GetProcAddress \
         GetProcessHeap GetStartupInfoA GetStdHandle GetSystemTimeAsFileTime HeapAlloc HeapFree HeapReAlloc \
         InitOnceBeginInitialize InitOnceComplete InitializeCriticalSection LeaveCriticalSection LoadLibraryA \
         LockFileEx MoveFileExW MultiByteToWideChar QueryPerformanceCounter QueryPerformanceFrequency \
         RaiseException ReadConsoleW ReleaseMutex ReleaseSRWLockExclusive ReleaseSemaphore RtlCaptureContext \
         RtlLookupFunctionEntry RtlUnwindEx RtlVirtualUnwind SetConsoleCtrlHandler SetFileInformationByHandle \
         SetFilePointerEx SetFileTime SetHandleInformation SetLastError SetThreadStackGuarantee \
         SetUnhandledExceptionFilter SetWaitableTimer Sleep SleepConditionVariableSRW SwitchToThread \
         SystemTimeToFileTime SystemTimeToTzSpecificLocalTime TlsAlloc TlsFree TlsGetValue TlsSetValue \
         TryAcquireSRWLockExclusive UnlockFile VirtualProtect VirtualQuery WaitForSingleObject WaitForSingleObjectEx \
         WakeAllConditionVariable WakeConditionVariable WideCharToMultiByte WriteConsoleW __C_specific_handler lstrlenW",
    ),
    (
        "msvcrt.dll",
        "__getmainargs __initenv __iob_func __p__acmdln __p__commode __p__fmode __set_app_type \
         __setusermatherr _acmdln _amsg_exit _cexit _commode _errno _fmode _fpreset _initterm _iob _onexit \
         abort calloc exit fprintf free fwrite malloc memcmp memcpy memmove memset pow signal strlen strncmp \
         vfprintf",
    ),
    ("ntdll.dll", "NtReadFile NtWriteFile RtlNtStatusToDosError"),
    (
        "ws2_32.dll",
        "WSACleanup WSAGetLastError WSASocketW WSAStartup closesocket connect freeaddrinfo getaddrinfo getpeername \
         getsockopt ioctlsocket recv select send setsockopt shutdown",
    ),
];

// From Microsoft's "PE Format".
const MACHINE_I386: u16 = 0x14c;
const MACHINE_AMD64: u16 = 0x8664;
const MAGIC_PE32: u16 = 0x10b;
const MAGIC_PE32_PLUS: u16 = 0x20b;
const SUBSYSTEM_CONSOLE: u16 = 3;
const HIGH_ENTROPY_VA: u16 = 0x20;
const DYNAMIC_BASE: u16 = 0x40;
const NX_COMPAT: u16 = 0x100;
const IMPORT_DIRECTORY: usize = 1;
const DEBUG_DIRECTORY: usize = 6;
const DELAYED_IMPORT_DIRECTORY: usize = 13;

/// A PE file, of 32 or 64 bits.
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

    /// Where the optional header begins.
    fn optional(&self) -> usize {
        self.header + 20
    }

    fn is_of_64_bits(&self) -> bool {
        self.half(self.optional()) == MAGIC_PE32_PLUS
    }

    /// The place in the file and the size of a data directory; none if it is empty.
    fn directory(&self, index: usize) -> Option<usize> {
        let directories = if self.is_of_64_bits() { 112 } else { 96 };
        let entry = self.optional() + directories + index * 8;
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

    /// The library and the name of each function that it imports; of one without a name, its number.
    fn imports(&self) -> BTreeSet<(String, String)> {
        let table = self.directory(IMPORT_DIRECTORY).expect("it imports something");
        let descriptors = (table..).step_by(20).take_while(|&descriptor| self.word(descriptor + 12) != 0);
        let of_one = |descriptor: usize| {
            let library = self.text(self.place(self.word(descriptor + 12))).to_ascii_lowercase();
            let functions = self.functions(self.place(self.word(descriptor)));
            functions.into_iter().map(move |function| (library.clone(), function))
        };
        descriptors.flat_map(of_one).collect()
    }

    /// What an import lookup table names.
    fn functions(&self, table: usize) -> Vec<String> {
        let size = if self.is_of_64_bits() { 8 } else { 4 };
        let entries = (table..).step_by(size).take_while(|&entry| self.bytes[entry..entry + size] != [0; 8][..size]);
        let named = |entry: usize| match self.bytes[entry + size - 1] & 0x80 {
            0 => self.text(self.place(self.word(entry)) + 2),
            _ => format!("#{}", self.half(entry)),
        };
        entries.map(named).collect()
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
fn it_loads_only_what_windows_7_has() {
    let image = image();
    let imports = image.imports();
    assert!(
        imports.len() > 100 && imports.contains(&("kernel32.dll".to_owned(), "CreateFileW".to_owned())),
        "{imports:?}"
    );
    let is_known = |(library, function): &(String, String)| {
        let mut libraries = IN_WINDOWS_7.iter().filter(|(name, _)| name == library);
        libraries.any(|(_, functions)| functions.split(' ').any(|name| name == function))
    };
    let unknown: Vec<_> = imports.iter().filter(|import| !is_known(import)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    assert_eq!(image.directory(DELAYED_IMPORT_DIRECTORY), None, "nor anything later");
}

#[test]
#[ignore = "of the .exe: make test-windows"]
fn it_is_a_console_program_without_symbols_or_time_of_build() {
    let image = image();
    let (optional, machine) = (image.optional(), image.half(image.header));
    let (wanted, mitigations) = match image.is_of_64_bits() {
        true => ((MACHINE_AMD64, MAGIC_PE32_PLUS), HIGH_ENTROPY_VA | DYNAMIC_BASE | NX_COMPAT),
        false => ((MACHINE_I386, MAGIC_PE32), DYNAMIC_BASE | NX_COMPAT),
    };
    assert_eq!((machine, image.half(optional)), wanted);
    assert_eq!(image.half(optional + 68), SUBSYSTEM_CONSOLE);
    // The oldest Windows that may load it: 6.1 is Windows 7.
    assert!((image.half(optional + 48), image.half(optional + 50)) <= (6, 1));
    assert_eq!(image.half(optional + 70) & mitigations, mitigations);
    let (time, symbols) = (image.word(image.header + 4), image.word(image.header + 12));
    assert_eq!((time, symbols), (0, 0));
    assert_eq!(image.directory(DEBUG_DIRECTORY), None);
}
