//! The manual pages: every command and tool has one, everything that can be said is in it, and `man` can read it.

#![expect(
    clippy::disallowed_methods,
    reason = "the test starts the program as a person does"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

const SYSTOLE: &str = env!("CARGO_BIN_EXE_systole");

fn pages(dir: &Path) -> BTreeMap<String, String> {
    let made = Command::new(SYSTOLE).arg("man").arg(dir).output();
    let made = made.expect("the program starts");
    assert!(made.status.success(), "{made:?}");
    let entries = std::fs::read_dir(dir).expect("a folder").flatten();
    let page = |entry: std::fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(entry.path()).expect("text");
        (name.trim_end_matches(".8").to_owned(), text)
    };
    entries.map(page).collect()
}

fn help(words: &[&str]) -> String {
    let said = Command::new(SYSTOLE).args(words).arg("--help").output();
    let said = said.expect("the program starts");
    String::from_utf8(said.stdout).expect("text")
}

/// Long options in a help, as a page writes them.
fn options(help: &str) -> Vec<String> {
    let words = help
        .lines()
        .filter(|line| line.trim_start().starts_with('-'));
    let words = words.flat_map(|line| line.split([' ', ',', '=', '[']));
    let long = words.filter(|word| word.starts_with("--") && word.len() > 2);
    long.map(|word| word.replace('-', "\\-")).collect()
}

#[test]
fn every_command_and_tool_has_a_page_with_all_of_its_options() {
    let dir = tempfile::tempdir().expect("a folder");
    let pages = pages(dir.path());
    let links = dir.path().join("links");
    let made = Command::new(SYSTOLE).arg("links").arg(&links).output();
    assert!(made.expect("the program starts").status.success());
    let tools = std::fs::read_dir(&links).expect("a folder").flatten();
    let tools: Vec<String> = tools
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    assert!(tools.len() > 25, "{tools:?}");
    let mut missing = Vec::new();
    let mut look = |page: &str, words: &[&str]| match pages.get(page) {
        None => missing.push(format!("no page {page}")),
        Some(text) => {
            let wanted = options(&help(words));
            let absent = wanted
                .into_iter()
                .filter(|word| !text.contains(word.as_str()));
            missing.extend(absent.map(|word| format!("{page}: {word}")));
        }
    };
    for tool in &tools {
        look(tool, &[tool]);
    }
    look("systole", &[]);
    for command in [
        "daemon",
        "init",
        "join",
        "token",
        "links",
        "man",
        "completions",
    ] {
        look(&format!("systole-{command}"), &[command]);
    }
    for words in [
        "status",
        "configure load",
        "configure commit",
        "resource move",
        "node standby",
        "cluster log",
        "cib rollback",
        "explain",
        "drill",
        "doctor",
        "apply",
    ] {
        let page = format!("crm-{}", words.replace(' ', "-"));
        let words: Vec<&str> = std::iter::once("crm").chain(words.split(' ')).collect();
        look(&page, &words);
    }
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn man_has_nothing_against_the_pages() {
    let can = Command::new("man").arg("--version").output();
    let groff = Command::new("groff").arg("--version").output();
    if !can.is_ok_and(|it| it.status.success()) || !groff.is_ok_and(|it| it.status.success()) {
        eprintln!("skipped: man or groff is not installed");
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    for name in pages(dir.path()).keys() {
        let read = Command::new("man")
            .args(["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"])
            .arg(dir.path().join(format!("{name}.8")))
            .env("LC_ALL", "C.UTF-8")
            .env("MANROFFSEQ", "")
            .env("MANWIDTH", "80")
            .output()
            .expect("man starts");
        let complaints = String::from_utf8_lossy(&read.stderr).into_owned();
        assert!(
            read.status.success() && complaints.is_empty(),
            "{name}: {complaints}"
        );
    }
}
