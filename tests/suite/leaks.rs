//! Where a run may leave a secret, and whether one is anywhere else.
//!
//! - Standard error never holds any.
//! - Standard output holds none but tokens that are stored in the token file, and those only after `--print` was
//!   told to print tokens.
//! - On disk they are in the files that the test wrote itself, in the drafts of these (`NAME.new`,
//!   `NAME.new.again`, `NAME.rescue-…`, `NAME.answer-…`), and in no other file of the workspace. The access token
//!   file and its draft may hold access tokens.

use crate::canary;
use crate::token_server::rotated_access_token;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};

/// What a run left behind, and what it was told.
pub struct Traces<'a> {
    pub stdout: &'a [u8],
    pub stderr: &'a [u8],
    /// The workspace afterwards.
    pub files: &'a BTreeMap<String, Vec<u8>>,
    /// The names of the files and links that the test made.
    pub given: &'a BTreeSet<String>,
    pub args: &'a [OsString],
    pub environment: &'a BTreeMap<OsString, OsString>,
}

impl Traces<'_> {
    /// Every place that has a secret which does not belong there.
    pub fn leaks(&self) -> Vec<String> {
        let mut printed = self.stdout.to_vec();
        for token in self.printable_tokens() {
            while let Some(at) = canary::position(&printed, token.as_bytes()) {
                printed.drain(at..at + token.len());
            }
        }
        let stderr = self.stderr.to_vec();
        let streams = [("standard output".to_owned(), &printed), ("standard error".to_owned(), &stderr)];
        let published: BTreeMap<&String, Vec<u8>> =
            self.files.iter().map(|(name, content)| (name, self.unpublished(name, content))).collect();
        let files = published
            .iter()
            .filter(|(name, _)| !self.may_hold_secrets(name))
            .map(|(name, content)| ((*name).clone(), content));
        streams
            .into_iter()
            .chain(files)
            .filter_map(|(place, bytes)| {
                let leak = canary::find(bytes)?;
                Some(format!("a secret {} in {place}: {}", leak.form, leak.context))
            })
            .collect()
    }

    /// A file without the access tokens that are to be there.
    fn unpublished(&self, name: &str, content: &[u8]) -> Vec<u8> {
        let mut content = content.to_vec();
        let variable = self.environment.get(OsStr::new("DOCUSIGN_ACCESS_TOKEN_FILE"));
        let option = self.args.iter().position(|arg| arg == "--access-token-file").map(|at| &self.args[at + 1]);
        let file = option.or(variable).and_then(|file| file.to_str());
        if file.is_some_and(|file| [file, &format!("{file}.new")].contains(&name)) {
            let stored = self.stored_members().into_iter().filter(|(member, _)| member == "access_token");
            let of_rotation = (0..100).rev().map(rotated_access_token);
            for token in stored.map(|(_, token)| token).chain(of_rotation) {
                while let Some(at) = canary::position(&content, token.as_bytes()) {
                    content.drain(at..at + token.len());
                }
            }
        }
        content
    }

    /// The tokens that `--print` may write. Only stored ones: that is part of the program's promise.
    fn printable_tokens(&self) -> Vec<String> {
        let printed = self.args.iter().zip(self.args.iter().skip(1).map(Some).chain([None]));
        let printed = printed.filter_map(|(arg, next)| match arg.to_str()?.strip_prefix("--print")? {
            "" => next?.to_str(),
            value => value.strip_prefix('='),
        });
        let tokens = ["access-token", "refresh-token", "header", "tokens"];
        if !printed.last().is_some_and(|what| tokens.contains(&what)) {
            return Vec::new();
        }
        let is_token = |(name, _): &(String, String)| name == "access_token" || name == "refresh_token";
        self.stored_members().into_iter().filter(is_token).map(|(_, token)| token).collect()
    }

    /// The members of the token files that are strings, and not empty.
    fn stored_members(&self) -> Vec<(String, String)> {
        let stored = self.given.iter().filter_map(|name| self.files.get(name));
        let members = stored
            .filter_map(|content| serde_json::from_slice(content).ok())
            .flat_map(|members: serde_json::Map<String, serde_json::Value>| members);
        members
            .filter_map(|(name, value)| Some((name, value.as_str()?.to_owned())))
            .filter(|(_, text)| !text.is_empty())
            .collect()
    }

    fn may_hold_secrets(&self, name: &str) -> bool {
        self.given.iter().any(|given| {
            name.strip_prefix(given.as_str()).is_some_and(|suffix| {
                ["", ".new", ".new.again"].contains(&suffix)
                    || suffix.starts_with(".rescue-")
                    || suffix.starts_with(".answer-")
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &str = r#"{"access_token": "Canary7-a", "refresh_token": "Canary7-r"}"#;

    /// How many leaks there are in a run of these arguments with these streams and this file.
    fn leaks(args: &str, stdout: &str, stderr: &str, file: &str) -> usize {
        let files = [("docusign.json", NEW), (file, "Canary7")];
        let traces = Traces {
            stdout: stdout.as_bytes(),
            stderr: stderr.as_bytes(),
            files: &files.map(|(name, text)| (name.to_owned(), text.into())).into(),
            given: &BTreeSet::from(["docusign.json".to_owned()]),
            args: &args.split_whitespace().map(OsString::from).collect::<Vec<_>>(),
            environment: &BTreeMap::new(),
        };
        traces.leaks().len()
    }

    #[test]
    fn tokens_are_printed_only_by_the_option_for_it() {
        let draft = "docusign.json.new";
        assert_eq!(leaks("", "", "", draft), 0);
        assert_eq!(leaks("", "Canary7-a", "", draft), 1);
        assert_eq!(leaks("--print status", "Canary7-a", "", draft), 1);
        assert_eq!(leaks("--print header", "Bearer Canary7-a", "", draft), 0);
        assert_eq!(leaks("--print=tokens", "Canary7-a Canary7-r", "", draft), 0);
        assert_eq!(leaks("--print tokens", "Canary7-a Canary7-old", "", draft), 1);
        assert_eq!(leaks("--print tokens", "Canary7-a", "Canary7-a", draft), 1);
    }

    #[test]
    fn secrets_are_on_disk_only_where_they_belong() {
        assert_eq!(leaks("", "", "", "docusign.json.rescue-17"), 0);
        assert_eq!(leaks("", "", "", "docusign.json.lock"), 1);
        assert_eq!(leaks("", "", "", "docusign.json.newer"), 1);
        assert_eq!(leaks("", "", "", "docusign.log"), 1);
    }
}
