//! What a peer takes on the disk.
//!
//! Of files and directories: the sum of the files' lengths. Of Debian's packages: the `Installed-Size` of
//! them and of all that they depend on, without what every Debian has (packages that are essential
//! or of priority "required", and what these depend on). Recommended packages don't count.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

struct Package {
    is_basic: bool,
    bytes: u64,
    /// One alternative of each has to be there.
    needs: Vec<Vec<String>>,
}

pub fn of_tree(path: &Path) -> u64 {
    let metadata = fs::symlink_metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if !metadata.is_dir() {
        return metadata.len();
    }
    let entries = fs::read_dir(path).expect("list a directory");
    entries.flatten().map(|entry| of_tree(&entry.path())).sum()
}

/// Of these packages with what they need, without what is counted in another way.
pub fn of_packages(names: &[&str], except: &[&str]) -> u64 {
    let packages = installed();
    let basic = packages.iter().filter(|(_, package)| package.is_basic).map(|(name, _)| name.clone());
    let basic = closure(&packages, basic.collect());
    let wanted = names.iter().map(|name| (*name).to_owned()).filter(|name| packages.contains_key(name));
    let wanted = closure(&packages, wanted.collect());
    let counted = wanted.difference(&basic).filter(|name| !except.contains(&name.as_str()));
    counted.map(|name| packages[name].bytes).sum()
}

fn closure(packages: &BTreeMap<String, Package>, mut open: Vec<String>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    while let Some(name) = open.pop() {
        let Some(package) = packages.get(&name) else { continue };
        if found.insert(name) {
            let met = package.needs.iter().filter_map(|any| any.iter().find(|name| packages.contains_key(*name)));
            open.extend(met.cloned());
        }
    }
    found
}

/// What is installed here, of this machine's own architecture. What a package provides under another name
/// is not followed: no peer needs it.
fn installed() -> BTreeMap<String, Package> {
    let say = |words: &[&str]| {
        let output = Command::new(words[0]).args(&words[1..]).output().expect("dpkg is there");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let native = say(&["dpkg", "--print-architecture"]);
    let format = "-f=${db:Status-Status}|${Package}|${Architecture}|${Essential}|${Priority}|${Installed-Size}|\
                  ${Pre-Depends}, ${Depends}\\n";
    let rows = say(&["dpkg-query", "-W", &format.replace('|', "\\t")]);
    let rows = rows.lines().filter_map(|row| {
        let [status, name, architecture, essential, priority, kib, needs] =
            row.split('\t').collect::<Vec<_>>().try_into().ok()?;
        let is_ours = status == "installed" && [native.trim(), "all"].contains(&architecture);
        let package = Package {
            is_basic: essential == "yes" || priority == "required",
            bytes: kib.parse::<u64>().ok()? * 1024,
            needs: needs.split(',').map(alternatives).collect(),
        };
        is_ours.then(|| (name.to_owned(), package))
    });
    rows.collect()
}

/// `a (>= 1) | b:any` is `a`, `b`.
fn alternatives(need: &str) -> Vec<String> {
    let names = need.split('|').filter_map(|one| one.split_whitespace().next());
    names.map(|name| name.split(':').next().unwrap_or(name).to_owned()).collect()
}
