//! The container image, and the program in it.
//!
//! The image is built by the script that `make image` uses, without a daemon. It holds one file. A
//! container here is stricter than any engine's: the unpacked image as a read-only root, nothing in
//! it but the program and what is mounted (no /etc, /proc, /dev, /tmp), the program as process 1 of
//! a user that owns nothing else. The token server is at a literal address, as there is no
//! resolver.

use crate::canary;
use crate::image::{self, CLibrary};
use crate::kit::{self, CLIENT_ID, CLIENT_SECRET, Workspace};
use crate::token_server::{Rotation, Script, TokenServer};
use crate::tools;
use serde_json::Value;
use std::collections::BTreeMap;
use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The user that the image names. It is nobody's number on the usual systems.
pub const USER: u32 = 65532;

/// An image that is smaller than most programs.
const LARGEST: u64 = 2_000_000;

/// What a container has of the outside.
#[derive(Clone, Copy)]
pub enum Mount<'a> {
    Writable(&'a Path),
    ReadOnly(&'a Path),
    /// An empty file system in memory.
    Empty,
}

/// The image, built and unpacked beside a workspace.
pub struct Image {
    digest: String,
    configuration: Value,
    root: PathBuf,
    /// What the layer holds, as tar lists it.
    listing: String,
    layer: u64,
}

fn script(name: &str) -> String {
    format!("{}/src/dist/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
fn output_of(program: &str, args: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(args).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {}: {}: {stderr}", args.join(" "), output.status);
    output.stdout
}

/// Builds the archive. None where that can't be done, after saying so.
pub fn archive(directory: &Path, name: &str) -> Option<(PathBuf, String)> {
    if !tools::is_root() || tools::find("buildah").is_none() || tools::find("unshare").is_none() {
        return None;
    }
    if env::var_os("DOCUSIGN_REFRESH_RUNNER").is_some() {
        tools::say("skipped: not a program of this machine");
        return None;
    }
    let archive = tools::beside(directory, name);
    let program = kit::binary().to_string_lossy();
    let built = output_of("sh", &[&script("image.sh"), env::consts::ARCH, &program, &archive.to_string_lossy()]);
    let built = String::from_utf8_lossy(&built);
    let digest = built.lines().last().expect("its last line is the digest").to_owned();
    Some((archive, digest))
}

impl Image {
    /// None where no image can be built, after saying so.
    pub fn build(directory: &Path) -> Option<Image> {
        let (archive, digest) = archive(directory, "image.tar")?;
        let open = |path: &Path, to: &Path| {
            fs::create_dir_all(to).expect("make a directory beside the workspace");
            output_of("tar", &["-x", "-f", &path.to_string_lossy(), "-C", &to.to_string_lossy()]);
        };
        let layout = tools::beside(directory, "layout");
        open(&archive, &layout);
        let blob = |digest: &str| layout.join("blobs").join(digest.replace(':', "/"));
        let read = |path: PathBuf| -> Value {
            serde_json::from_slice(&fs::read(path).expect("read the image"))
                .expect("the image describes itself in JSON")
        };
        let text = |value: &Value| value.as_str().expect("a digest").to_owned();
        let manifest = read(blob(&digest));
        let layers = manifest["layers"].as_array().expect("there are layers");
        assert_eq!(layers.len(), 1, "{manifest}");
        let layer = blob(&text(&layers[0]["digest"]));
        let root = tools::beside(directory, "root");
        open(&layer, &root);
        Some(Image {
            configuration: read(blob(&text(&manifest["config"]["digest"])))["config"].clone(),
            listing: String::from_utf8(output_of(
                "tar",
                &["-t", "-v", "--numeric-owner", "-f", &layer.to_string_lossy()],
            ))
            .expect("tar lists ASCII"),
            layer: fs::metadata(&layer).expect("the layer's size").size(),
            digest,
            root,
        })
    }

    /// The program as the image starts it, with these variables, arguments and mounts.
    pub fn run(&self, environment: &BTreeMap<String, String>, args: &[&str], mounts: &[(&str, Mount<'_>)]) -> Output {
        let root = self.root.to_string_lossy();
        let mut script = format!("set -e\nmount --bind '{root}' '{root}'\n");
        for (at, mount) in mounts {
            // An engine makes these, too: the places at which it mounts.
            let at = self.root.join(at.trim_start_matches('/'));
            let is_file = matches!(mount, Mount::Writable(path) | Mount::ReadOnly(path) if path.is_file());
            let place = at.to_string_lossy();
            script += &if is_file {
                format!("mkdir -p \"$(dirname '{place}')\"\ntouch '{place}'\n")
            } else {
                format!("mkdir -p '{place}'\n")
            };
            script += &match mount {
                Mount::Writable(path) => format!("mount --bind '{}' '{place}'\n", path.display()),
                Mount::ReadOnly(path) => {
                    format!("mount --bind '{}' '{place}'\nmount -o remount,bind,ro '{place}'\n", path.display())
                }
                Mount::Empty => format!("mount -t tmpfs -o uid={USER},gid={USER},mode=700 tmpfs '{place}'\n"),
            };
        }
        script += &format!("mount -o remount,bind,ro '{root}'\n");
        script += &format!("exec chroot --userspec={USER}:{USER} --groups={USER} '{root}' \"$@\"\n");
        let entrypoint = self.configuration["Entrypoint"].as_array().expect("the image has an entrypoint");
        let variables = self.configuration["Env"].as_array().into_iter().flatten().filter_map(Value::as_str);
        Command::new("unshare")
            .args(["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"])
            .args(["/bin/sh", "-c", &script, "sh"])
            .args(entrypoint.iter().filter_map(Value::as_str))
            .args(args)
            .env_clear()
            .envs(variables.filter_map(|variable| variable.split_once('=')))
            .envs(environment)
            .stdin(Stdio::null())
            .output()
            .expect("start unshare")
    }
}

/// Tokens and secret on the host, and the server that they are for.
pub struct Host {
    pub workspace: Workspace,
    pub rotation: Rotation,
    pub server: TokenServer,
}

impl Host {
    pub fn new(name: &str) -> Host {
        let rotation = kit::rotation();
        let server = kit::serve(Script::always(rotation.step()));
        let mut workspace = Workspace::new(name);
        workspace.give("tokens/docusign.json", rotation.first_token_file());
        workspace.give("client-secret", CLIENT_SECRET);
        for (name, mode) in [("tokens", 0o700), ("tokens/docusign.json", 0o600), ("client-secret", 0o400)] {
            let path = workspace.path(name);
            chown(&path, Some(USER), Some(USER)).expect("give a file to the container's user");
            fs::set_permissions(&path, Permissions::from_mode(mode)).expect("keep it to that user");
        }
        Host { workspace, rotation, server }
    }

    /// What a container must be told to find the server instead of Docusign's.
    pub fn endpoint(&self) -> BTreeMap<String, String> {
        let endpoint = self.server.endpoint().replace("localhost", "127.0.0.1");
        [("DOCUSIGN_TOKEN_ENDPOINT", endpoint.as_str()), ("DOCUSIGN_ENVIRONMENT", ""), ("SSL_CERT_FILE", "/ca.pem")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    fn environment(&self) -> BTreeMap<String, String> {
        let mut environment = self.endpoint();
        environment.insert("DOCUSIGN_CLIENT_ID".to_owned(), CLIENT_ID.to_owned());
        environment.insert("DOCUSIGN_CLIENT_SECRET_FILE".to_owned(), "/run/secrets/client-secret".to_owned());
        environment
    }

    /// Runs the program with these mounts, the secret, and the CA.
    fn run(&self, image: &Image, mounts: &[(&str, Mount<'_>)]) -> Output {
        let (secret, ca_file) = (self.workspace.path("client-secret"), self.workspace.ca_file());
        let given = [("/run/secrets/client-secret", Mount::ReadOnly(&secret)), ("/ca.pem", Mount::ReadOnly(&ca_file))];
        image.run(&self.environment(), &[], &[mounts, &given].concat())
    }

    pub fn expect_refreshed(&self) {
        let stored = String::from_utf8(self.workspace.read("tokens/docusign.json")).expect("UTF-8");
        assert!(stored.contains(&self.rotation.live_refresh_token()), "{stored}");
        assert_eq!((self.rotation.refreshes(), self.rotation.reuses()), (1, 0));
        let metadata = fs::metadata(self.workspace.path("tokens/docusign.json")).expect("the token file is there");
        assert_eq!((metadata.uid(), metadata.gid(), metadata.mode() & 0o777), (USER, USER, 0o600));
    }
}

#[track_caller]
fn expect(output: &Output, code: i32) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{}: {stderr}", output.status);
    assert_eq!(canary::find(&output.stderr), None);
    assert_eq!(output.stdout, b"");
    stderr
}

#[test]
fn the_image_holds_the_program_and_nothing_else() {
    let workspace = Workspace::new("image-content");
    let Some(image) = Image::build(&workspace.directory()) else { return };
    let names: Vec<&str> = image.listing.lines().collect();
    assert_eq!(names.len(), 1, "{}", image.listing);
    assert!(names[0].starts_with("-rwxr-xr-x 0/0 "), "{}", image.listing);
    assert!(names[0].ends_with(" docusign-refresh"), "{}", image.listing);
    let program = fs::read(image.root.join("docusign-refresh")).expect("the program is in the image");
    assert!(program == fs::read(kit::binary()).expect("read the program"), "another program is in the image");

    let wanted = serde_json::json!(["/docusign-refresh"]);
    assert_eq!(image.configuration["Entrypoint"], wanted);
    assert_eq!(image.configuration["User"], format!("{USER}:{USER}"));
    assert!(image.layer < LARGEST, "{} bytes, compressed", image.layer);
    if image::c_library() == Some(CLibrary::Musl) {
        assert!((program.len() as u64) < LARGEST, "{} bytes", program.len());
    }
    tools::say(&format!("{} bytes, {} of them compressed; {}", program.len(), image.layer, image.digest));
}

#[test]
fn two_builds_have_one_digest() {
    let workspace = Workspace::new("image-digest");
    let Some((_, first)) = archive(&workspace.directory(), "first.tar") else { return };
    let Some((_, second)) = archive(&workspace.directory(), "second.tar") else { return };
    assert!(first.starts_with("sha256:"), "{first}");
    assert_eq!(first, second);
}

#[test]
fn with_the_directory_mounted_it_refreshes() {
    let host = Host::new("container-directory");
    let Some(image) = Image::build(&host.workspace.directory()) else { return };
    let tokens = host.workspace.path("tokens");
    let output = host.run(&image, &[("/tokens", Mount::Writable(&tokens))]);
    let message = expect(&output, 0);
    assert!(!message.contains("warning"), "{message}");
    host.expect_refreshed();
}

/// The file is a mount point: nothing can be renamed to it. Lock and draft are in a directory that
/// is gone with the container.
#[test]
fn a_file_mounted_by_itself_is_overwritten_with_a_warning() {
    let host = Host::new("container-file");
    let Some(image) = Image::build(&host.workspace.directory()) else { return };
    let tokens = host.workspace.path("tokens/docusign.json");
    let mounts = [("/tokens", Mount::Empty), ("/tokens/docusign.json", Mount::Writable(&tokens))];
    let message = expect(&host.run(&image, &mounts), 0);
    assert!(message.contains("docusign-refresh: /tokens/docusign.json: warning: "), "{message}");
    host.expect_refreshed();
}

#[test]
fn without_a_place_for_the_draft_nothing_is_sent() {
    let host = Host::new("container-read-only");
    let Some(image) = Image::build(&host.workspace.directory()) else { return };
    let (tokens, file) = (host.workspace.path("tokens"), host.workspace.path("tokens/docusign.json"));
    for mount in [("/tokens", Mount::ReadOnly(&tokens)), ("/tokens/docusign.json", Mount::Writable(&file))] {
        let message = expect(&host.run(&image, &[mount]), 73);
        assert!(message.contains("hint: nothing was sent; /tokens is on a read-only file system"), "{message}");
    }
    assert_eq!(host.rotation.refreshes(), 0);
    assert_eq!(host.server.finish().connections, 0);
}
