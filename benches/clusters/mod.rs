//! The clusters that the benches decide about: from the generator beside the project (`../shared/bench/gen_cib.py`, seed 1) where
//! that and python3 are there, else a plain one.

#![allow(dead_code, reason = "each bench uses its own part")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use systole::xml::{Element, Limits, parse};

/// Nodes, resources, scenario.
const SMALL: [(usize, usize, &str); 6] = [
    (3, 100, "cold"),
    (3, 100, "steady"),
    (3, 100, "nodefail"),
    (16, 500, "cold"),
    (16, 500, "steady"),
    (16, 500, "nodefail"),
];

const LARGE: [(usize, usize, &str); 3] = [
    (16, 2000, "cold"),
    (16, 2000, "steady"),
    (16, 2000, "nodefail"),
];

/// A CIB of 98 MB, and one of 610 MB.
const HUGE: [(usize, usize, &str); 2] = [(32, 5000, "steady"), (100, 10000, "nodefail")];

/// Those that are measured.
pub(crate) fn sizes() -> Vec<(usize, usize, &'static str)> {
    let asked = std::env::var("SYSTOLE_BENCH").unwrap_or_default();
    let mut sizes = SMALL.to_vec();
    if ["large", "huge"].contains(&&*asked) {
        sizes.extend(LARGE);
    }
    if asked == "huge" {
        sizes.extend(HUGE);
    }
    sizes
}

/// The CIB of a cluster, read.
pub(crate) fn cluster(size: (usize, usize, &str)) -> Element {
    parse(text(size), &Limits::STORED).expect("generated XML is well-formed")
}

/// Its text.
pub(crate) fn text(size: (usize, usize, &str)) -> String {
    std::fs::read_to_string(file(size)).expect("written a moment ago")
}

/// The file that holds it, made when it is first asked for.
pub(crate) fn file((nodes, resources, scenario): (usize, usize, &str)) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench");
    let file = folder.join(format!("{nodes}-{resources}-{scenario}.xml"));
    if file.exists() {
        return file;
    }
    std::fs::create_dir_all(&folder).expect("a writable target folder");
    let text = generated(nodes, resources, scenario).unwrap_or_else(|| plain(nodes, resources));
    std::fs::write(&file, &text).expect("a writable target folder");
    file
}

fn generator() -> Option<PathBuf> {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    above
        .map(|folder| folder.join("shared/bench/gen_cib.py"))
        .find(|file| file.exists())
}

fn generated(nodes: usize, resources: usize, scenario: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "a bench needs no process group")]
    let mut python = std::process::Command::new("python3");
    let output = python
        .arg(generator()?)
        .args([
            "-q",
            "-n",
            &nodes.to_string(),
            "-m",
            &resources.to_string(),
            "-s",
            scenario,
        ])
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8(output.stdout).ok())
        .flatten()
}

/// Primitives in groups of four, all of them stopped and never probed.
fn plain(nodes: usize, resources: usize) -> String {
    let mut text = String::from(
        "<cib have-quorum=\"1\"><configuration><crm_config><cluster_property_set id=\"o\">\
         <nvpair id=\"o-f\" name=\"fencing-enabled\" value=\"false\"/></cluster_property_set></crm_config><nodes>",
    );
    for node in 1..=nodes {
        let _ = write!(text, "<node id=\"{node}\" uname=\"node{node}\"/>");
    }
    text.push_str("</nodes><resources>");
    for rsc in 0..resources {
        let (open, close) = (rsc % 4 == 0, rsc % 4 == 3 || rsc + 1 == resources);
        if open {
            let _ = write!(text, "<group id=\"g{rsc}\">");
        }
        let _ = write!(
            text,
            "<primitive id=\"r{rsc}\" class=\"ocf\" provider=\"pacemaker\" type=\"Dummy\"><operations>\
             <op id=\"r{rsc}-m\" name=\"monitor\" interval=\"10s\" timeout=\"20s\"/></operations></primitive>"
        );
        if close {
            text.push_str("</group>");
        }
    }
    text.push_str("</resources><constraints/></configuration><status>");
    for node in 1..=nodes {
        let _ = write!(
            text,
            "<node_state id=\"{node}\" uname=\"node{node}\" in_ccm=\"true\" crmd=\"online\" join=\"member\" expected=\"member\"/>"
        );
    }
    text.push_str("</status></cib>");
    text
}
