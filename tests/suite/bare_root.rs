//! The program where there is next to nothing.
//!
//! In a root directory that holds the program, the token file's directory and at most two files of
//! `/etc`, as a container made `FROM scratch` does; as cron starts it, without an environment; and
//! with standard streams that are closed, broken or full. In each of these it refreshes, or says
//! in bounded time what is missing, and what the server gave out is never lost.
//!
//! The new root is made by coreutils' `chroot`, for which the test must be root.

use crate::canary;
use crate::kit::{self, CLIENT_ID, CLIENT_SECRET, TOKEN_FILE, Workspace};
#[cfg(target_os = "linux")]
use crate::needs::Need;
use crate::seccomp;
use crate::token_server::{Rotation, Script, TokenServer};
use crate::tools;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Nobody: a user that owns nothing else and has no entry in any /etc.
const NOBODY: u32 = 65534;

/// A root directory, and the server that its token file is for.
struct BareRoot {
    workspace: Workspace,
    chroot: PathBuf,
    server: TokenServer,
    rotation: Rotation,
}

fn serve(rotation: &Rotation) -> TokenServer {
    kit::serve(Script::always(rotation.step()))
}

/// Copies a program in a process of its own: while this one has the copy open for writing, whatever it
/// starts meanwhile has, too, and the kernel runs no such file (ETXTBSY).
fn copy_to_run(program: &Path, copy: &Path) {
    let status = Command::new("/bin/cp").args([program, copy]).status().expect("start cp");
    assert!(status.success(), "cp {}: {status}", program.display());
}

impl BareRoot {
    /// None where a root can't be changed.
    fn new(name: &str) -> Option<BareRoot> {
        let chroot = tools::find("chroot").filter(|_| tools::is_root())?;
        let rotation = kit::rotation();
        let server = serve(&rotation);
        let mut workspace = Workspace::new(name);
        workspace.give("tokens/docusign.json", rotation.first_token_file());
        let root = BareRoot { workspace, chroot, server, rotation };
        copy_to_run(kit::binary(), &root.path("docusign-refresh"));
        fs::copy(root.workspace.ca_file(), root.path("ca.pem")).expect("copy the CA file");
        fs::set_permissions(root.path(""), Permissions::from_mode(0o755)).expect("open the root to everyone");
        Some(root)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.workspace.path(name)
    }

    /// What every container gets from its engine.
    fn with_etc(self) -> BareRoot {
        fs::create_dir(self.path("etc")).expect("make /etc");
        fs::write(self.path("etc/hosts"), "127.0.0.1 localhost\n").expect("write /etc/hosts");
        fs::write(self.path("etc/resolv.conf"), "nameserver 127.0.0.1\n").expect("write /etc/resolv.conf");
        self
    }

    /// Gives the tokens, and nothing else, to a user.
    fn tokens_of(self, user: u32) -> BareRoot {
        for name in ["tokens", "tokens/docusign.json"] {
            chown(self.path(name), Some(user), Some(user)).expect("give the tokens away");
        }
        self
    }

    /// The program in this root, for a user who is in no group but his own.
    fn command_as(&self, user: u32, host: &str, args: &[&str]) -> Command {
        let endpoint = format!("https://{host}:{}/oauth/token", self.server.port());
        // A run that never ends is a failure, and must not become the test's.
        let mut command = Command::new("/usr/bin/timeout");
        command
            .args(["--signal=KILL", "30"])
            .arg(&self.chroot)
            .arg(format!("--userspec={user}:{user}"))
            .args([self.path("").as_os_str(), "/docusign-refresh".as_ref()])
            .args(["--client-id", CLIENT_ID, "--token-endpoint", &endpoint, "--ca-file", "/ca.pem"])
            .arg("/tokens/docusign.json")
            .args(args)
            .env_clear()
            .env("DOCUSIGN_CLIENT_SECRET", CLIENT_SECRET)
            .stdin(Stdio::null());
        command
    }

    fn run_as(&self, user: u32, host: &str, args: &[&str]) -> Output {
        self.command_as(user, host, args).output().expect("start chroot")
    }

    fn expect_refreshed(&self, output: &Output) {
        expect_exit(output, 0);
        let stored = self.workspace.read("tokens/docusign.json");
        let stored = String::from_utf8_lossy(&stored);
        assert!(stored.contains(&self.rotation.live_refresh_token()), "{stored}");
        assert_eq!((self.rotation.refreshes(), self.rotation.reuses()), (1, 0));
    }
}

#[track_caller]
fn expect_exit(output: &Output, code: i32) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{}: {stderr}", output.status);
    assert_eq!(canary::find(&output.stderr), None);
}

#[test]
fn a_name_in_etc_hosts_is_found() {
    let Some(root) = BareRoot::new("bare-root-hosts") else { return };
    let root = root.with_etc();
    root.expect_refreshed(&root.run_as(0, "localhost", &[]));
}

#[test]
fn any_user_will_do() {
    let Some(root) = BareRoot::new("bare-root-nobody") else { return };
    let root = root.with_etc().tokens_of(NOBODY);
    root.expect_refreshed(&root.run_as(NOBODY, "localhost", &[]));
}

#[test]
fn a_literal_address_needs_no_file_at_all() {
    let Some(root) = BareRoot::new("bare-root-literal") else { return };
    let root = root.tokens_of(NOBODY);
    root.expect_refreshed(&root.run_as(NOBODY, "127.0.0.1", &[]));
    let names: Vec<_> = fs::read_dir(root.path("")).expect("list the root").collect();
    assert_eq!(names.len(), 3, "the program, the CA file, the tokens, and nothing that we made: {names:?}");
}

/// Kubernetes' `readOnlyRootFilesystem`, with one volume for the tokens.
#[test]
fn only_the_directory_of_the_tokens_is_written_to() {
    /// Only the new mount namespace sees these mounts. `$1` is the root.
    const READ_ONLY: &str = "mount --bind \"$1\" \"$1\" && mount --bind \"$1/tokens\" \"$1/tokens\" &&
        mount -o remount,bind,ro \"$1\" && ! touch \"$1/file\" && shift && exec \"$@\"";
    let Some(root) = BareRoot::new("bare-root-read-only") else { return };
    let Some(unshare) = tools::find("unshare").filter(|_| Need::OwnMounts.is_met()) else { return };
    let root = root.with_etc();
    let chroot = root.command_as(0, "localhost", &[]);
    let output = Command::new(unshare)
        .args(["--mount", "--propagation", "private", "/bin/sh", "-c", READ_ONLY, "sh"])
        .arg(root.path(""))
        .arg(chroot.get_program())
        .args(chroot.get_args())
        .env("DOCUSIGN_CLIENT_SECRET", CLIENT_SECRET)
        .output()
        .expect("start unshare");
    root.expect_refreshed(&output);
}

#[test]
fn a_name_that_nobody_knows_ends_the_run_in_time() {
    let Some(root) = BareRoot::new("bare-root-unknown") else { return };
    let start = Instant::now();
    let output = root.run_as(0, "login.example", &["--timeout", "2s"]);
    let elapsed = start.elapsed();
    expect_exit(&output, 75);
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(
        message.starts_with("docusign-refresh: /tokens/docusign.json: not refreshed by login.example: "),
        "{message}"
    );
    assert!(elapsed < Duration::from_secs(5), "it took {elapsed:?}");
    assert_eq!(root.workspace.read("tokens/docusign.json"), root.workspace.given()["tokens/docusign.json"]);
}

/// A device of /dev, made as the kernel's documentation has it (admin-guide/devices.txt).
#[cfg(target_os = "linux")]
fn make_device(root: &BareRoot, name: &str) {
    let minor = if name == "random" { "8" } else { "9" };
    fs::create_dir_all(root.path("dev")).expect("make /dev");
    let made = Command::new("/bin/mknod")
        .args(["-m", "444"])
        .arg(root.path("dev").join(name))
        .args(["c", "1", minor])
        .status()
        .expect("start mknod");
    assert!(made.success(), "mknod {name}: {made}");
}

/// Linux before 3.17 has no getrandom. There the random numbers for TLS come from a device, and the kernel says by
/// another one when it has gathered enough. Without either one nothing is begun.
#[cfg(target_os = "linux")]
#[test]
fn random_numbers_of_an_old_kernel_take_two_devices() {
    let getrandom = u32::try_from(libc::SYS_getrandom).expect("the number of a call");
    let cases: [(&[&str], Option<&str>); 4] = [
        (&[], Some("/dev/urandom")),
        (&["random"], Some("/dev/urandom")),
        (&["urandom"], Some("/dev/random")),
        (&["urandom", "random"], None),
    ];
    for (devices, missing) in cases {
        let Some(root) = BareRoot::new("bare-root-random") else { return };
        for device in devices {
            make_device(&root, device);
        }
        let mut command = root.command_as(0, "127.0.0.1", &[]);
        seccomp::without(&[getrandom..=getrandom], &mut command);
        let output = command.output().expect("start chroot");
        let Some(missing) = missing else {
            root.expect_refreshed(&output);
            continue;
        };
        expect_exit(&output, 78);
        let message = String::from_utf8_lossy(&output.stderr);
        let wanted = [
            format!("docusign-refresh: {missing}: no random numbers: the kernel offers no getrandom, and this device"),
            format!("hint: nothing was sent; create it in this root directory, as root: mknod -m 444 {missing} c 1 "),
        ];
        assert!(wanted.iter().all(|line| message.contains(line)), "{message}");
        let left: Vec<_> = fs::read_dir(root.path("tokens")).expect("list the tokens").collect();
        assert_eq!(left.len(), 1, "no lock and no draft: {left:?}");
        assert_eq!(root.server.finish().connections, 0);
    }
}

/// The program in a workspace, its streams and its user chosen by the test.
fn program_in(workspace: &Workspace, server: &TokenServer) -> Command {
    let mut command = Command::new(kit::binary());
    command.args(["--token-endpoint", &server.endpoint(), "--client-id", CLIENT_ID]);
    command.args(["--client-secret-file", "client-secret", "--ca-file"]).arg(workspace.ca_file());
    command.current_dir(workspace.directory()).env_clear().stdin(Stdio::null());
    command
}

fn workspace_of(name: &str, rotation: &Rotation) -> Workspace {
    let mut workspace = Workspace::new(name);
    workspace.give(TOKEN_FILE, rotation.first_token_file());
    workspace.give("client-secret", CLIENT_SECRET);
    workspace
}

fn expect_safe(workspace: &Workspace, rotation: &Rotation) {
    let stored = workspace.read(TOKEN_FILE);
    assert!(String::from_utf8_lossy(&stored).contains(&rotation.live_refresh_token()));
    assert_eq!((rotation.refreshes(), rotation.reuses()), (1, 0));
    assert!(!workspace.path("docusign.json.new").exists(), "a draft was left");
}

#[test]
fn no_environment_is_needed() {
    let rotation = kit::rotation();
    let server = serve(&rotation);
    let workspace = workspace_of("no-environment", &rotation);
    let output = program_in(&workspace, &server).output().expect("start the program");
    expect_exit(&output, 0);
    expect_safe(&workspace, &rotation);
}

/// `<&-`: the shell closes standard input, and the first file opened gets its number.
#[test]
fn closed_standard_streams_harm_nothing() {
    for closed in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
        let rotation = kit::rotation();
        let server = serve(&rotation);
        let workspace = workspace_of("closed-streams", &rotation);
        let program = program_in(&workspace, &server);
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &format!("exec \"$0\" \"$@\" {closed}")]).arg(program.get_program()).args(program.get_args());
        let output = shell.current_dir(workspace.directory()).env_clear().output().expect("start the shell");
        expect_exit(&output, 0);
        expect_safe(&workspace, &rotation);
    }
}

/// The exit code says that the requested output was lost; the tokens are stored all the same.
#[test]
fn output_that_nobody_gets_costs_no_token() {
    let full = File::options().write(true).open("/dev/full").expect("open /dev/full");
    for (stdout, why) in [(Stdio::from(full), "no space left on device"), (broken_pipe(), "broken pipe")] {
        let output = print_access_token(stdout);
        expect_exit(&output, 75);
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(message.contains(&format!("docusign-refresh: standard output: cannot write: {why}")), "{message}");
        assert!(message.contains("\nhint: the token file is safe"), "{message}");
    }
}

/// A reader that has closed its pipe has all that it wants of a page, as of `| head -1`.
#[test]
fn a_broken_pipe_is_a_quiet_end_of_a_page() {
    for option in ["--help", "--version"] {
        let output = Command::new(kit::binary()).arg(option).stdout(broken_pipe()).output().expect("start the program");
        expect_exit(&output, 0);
        assert!(output.stderr.is_empty(), "{output:?}");
    }
}

/// One refresh whose `--print` goes to `stdout`.
fn print_access_token(stdout: Stdio) -> Output {
    let rotation = kit::rotation();
    let server = serve(&rotation);
    let workspace = workspace_of("no-output", &rotation);
    let program = program_in(&workspace, &server).args(["--print", "access-token"]).stdout(stdout).output();
    expect_safe(&workspace, &rotation);
    program.expect("start the program")
}

fn broken_pipe() -> Stdio {
    let (reader, writer) = io::pipe().expect("make a pipe");
    drop(reader);
    Stdio::from(writer)
}

/// Where nothing was done, there is nothing to say of tokens.
#[test]
fn help_to_a_full_disk_is_a_failure() {
    for option in ["--help", "--version"] {
        let full = File::options().write(true).open("/dev/full").expect("open /dev/full");
        let output = Command::new(kit::binary()).arg(option).stdout(full).output().expect("start the program");
        expect_exit(&output, 75);
        let message = String::from_utf8_lossy(&output.stderr);
        let wanted = "docusign-refresh: standard output: cannot write: no space left on device (os error 28)\n";
        assert_eq!(message, wanted);
    }
}

/// Messages that nobody takes are no reason to fail: the file is what counts.
#[test]
fn messages_that_nobody_takes_are_no_failure() {
    let full = File::options().write(true).open("/dev/full").expect("open /dev/full");
    let rotation = kit::rotation();
    let server = serve(&rotation);
    let workspace = workspace_of("no-messages", &rotation);
    let output = program_in(&workspace, &server).arg("--verbose").stderr(full).output().expect("start the program");
    expect_exit(&output, 0);
    expect_safe(&workspace, &rotation);
}
