//! The slow disk: a file system in memory, on which each sync takes 10 ms, and nothing else takes time.
//!
//! `slow-disk DIRECTORY` mounts it there, empty, and prints "mounted", or why it can't. For each line on its
//! standard input it prints how many syncs there have been: of a file, with or without its metadata, or of the
//! directory. When the input ends, it unmounts and ends.
//!
//! It has one directory with files in it: no other directories, no links, no extended attributes. Locks are the
//! kernel's. The kernel alone changes what is here, and so may keep what it was told. A file that has lost its
//! name stays in memory: someone may have it open.

use fuser::{
    BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty,
    ReplyEntry, ReplyOpen, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use nix::mount::{MntFlags, umount2};
use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use std::{env, io, process, thread};

/// What a sync takes.
const SYNC: Duration = Duration::from_millis(10);

/// How long the kernel may keep what it was told.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// FALLOC_FL_KEEP_SIZE of fallocate(2).
const KEEP_SIZE: i32 = 1;

fn main() {
    if let Err(error) = serve() {
        println!("{error}");
        process::exit(1);
    }
}

fn serve() -> Result<(), Box<dyn Error>> {
    let directory = env::args_os().nth(1).ok_or("it needs the directory to mount at")?;
    let disk = Disk::default();
    let syncs = Arc::clone(&disk.syncs);
    let mut config = Config::default();
    config.mount_options = vec![MountOption::FSName("slow-disk".to_owned())];
    let session = fuser::spawn_mount(disk, &directory, &config)
        .map_err(|error| format!("neither mount(2) nor fusermount3 mounts it: {error}"))?;
    println!("mounted");
    for line in io::stdin().lines() {
        line?;
        println!("{}", syncs.load(Ordering::Relaxed));
    }
    // A program that was killed may still wait for its sync: it is served to its end.
    umount2(Path::new(&directory), MntFlags::MNT_DETACH)?;
    Ok(session.join()?)
}

#[derive(Default)]
struct Disk {
    content: Mutex<Content>,
    syncs: Arc<AtomicU64>,
}

/// A file's number is its place among the files, counted from 1. The first is the directory.
struct Content {
    files: Vec<File>,
    names: BTreeMap<OsString, INodeNo>,
}

struct File {
    attributes: FileAttr,
    data: Vec<u8>,
}

impl Default for Content {
    fn default() -> Content {
        let mut content = Content { files: Vec::new(), names: BTreeMap::new() };
        let root = content.add(FileType::Directory, 0o755, (0, 0));
        assert_eq!(root, INodeNo::ROOT);
        content
    }
}

impl Content {
    fn add(&mut self, kind: FileType, mode: u32, (uid, gid): (u32, u32)) -> INodeNo {
        let ino = INodeNo(self.files.len() as u64 + 1);
        let now = SystemTime::now();
        let attributes = FileAttr {
            ino,
            size: 0,
            blocks: 0,
            atime: now,
            mtime: now,
            ctime: now,
            crtime: now,
            kind,
            perm: (mode & 0o7777) as u16,
            nlink: 1,
            uid,
            gid,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        };
        self.files.push(File { attributes, data: Vec::new() });
        ino
    }

    fn file(&mut self, ino: INodeNo) -> &mut File {
        &mut self.files[ino.0 as usize - 1]
    }
}

impl File {
    fn resize(&mut self, size: usize) {
        self.data.resize(size, 0);
        let now = SystemTime::now();
        let size = size as u64;
        self.attributes = FileAttr { size, blocks: size.div_ceil(512), mtime: now, ctime: now, ..self.attributes };
    }
}

impl Disk {
    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits in a thread of its own: a disk that is busy does not keep anyone from what is in memory.
    fn sync(&self, reply: ReplyEmpty) {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        thread::spawn(|| {
            thread::sleep(SYNC);
            reply.ok();
        });
    }
}

/// What is not here, the kernel does by itself, or goes without.
impl Filesystem for Disk {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let mut content = self.content();
        match content.names.get(name).copied() {
            Some(ino) => reply.entry(&KEPT, &content.file(ino).attributes, Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&KEPT, &self.content().file(ino).attributes);
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut content = self.content();
        let file = content.file(ino);
        if let Some(size) = size {
            file.resize(size as usize);
        }
        let now = SystemTime::now();
        let time = |wanted: Option<TimeOrNow>, kept: SystemTime| match wanted {
            Some(TimeOrNow::SpecificTime(time)) => time,
            Some(TimeOrNow::Now) => now,
            None => kept,
        };
        let kept = file.attributes;
        file.attributes = FileAttr {
            perm: mode.map_or(kept.perm, |mode| (mode & 0o7777) as u16),
            uid: uid.unwrap_or(kept.uid),
            gid: gid.unwrap_or(kept.gid),
            atime: time(atime, kept.atime),
            mtime: time(mtime, kept.mtime),
            ctime: now,
            ..kept
        };
        reply.attr(&KEPT, &file.attributes);
    }

    fn create(&self, request: &Request, _: INodeNo, name: &OsStr, mode: u32, _: u32, _: i32, reply: ReplyCreate) {
        let mut content = self.content();
        let ino = content.add(FileType::RegularFile, mode, (request.uid(), request.gid()));
        content.names.insert(name.to_owned(), ino);
        let attributes = &content.file(ino).attributes;
        reply.created(&KEPT, attributes, Generation(0), FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE);
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE);
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let mut content = self.content();
        let data = &content.file(ino).data;
        let start = data.len().min(offset as usize);
        let end = data.len().min(start + size as usize);
        reply.data(&data[start..end]);
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let mut content = self.content();
        let file = content.file(ino);
        let start = offset as usize;
        let end = start + data.len();
        file.resize(file.data.len().max(end));
        file.data[start..end].copy_from_slice(data);
        reply.written(data.len() as u32);
    }

    /// Memory needs no reserving. Other modes change the file, which a program does by itself where it can't be asked.
    fn fallocate(&self, _: &Request, _: INodeNo, _: FileHandle, _: u64, _: u64, mode: i32, reply: ReplyEmpty) {
        match mode {
            KEEP_SIZE => reply.ok(),
            _ => reply.error(Errno::EOPNOTSUPP),
        }
    }

    /// With a flag, which asks for more, it is refused: a program then does without.
    fn rename(
        &self,
        _: &Request,
        _: INodeNo,
        old: &OsStr,
        _: INodeNo,
        new: &OsStr,
        how: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if !how.is_empty() {
            return reply.error(Errno::EINVAL);
        }
        let names = &mut self.content().names;
        match names.remove(old) {
            Some(ino) => {
                names.insert(new.to_owned(), ino);
                reply.ok();
            }
            None => reply.error(Errno::ENOENT),
        }
    }

    fn unlink(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        match self.content().names.remove(name) {
            Some(_) => reply.ok(),
            None => reply.error(Errno::ENOENT),
        }
    }

    /// In the order of their numbers, so that none is left out if others are removed meanwhile; and without `.`
    /// and `..`, which POSIX does not demand.
    fn readdir(&self, _: &Request, _: INodeNo, _: FileHandle, after: u64, mut reply: ReplyDirectory) {
        let content = self.content();
        let mut entries: Vec<_> = content.names.iter().filter(|(_, ino)| ino.0 > after).collect();
        entries.sort_by_key(|(_, ino)| ino.0);
        for (name, ino) in entries {
            if reply.add(*ino, ino.0, FileType::RegularFile, name) {
                break;
            }
        }
        reply.ok();
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.sync(reply);
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.sync(reply);
    }
}
