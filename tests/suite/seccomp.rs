//! A kernel that lacks some system calls, because it is older than this one or because a sandbox forbids them.
//!
//! A seccomp filter fails them with ENOSYS, as a kernel does that has never heard of them, in the program
//! and in whatever it starts: seccomp(2), and the kernel's Documentation/userspace-api/seccomp_filter.rst.
//! Calls are told by their numbers on this processor.
#![expect(unsafe_code, reason = "the filter is installed between fork and exec")]

use std::io;
use std::mem::offset_of;
use std::ops::RangeInclusive;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// The numbers of system calls: `318..=318` is one, `299..=u32::MAX` is every call from a number on.
pub type Calls = RangeInclusive<u32>;

/// Makes the command run on a kernel that lacks these calls.
pub fn without(calls: &[Calls], command: &mut Command) {
    let filter = filter(calls);
    // SAFETY: between fork and exec `install` makes two system calls and touches nothing but its own
    // copy of the filter.
    unsafe { command.pre_exec(move || install(&filter)) };
}

/// The numbers are the first thing that the kernel tells a filter of a call (struct seccomp_data).
fn filter(calls: &[Calls]) -> Vec<libc::sock_filter> {
    let statement = |code: u32, operand: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k: operand };
    let number = offset_of!(libc::seccomp_data, nr) as u32;
    let lacking = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
    let mut filter = vec![statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, number)];
    for range in calls {
        // Each jump says how many of the following statements to skip: if so, and if not.
        let below = statement(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, *range.start());
        let above = statement(libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K, *range.end());
        filter.extend([
            libc::sock_filter { jt: 0, jf: 2, ..below },
            libc::sock_filter { jt: 1, jf: 0, ..above },
            statement(libc::BPF_RET | libc::BPF_K, lacking),
        ]);
    }
    filter.push(statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW));
    filter
}

fn install(filter: &[libc::sock_filter]) -> io::Result<()> {
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    // SAFETY: the kernel reads the filter, as long as it says it is, and keeps a copy of its own.
    let is_installed = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0
    };
    if is_installed { Ok(()) } else { Err(io::Error::last_os_error()) }
}
