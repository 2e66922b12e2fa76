//! Windows: the security descriptor keeps others out. The draft is born with the DACL of
//! the token file, entry by entry, and has its owner (where this user may give a file away), its
//! group and its attributes before it holds a token. Nothing is inherited anew: a file that
//! `icacls` closed stays closed. Audit entries and other streams are not carried over.
#![expect(unsafe_code, reason = "std knows neither security descriptors nor link counts")]

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Seek as _, Write as _};
use std::os::windows::ffi::OsStrExt as _;
use std::os::windows::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::os::windows::io::{AsRawHandle as _, FromRawHandle as _};
use std::path::{self, Component, Path, PathBuf, Prefix};
use std::{ptr, slice};

use windows_sys::Win32::Foundation as foundation;
use windows_sys::Win32::Security as security;
use windows_sys::Win32::Storage::FileSystem as file_system;
use windows_sys::Win32::System::Threading as threading;

use super::attributes::Attributes;

/// The attributes that a draft is made with.
const KEPT_ATTRIBUTES: u32 = file_system::FILE_ATTRIBUTE_HIDDEN
    | file_system::FILE_ATTRIBUTE_SYSTEM
    | file_system::FILE_ATTRIBUTE_NOT_CONTENT_INDEXED
    | file_system::FILE_ATTRIBUTE_ENCRYPTED;

/// Windows takes a longer path only in the verbatim form; the names next to the file have suffixes.
const MAX_PLAIN_PATH: usize = 230;

/// The directory of the token file. Windows cannot sync a directory, but syncing a file also makes its new name
/// durable.
pub struct Directory;

impl Directory {
    pub fn open(_path: &Path) -> io::Result<Self> {
        Ok(Self)
    }

    /// Nothing that Windows lets a program do makes the names in it durable.
    pub fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    /// Makes the name of a file durable that was created or renamed here.
    pub fn sync_name(&self, named: &File) -> io::Result<()> {
        named.sync_all()
    }

    /// No file is mounted by itself here.
    pub fn is_on_device_of(&self, _metadata: &Metadata) -> io::Result<bool> {
        Ok(true)
    }
}

/// Whether the name is a device's, which it is in every directory and with any extension (NUL,
/// com1.json), or that of a stream in a file.
pub fn is_device(given: &Path) -> bool {
    let is_in_device_space = matches!(
        given.components().next(),
        Some(Component::Prefix(prefix)) if matches!(prefix.kind(), Prefix::DeviceNS(_))
    );
    let name = given.file_name().unwrap_or_default().to_string_lossy().to_ascii_uppercase();
    let stem = name.split('.').next().unwrap_or_default().trim_end();
    let number = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
    is_in_device_space
        || name.contains(':')
        || ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"].contains(&stem)
        || number.is_some_and(|number| number.chars().count() == 1 && number.contains(is_device_number))
}

fn is_device_number(character: char) -> bool {
    character.is_ascii_digit() || "¹²³".contains(character)
}

/// The file's own path, without links; as people write it (`C:\…`, not `\\?\C:\…`) if that means
/// the same file.
pub fn resolve(given: &Path) -> io::Result<PathBuf> {
    let verbatim = fs::canonicalize(given)?;
    let plain = verbatim.to_str().and_then(|text| {
        let plain = match text.strip_prefix(r"\\?\UNC\") {
            Some(share) => format!(r"\\{share}"),
            None => text.strip_prefix(r"\\?\")?.to_owned(),
        };
        (plain.len() < MAX_PLAIN_PATH).then(|| PathBuf::from(plain))
    });
    Ok(plain.filter(|plain| path::absolute(plain).is_ok_and(|same| same == *plain)).unwrap_or(verbatim))
}

/// Creates the draft, and nothing else: an existing file or link is an error. From its first
/// instant nobody may open it who may not open the token file.
pub fn create_draft(path: &Path, tokens: &Path, metadata: &Metadata) -> io::Result<File> {
    // Replacing a file means deleting it. A user who may not fails here, and not after the request.
    let tokens = OpenOptions::new().access_mode(file_system::READ_CONTROL | file_system::DELETE).open(tokens)?;
    let mut dacl = Descriptor::of(&tokens, security::DACL_SECURITY_INFORMATION)?;
    dacl.add(security::SE_DACL_PROTECTED);
    let access = foundation::GENERIC_WRITE | file_system::READ_CONTROL | file_system::WRITE_DAC;
    let attributes = metadata.file_attributes() & KEPT_ATTRIBUTES;
    // The owner can be changed only where this is granted.
    create(path, access | file_system::WRITE_OWNER, &dacl, attributes).or_else(|why| match why.kind() {
        io::ErrorKind::PermissionDenied => create(path, access, &dacl, attributes),
        _ => Err(why),
    })
}

/// Opens the draft of an interrupted run to finish it, and to give it the token file's DACL.
pub fn open_draft(path: &Path) -> io::Result<File> {
    let access = foundation::GENERIC_WRITE | file_system::READ_CONTROL | file_system::WRITE_DAC;
    OpenOptions::new().access_mode(access).open(path)
}

/// Creates a file with the access rights that its directory gives it. An existing file is an error.
pub fn create_for_readers(path: &Path) -> io::Result<File> {
    File::create_new(path)
}

/// Creates a file that only this user may open. An existing file is an error.
pub fn create_private(path: &Path) -> io::Result<File> {
    let access = foundation::GENERIC_WRITE | file_system::READ_CONTROL | file_system::WRITE_DAC;
    create(path, access, &Descriptor::for_user_alone(&user()?), file_system::FILE_ATTRIBUTE_NORMAL)
}

/// The security identifier of the user as whom this process runs.
fn user() -> io::Result<Vec<u8>> {
    // A TOKEN_USER and the identifier that it points to, which has at most 68 bytes.
    let mut buffer = [0_u64; 16];
    let mut token = ptr::null_mut();
    // SAFETY: `token` takes a handle, which is closed here and used by nobody else. `buffer` is aligned for a
    // TOKEN_USER and may be written for its size. Where that went well, the pointer in it leads to an identifier
    // in the same buffer, as long as GetLengthSid says.
    unsafe {
        if threading::OpenProcessToken(threading::GetCurrentProcess(), security::TOKEN_QUERY, &mut token) == 0 {
            return Err(io::Error::last_os_error());
        }
        let (start, size) = (buffer.as_mut_ptr(), size_of_val(&buffer) as u32);
        let is_done = security::GetTokenInformation(token, security::TokenUser, start.cast(), size, &mut 0);
        let why = io::Error::last_os_error();
        foundation::CloseHandle(token);
        if is_done == 0 {
            return Err(why);
        }
        let sid = (*start.cast::<security::TOKEN_USER>()).User.Sid;
        Ok(slice::from_raw_parts(sid.cast(), security::GetLengthSid(sid) as usize).to_vec())
    }
}

fn create(path: &Path, access: u32, dacl: &Descriptor, attributes: u32) -> io::Result<File> {
    let name: Vec<u16> = path.as_os_str().encode_wide().chain([0]).collect();
    let security = security::SECURITY_ATTRIBUTES {
        nLength: size_of::<security::SECURITY_ATTRIBUTES>() as u32,
        lpSecurityDescriptor: dacl.0.as_ptr().cast_mut().cast(),
        bInheritHandle: 0,
    };
    let sharing = file_system::FILE_SHARE_READ | file_system::FILE_SHARE_WRITE | file_system::FILE_SHARE_DELETE;
    // SAFETY: `name` ends with a NUL. `security` and the descriptor that it points to, which Windows
    // itself has written, or `for_user_alone`, outlive the call, and the call only reads them. No template is a null
    // handle.
    let handle = unsafe {
        let new = file_system::CREATE_NEW;
        file_system::CreateFileW(name.as_ptr(), access, sharing, &security, new, attributes, ptr::null_mut())
    };
    if handle == foundation::INVALID_HANDLE_VALUE {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the handle is a file's, valid, and owned by nobody else.
    Ok(unsafe { File::from_raw_handle(handle) })
}

/// Makes a file's content durable.
pub fn sync(path: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.sync_all()
}

/// Writes over the beginning of a file, wherever it was read or written before.
pub fn write_at_start(mut file: &File, bytes: &[u8]) -> io::Result<()> {
    file.rewind()?;
    file.write_all(bytes)
}

/// Opens the lock file.
pub fn lock_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    options
}

/// Everybody who may create a draft in this directory inherits access to the lock file.
pub fn share_lock(_tokens: &Metadata, _lock: &File) {}

/// Gives `file` the DACL of the token file as it stands, and, where allowed, its owner and group.
pub fn copy_protection(tokens: &Path, _metadata: &Metadata, file: &File) -> io::Result<()> {
    let tokens = OpenOptions::new().access_mode(file_system::READ_CONTROL).open(tokens)?;
    let mut dacl = Descriptor::of(&tokens, security::DACL_SECURITY_INFORMATION)?;
    if dacl.control() & security::SE_DACL_AUTO_INHERITED != 0 {
        // Otherwise Windows would forget that the inherited entries were inherited.
        dacl.add(security::SE_DACL_AUTO_INHERIT_REQ);
    }
    dacl.give(file, security::DACL_SECURITY_INFORMATION)?;
    let owner = security::OWNER_SECURITY_INFORMATION | security::GROUP_SECURITY_INFORMATION;
    // Usually refused to anyone but the owner. Nobody gains access by it: the DACL decides that.
    let _ = Descriptor::of(&tokens, owner).and_then(|descriptor| descriptor.give(file, owner));
    Ok(())
}

/// That one leaves the owner as it is where this user may not change it; the DACL alone decides who may open the file.
pub use self::copy_protection as copy_protection_if_allowed;

/// A self-relative security descriptor ([MS-DTYP] 2.4.6), aligned as Windows wants it.
struct Descriptor(Vec<u64>);

impl Descriptor {
    fn of(file: &File, parts: u32) -> io::Result<Self> {
        let mut words: Vec<u64> = Vec::new();
        loop {
            let size = size_of_val(words.as_slice()) as u32;
            let mut needed = 0;
            // SAFETY: `file` keeps the handle open; `words` may be written for `size` bytes, and
            // nothing is written into a buffer that is too small.
            let is_done = unsafe {
                let buffer = words.as_mut_ptr().cast();
                security::GetKernelObjectSecurity(file.as_raw_handle(), parts, buffer, size, &mut needed)
            };
            let why = io::Error::last_os_error();
            match (is_done, needed > size) {
                (0, true) => words.resize((needed as usize).div_ceil(size_of::<u64>()), 0),
                (0, false) => return Err(why),
                _ => return Ok(Self(words)),
            }
        }
    }

    /// A protected DACL with one entry: all access, for this user.
    fn for_user_alone(sid: &[u8]) -> Self {
        const HEADER: u32 = 20;
        let control = security::SE_SELF_RELATIVE | security::SE_DACL_PRESENT | security::SE_DACL_PROTECTED;
        let entry_size = 8 + sid.len() as u16;
        let mut bytes = vec![1, 0];
        bytes.extend(control.to_le_bytes());
        // Where owner, group, audit entries and the DACL are.
        [0, 0, 0, HEADER].iter().for_each(|offset: &u32| bytes.extend(offset.to_le_bytes()));
        // The list ([MS-DTYP] 2.4.5): revision, size, one entry.
        bytes.extend([2, 0]);
        [8 + entry_size, 1, 0].iter().for_each(|word: &u16| bytes.extend(word.to_le_bytes()));
        // The entry ([MS-DTYP] 2.4.4.2): access allowed.
        bytes.extend([0, 0]);
        bytes.extend(entry_size.to_le_bytes());
        bytes.extend(file_system::FILE_ALL_ACCESS.to_le_bytes());
        bytes.extend(sid);
        bytes.resize(bytes.len().next_multiple_of(size_of::<u64>()), 0);
        let (words, _) = bytes.as_chunks();
        Self(words.iter().map(|word| u64::from_le_bytes(*word)).collect())
    }

    fn give(&self, file: &File, parts: u32) -> io::Result<()> {
        // SAFETY: `file` keeps the handle open; the descriptor was written by Windows, and is only
        // read.
        let is_done = unsafe {
            let descriptor = self.0.as_ptr().cast_mut().cast();
            security::SetKernelObjectSecurity(file.as_raw_handle(), parts, descriptor)
        };
        if is_done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// The control bits: the third and fourth byte, little-endian.
    fn control(&self) -> u16 {
        (self.0[0] >> 16) as u16
    }

    fn add(&mut self, control: u16) {
        self.0[0] |= u64::from(control) << 16;
    }
}

/// Whether a rename over this name would cut the file's other names off.
pub fn has_hard_links(tokens: &Path, _metadata: &Metadata) -> bool {
    let Ok(file) = OpenOptions::new().access_mode(0).open(tokens) else {
        return false;
    };
    let mut information = file_system::BY_HANDLE_FILE_INFORMATION::default();
    // SAFETY: `file` keeps the handle open; `information` is of the type that is asked for, and is
    // written before the call returns.
    let is_done = unsafe { file_system::GetFileInformationByHandle(file.as_raw_handle(), &mut information) };
    is_done != 0 && information.nNumberOfLinks > 1
}

/// The attribute that keeps a file from being replaced, as messages name it, and the command that removes it.
pub const IMMUTABLE: &str = "read-only";
pub const MAKE_MUTABLE: &str = "attrib -r";

/// No file is mounted by itself here.
pub fn attributes(_tokens: &Path, metadata: &Metadata) -> io::Result<Attributes> {
    let is_immutable = metadata.file_attributes() & file_system::FILE_ATTRIBUTE_READONLY != 0;
    Ok(Attributes { is_immutable, is_mount: Some(false) })
}

/// Who may open a file depends on its DACL here, not on its owner.
pub fn copy_owner(_tokens: &Metadata, _file: &File) -> io::Result<()> {
    Ok(())
}

/// The DACL of the token file, which the draft has, decides who may open it.
pub fn make_private(_file: &File) -> io::Result<()> {
    Ok(())
}

/// The owner, for a message.
pub fn owner_of(_metadata: &Metadata) -> String {
    "see icacls".to_owned()
}

/// Windows has its locks in the file system.
pub fn is_lock_service_missing(_error: &io::Error) -> bool {
    false
}
