//! A token file, and the server that it belongs to.
//!
//! The server rotates the refresh token, and revokes the family when a spent one comes back: it
//! knows no grace. So whether the live token was lost shows at the next ordinary run, which either
//! refreshes again or is refused. The token file may lie in the working directory, or be mounted
//! there by itself, as into a container: then it can't be renamed over. Or it is not there yet, and the first run
//! is a login.

use crate::kit::{self, Outcome, Program, TOKEN_FILE, Workspace};
use crate::needs;
use crate::strace::{self, Injection};
use crate::token_server::{Record, Rotation, Script, Step, TokenServer, json_response};
use std::ffi::OsString;
use std::fs;
use std::mem;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

pub const LOCK: &str = "docusign.json.lock";
pub const DRAFT: &str = "docusign.json.new";
/// A draft that was written a second time.
pub const AGAIN: &str = "docusign.json.new.again";

/// A member of a human's own.
const EDIT: &str = "{\n  \"account\": \"of the editor\",\n";

/// Adds it to the token file, as an editor does.
pub fn edit(token_file: &Path) {
    let content = fs::read_to_string(token_file).expect("read the token file");
    fs::write(token_file, content.replacen("{\n", EDIT, 1)).expect("write the token file");
}

/// What is mounted over the token file's name, where it is.
const SOURCE: &str = "volume/tokens.json";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Footing {
    Plain,
    Mounted,
}

/// What the first run is. All others are refreshes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FirstRun {
    Refresh,
    /// Its line is a code alone, which this server always takes.
    Login,
}

pub struct Scene {
    pub workspace: Workspace,
    pub rotation: Rotation,
    footing: Footing,
    first_run: FirstRun,
    script: Script,
    server: TokenServer,
    began: u64,
}

impl Scene {
    /// A token file after a login, and a server that always responds.
    pub fn new(name: &str, footing: Footing) -> Scene {
        Scene::staged(name, footing, |_, step| Script::always(step))
    }

    /// A token file whose refresh token still lives, and a human who logs in again.
    pub fn with_login(name: &str) -> Scene {
        let rotation = kit::rotation();
        let logins = rotation.clone();
        let step = Step::responding(move |request| match request.parameter("grant_type").as_deref() {
            Some("authorization_code") => json_response("200 OK", &logins.authorize_again()),
            _ => logins.respond(request),
        });
        let mut workspace = Workspace::new(name);
        workspace.give(TOKEN_FILE, rotation.first_token_file());
        let script = Script::always(step);
        let server = kit::serve(script.clone());
        let footing = Footing::Plain;
        Scene { workspace, rotation, footing, first_run: FirstRun::Login, script, server, began: now() }
    }

    /// The same without a token file.
    pub fn with_first_login(name: &str) -> Scene {
        let scene = Scene::with_login(name);
        fs::remove_file(scene.workspace.path(TOKEN_FILE)).expect("remove the token file");
        scene
    }

    /// Its first run was killed at this call, with the server's response in its draft.
    pub fn died_at(mut self, name: &str, n: usize) -> Scene {
        let words = strace::words(&self.log(), Some(&Injection::kill(name, n)));
        let (outcome, trace) = strace::run(self.first_run_under(words), &self.log());
        assert_eq!(outcome.status.signal(), Some(9), "{}", trace.report());
        self.settle();
        assert_eq!((self.stored(), self.rotation.refreshes()), (Some(0), 1), "{}", trace.report());
        self
    }

    /// The same with a script of the test's own, made of the rotating step.
    pub fn staged(name: &str, footing: Footing, script: impl FnOnce(&Workspace, Step) -> Script) -> Scene {
        let rotation = kit::rotation();
        let mut workspace = Workspace::new(name);
        match footing {
            Footing::Plain => workspace.give(TOKEN_FILE, rotation.first_token_file()),
            Footing::Mounted => {
                workspace.give(TOKEN_FILE, "");
                workspace.give(SOURCE, rotation.first_token_file());
            }
        }
        let script = script(&workspace, rotation.step());
        let server = kit::serve(script.clone());
        Scene { workspace, rotation, footing, first_run: FirstRun::Refresh, script, server, began: now() }
    }

    /// The program at this server, by address: see `strace`.
    pub fn program(&self) -> Program<'_> {
        self.program_under(Vec::new())
    }

    /// The first run, as the last words of a command.
    pub fn first_run_under(&self, words: Vec<OsString>) -> Program<'_> {
        let program = self.program_under(words);
        match self.first_run {
            FirstRun::Refresh => program,
            FirstRun::Login => {
                program.args(["login", "--authorization-endpoint", "https://a.example/auth"]).stdin("Canary7-code\n")
            }
        }
    }

    /// The run after it; where there still is no token file, another login.
    pub fn next_run(&self) -> Outcome {
        let next = self.program().run();
        match next.status.code() {
            Some(66) if !self.has_token_file() => self.first_run_under(Vec::new()).run(),
            _ => next,
        }
    }

    /// The program as the last words of a command, with its mounts if it has any.
    pub fn program_under(&self, words: Vec<OsString>) -> Program<'_> {
        let mut wrapper: Vec<OsString> = Vec::new();
        if self.footing == Footing::Mounted {
            wrapper.extend(needs::own_mounts().iter().map(OsString::from));
            let mount = format!("mount --bind {SOURCE} {TOKEN_FILE} && exec \"$@\"");
            wrapper.extend(["sh".into(), "-c".into(), mount.into(), "sh".into()]);
        }
        wrapper.extend(words);
        let program = self.workspace.program().refreshing_at(&self.server);
        program.environment("DOCUSIGN_TOKEN_ENDPOINT", self.server.endpoint_by_address()).under(wrapper)
    }

    /// The server's endpoint by its name, which takes a look-up.
    pub fn endpoint_by_name(&self) -> String {
        self.server.endpoint()
    }

    /// Serves what has been sent so far to its end, then goes on. What the server has seen.
    pub fn settle(&mut self) -> Record {
        let next = kit::serve(self.script.clone());
        mem::replace(&mut self.server, next).finish()
    }

    /// Where the content of the token file is, in the workspace.
    pub fn token_file(&self) -> &'static str {
        match self.footing {
            Footing::Plain => TOKEN_FILE,
            Footing::Mounted => SOURCE,
        }
    }

    pub fn is_mounted(&self) -> bool {
        self.footing == Footing::Mounted
    }

    /// Whether there is a token file.
    pub fn has_token_file(&self) -> bool {
        fs::symlink_metadata(self.workspace.path(self.token_file())).is_ok()
    }

    /// After how many refreshes the token file is what it is now, byte for byte. A login counts as one, and a
    /// file that is not there yet as none.
    pub fn stored(&self) -> Option<usize> {
        if self.first_run == FirstRun::Login && !self.has_token_file() {
            return Some(0);
        }
        self.refreshes_behind(&self.workspace.read(self.token_file()))
    }

    /// After how many refreshes this is the content of the token file, byte for byte, `edit` aside;
    /// if it is overwritten in place, blanks may still follow.
    pub fn refreshes_behind(&self, content: &[u8]) -> Option<usize> {
        let content = std::str::from_utf8(content).ok()?.replacen(EDIT, "{\n", 1);
        let content = match self.footing {
            Footing::Plain => content,
            Footing::Mounted => format!("{}\n", content.trim_end_matches('\n')),
        };
        let members: serde_json::Value = serde_json::from_str(&content).ok()?;
        let expires_at = members["expires_at"].as_u64().unwrap_or_default();
        let lifetime = self.rotation.lifetime();
        let is_sound = expires_at == 0 || (self.began + lifetime..=now() + lifetime).contains(&expires_at);
        let of_file = |refreshes: &usize| self.rotation.token_file_after(*refreshes, expires_at) == content;
        (0..=self.rotation.refreshes()).find(of_file).filter(|_| is_sound)
    }

    /// The names of the files in the directory, but for those that were there first.
    pub fn litter(&self) -> Vec<String> {
        let files = self.workspace.files().into_iter();
        let is_new = |name: &String| !self.workspace.given().contains_key(name);
        files
            .filter(|(name, content)| is_new(name) && !(name == LOCK && content.is_empty()))
            .map(|(name, _)| name)
            .collect()
    }

    /// Where strace's log goes.
    pub fn log(&self) -> PathBuf {
        self.workspace.beside("trace")
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs()
}
