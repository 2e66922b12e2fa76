//! A machine of a test's own, as far as a recipe can tell.
//!
//! It is this one, seen from a mount namespace in which `/etc`, `/usr/local`, `/var/lib` and
//! `/srv` are overlays: a recipe adds users, installs files and units, and nothing of it reaches
//! the real directories. The program, its manual page and the CA file are installed. What a
//! script changed is there for the next one, until the machine goes. The network is the test's.
//!
//! [`Machine::boot`] starts a real systemd as process 1 there. It knows no units but the recipe's,
//! with empty targets in place of the system's, so that it starts nothing else.
//!
//! It takes root, `unshare` and `mount` of util-linux, and a kernel that lays overlays.

use crate::canary;
use crate::kit::{self, Workspace};
use crate::tools;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

const OVERLAID: [&str; 4] = ["/etc", "/usr/local", "/var/lib", "/srv"];

/// Where an administrator's own files are, and scripts run.
pub const HOME: &str = "/srv/admin";
pub const CA_FILE: &str = "/etc/ssl/token-server.pem";

/// `$1` holds the overlays' own directories, `$2` is the script. Services are to see mounts that
/// systemd makes for them, hence shared; nothing is shared with the host, which would see them.
const ENTER: &str = r#"
set -e
mount --make-rprivate /
mount --make-rshared /
for place in etc usr/local var/lib srv; do
    mount -t overlay machine -o "lowerdir=/$place,upperdir=$1/$place,workdir=$1/work/$place" "/$place"
done
mount -t tmpfs machine /run
mkdir -p /run/systemd /run/lock
if mountpoint --quiet /sys/fs/cgroup; then
    umount --recursive /sys/fs/cgroup
    mount -t cgroup2 machine /sys/fs/cgroup
fi
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
cd /srv/admin
. "$2"
"#;

/// systemd takes the control group that it starts in for the whole machine's: another one that boots
/// meanwhile would remove the groups of this one's units.
const OWN_GROUP: &str = "if mountpoint --quiet /sys/fs/cgroup; then
mktemp -d /sys/fs/cgroup/machine.XXXXXX > /srv/group; echo 0 > $(cat /srv/group)/cgroup.procs
fi
";
const SEE_GROUP: &str = "if mountpoint --quiet /sys/fs/cgroup; then
umount /sys/fs/cgroup; mount -t cgroup2 machine /sys/fs/cgroup
fi
";
const REMOVE_GROUP: &str = "[ ! -e /srv/group ] || find $(cat /srv/group) -depth -type d -exec rmdir {} +";

/// What the recipe's units refer to of a real system.
const TARGETS: [&str; 8] =
    ["sysinit", "basic", "shutdown", "network-online", "network", "timers", "multi-user", "graphical"];

pub struct Machine {
    workspace: Workspace,
}

impl Machine {
    /// None where a machine can't be made, after saying so.
    pub fn new(name: &str) -> Option<Machine> {
        if !tools::is_root() || tools::find("unshare").is_none() {
            return None;
        }
        let machine = Machine { workspace: Workspace::new(name) };
        for place in OVERLAID {
            fs::create_dir_all(machine.path(place)).expect("make an overlay's directory");
            fs::create_dir_all(machine.path(&format!("/work{place}"))).expect("make an overlay's directory");
            open_to_all(&machine.path(place));
        }
        machine.give(&format!("{HOME}/.keep"), "");
        let made = machine.shell("true");
        if !made.status.success() {
            tools::missing(&format!("no machine of our own: {}", String::from_utf8_lossy(&made.stderr)));
            return None;
        }
        let manual = concat!(env!("CARGO_MANIFEST_DIR"), "/src/docusign-refresh.1");
        machine.give("/usr/local/bin/docusign-refresh", fs::read(kit::binary()).expect("read the program"));
        machine.give("/usr/local/share/man/man1/docusign-refresh.1", fs::read(manual).expect("read the manual"));
        machine.give(CA_FILE, fs::read(machine.workspace.ca_file()).expect("read the CA file"));
        let program = machine.path("/usr/local/bin/docusign-refresh");
        fs::set_permissions(program, Permissions::from_mode(0o755)).expect("make the program executable");
        Some(machine)
    }

    /// Where a file of the machine is for us.
    pub fn path(&self, file: &str) -> PathBuf {
        self.workspace.path(file.trim_start_matches('/'))
    }

    /// Puts a file there that everyone may read.
    pub fn give(&self, file: &str, content: impl AsRef<[u8]>) {
        let path = self.path(file);
        let above = path.parent().expect("a file is in a directory");
        fs::create_dir_all(above).expect("make a directory of the machine");
        for directory in above.ancestors().take_while(|directory| *directory != self.path("")) {
            open_to_all(&directory.to_path_buf());
        }
        fs::write(&path, content).expect("write a file of the machine");
        fs::set_permissions(path, Permissions::from_mode(0o644)).expect("let everyone read it");
    }

    pub fn read(&self, file: &str) -> String {
        let path = self.path(file);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    /// Runs a script as root, in `HOME`.
    pub fn shell(&self, script: &str) -> Output {
        self.run(script, &[])
    }

    /// Runs a script that must end well, and gives its standard output.
    #[track_caller]
    pub fn must(&self, script: &str) -> String {
        let output = self.shell(script);
        assert!(output.status.success(), "{script}\n{}", report(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Boots these units, starts the first, waits until it is done, shuts down, and gives what
    /// `systemctl show` said of these properties of each.
    pub fn boot(&self, units: &[&str], properties: &str) -> String {
        let show = format!("/bin/systemctl show --property={properties} {}", units.join(" "));
        let mut script = "mkdir -p /run/units\n".to_owned();
        for target in TARGETS {
            script += &format!("printf '[Unit]\\nDefaultDependencies=no\\n' > /run/units/{target}.target\n");
        }
        script += &format!(
            "cp -R /etc/systemd/system/docusign-refresh.* /run/units\n\
             cat > /run/units/recipe.target <<'END'\n\
             [Unit]\nDefaultDependencies=no\nWants={units} shown.service\nEND\n\
             cat > /run/units/shown.service <<'END'\n\
             [Unit]\nDefaultDependencies=no\nAfter={units}\nSuccessAction=exit-force\nFailureAction=exit-force\n\
             [Service]\nType=oneshot\nStandardOutput=truncate:/srv/shown\nExecStart={show}\nEND\n\
             export container=test SYSTEMD_UNIT_PATH=/run/units SYSTEMD_LOG_TARGET=console\n\
             {OWN_GROUP}\
             exec unshare --cgroup /bin/sh -ec '{SEE_GROUP}\
             exec /lib/systemd/systemd --system --unit=recipe.target --show-status=no'\n",
            units = units.join(" "),
        );
        let booted = self.run(&script, &["--cgroup", "--ipc", "--uts"]);
        self.run(REMOVE_GROUP, &["--cgroup"]);
        assert!(self.path("/srv/shown").exists(), "systemd did not come so far: {}", report(&booted));
        self.read("/srv/shown")
    }

    fn run(&self, script: &str, namespaces: &[&str]) -> Output {
        let file = tools::beside(&self.workspace.directory(), "script");
        fs::write(&file, script).expect("write a script beside the workspace");
        let output = Command::new("unshare")
            .args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"])
            .args(namespaces)
            .args(["/bin/sh", "-c", ENTER, "sh"])
            .arg(self.workspace.directory())
            .arg(file)
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", HOME)
            .stdin(Stdio::null())
            .output()
            .expect("start unshare");
        assert_eq!(canary::find(&output.stderr), None, "a secret in standard error: {}", report(&output));
        output
    }
}

fn open_to_all(directory: &PathBuf) {
    fs::set_permissions(directory, Permissions::from_mode(0o755)).expect("open a directory to everyone");
}

/// What a script wrote, for the report of a failure.
pub fn report(output: &Output) -> String {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{}\nstandard output:\n{stdout}\nstandard error:\n{stderr}", output.status)
}
