//! The report, in Markdown.

use crate::measure::{self, Times, median};
use crate::network::{DELAYS, Walls};
use crate::peers::{self, Peer};
use crate::scale::{AT_ONCE, FILES, Step, Steps};
use crate::slow_disk::{Comparison, Figures};
use crate::{Counts, Pairs};
use std::fs;
use std::process::Command;
use std::time::Duration;

/// What was counted of a peer, and how it does over a network.
type Row<'p> = (&'p Peer, Counts, Result<Walls, String>);

/// The machine, what else it was doing, and what is compared.
pub fn heading(peers: &[Peer]) {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel: Vec<&str> = kernel.split(|c: char| !c.is_ascii_digit()).take(2).collect();
    let date = Command::new("date").arg("+%Y-%m-%d").output().expect("tell the date");
    println!(
        "{}: {}, {cores} cores, Linux {}. Syncing a small file takes {}.\n",
        String::from_utf8_lossy(&date.stdout).trim(),
        model.trim_start_matches([' ', '\t', ':']),
        kernel.join("."),
        milliseconds(measure::sync(&peers::scratch())),
    );
    println!("| program | made of |\n|---|---|");
    for peer in peers {
        println!("| {} | {} |", peer.name, peer.made_of);
    }
}

/// Medians of `PAIRS` runs, and of their ratios to the runs of curl + jq beside them.
pub fn times(peers: &[Peer], on_disk: &[Result<Pairs, String>], in_memory: &[Result<Pairs, String>]) {
    println!("\n| program | CPU | × curl + jq | wall, disk | × curl + jq | wall, memory | × curl + jq |");
    println!("|---|{}", "--:|".repeat(6));
    for ((peer, on_disk), in_memory) in peers.iter().zip(on_disk).zip(in_memory) {
        match (on_disk, in_memory) {
            (Ok(on_disk), Ok(in_memory)) => {
                let cells = [
                    both(on_disk, |times| times.cpu),
                    both(on_disk, |times| times.wall),
                    both(in_memory, |times| times.wall),
                ];
                println!("| {} | {} |", peer.name, cells.join(" | "));
            }
            (Err(why), _) | (_, Err(why)) => println!("| {} | failed: {} |", peer.name, first_line(why)),
        }
    }
}

/// Of this many cores others made use meanwhile.
pub fn others(cores: f64) {
    println!("\nMeanwhile other programs kept {} cores busy on average.", significant(cores));
}

/// Medians of the runs there, or why there is no slow disk.
pub fn slow_disk(comparison: Result<Comparison, String>) {
    let Comparison { sync, rows } = match comparison {
        Ok(comparison) => comparison,
        Err(why) => return println!("\nA slow disk: skipped: {}", first_line(&why)),
    };
    println!("\nA slow disk: syncing a small file takes {}.\n", milliseconds(sync));
    println!("| program | wall | syncs |\n|---|--:|--:|");
    for (peer, figures) in rows {
        match figures {
            Ok(Figures { wall, syncs }) => println!("| {} | {} | {syncs} |", peer.name, milliseconds(wall)),
            Err(why) => println!("| {} | failed: {} |", peer.name, first_line(&why)),
        }
    }
}

fn both(pairs: &Pairs, figure: fn(&Times) -> Duration) -> String {
    let own = median(pairs.iter().map(|(own, _)| figure(own).as_secs_f64()).collect());
    let ratio = pairs.iter().map(|(own, base)| figure(own).as_secs_f64() / figure(base).as_secs_f64());
    format!("{} | {}", milliseconds(own), significant(median(ratio.collect())))
}

pub fn counts(rows: &[Row]) {
    println!("\n| program | instructions | system calls | memory | installed |\n|---|--:|--:|--:|--:|");
    for (peer, counts, _) in rows {
        println!(
            "| {} | {} | {} | {} | {} MB |",
            peer.name,
            or_dash(&counts.instructions, |count| format!("{} M", significant(count as f64 / 1e6))),
            or_dash(&counts.system_calls, |count| count.to_string()),
            or_dash(&counts.resident, mebibytes),
            significant(peer.installed as f64 / 1e6),
        );
    }
}

pub fn network(rows: &[Row]) {
    let titles = DELAYS.map(|delay| format!("{delay} ms"));
    println!("\n| program | round trips | {} |\n|---|--:|{}", titles.join(" | "), "--:|".repeat(DELAYS.len()));
    for (peer, _, walls) in rows {
        match walls {
            Ok(Walls { walls, round_trips }) => {
                println!("| {} | {round_trips} | {} |", peer.name, walls.map(milliseconds).join(" | "));
            }
            Err(why) => println!("| {} | failed: {} |", peer.name, first_line(why)),
        }
    }
}

/// Wall time, CPU time and memory for each file.
pub fn scale(rows: &[(&Peer, Steps)]) {
    let titles = FILES.map(|count| if count == 1 { "1 file".to_owned() } else { format!("{count} files") });
    println!("\n| program, {AT_ONCE} at a time | {} | 1 MiB |", titles.join(" | "));
    println!("|---|{}--:|", "--:|".repeat(FILES.len()));
    for (peer, steps) in rows {
        match steps {
            Ok(steps) => {
                let cell = |step: &Step| {
                    format!("{}, {}, {}", milliseconds(step.wall), milliseconds(step.cpu), mebibytes(step.resident))
                };
                println!("| {} | {} |", peer.name, steps.iter().map(cell).collect::<Vec<_>>().join(" | "));
            }
            Err(why) => println!("| {} | failed: {} |", peer.name, first_line(why)),
        }
    }
}

/// Why a count is missing.
pub fn footnotes(rows: &[Row]) {
    println!();
    for (peer, counts, _) in rows {
        let counts = [
            ("instructions", &counts.instructions),
            ("system calls", &counts.system_calls),
            ("memory", &counts.resident),
        ];
        for (what, count) in counts {
            if let Err(why) = count {
                println!("- {}: {what} not counted: {}", peer.name, first_line(why));
            }
        }
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

fn or_dash(count: &Result<u64, String>, shown: impl Fn(u64) -> String) -> String {
    count.as_ref().map_or("—".to_owned(), |count| shown(*count))
}

fn milliseconds(seconds: f64) -> String {
    format!("{} ms", significant(seconds * 1000.0))
}

fn mebibytes(kib: u64) -> String {
    format!("{} MiB", significant(kib as f64 / 1024.0))
}

/// Three digits, or all that are left of the point; two where they begin far right of it.
fn significant(figure: f64) -> String {
    let decimals = (2 - figure.abs().max(1e-3).log10().floor() as i32).clamp(0, 3);
    format!("{figure:.*}", decimals as usize)
}
