//! How long a tool takes that asks the daemon of its own node, from its start to its end: the time that agents and shells
//! wait, hundreds of times.
//!
//! Expected before measuring: starting a process costs one to two milliseconds, the question and its answer over the
//! socket less than one, reading a small CIB and working out its status less than one. So each call stays below five
//! milliseconds, unless the machine is busy.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "the bench starts the program as agents do, and says how long it took"
)]

#[expect(dead_code, reason = "tests need more of it")]
#[path = "../tests/one_node/mod.rs"]
mod one_node;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use one_node::{Node, SYSTOLE};

/// The first one asks nobody: what it takes is what starting takes. `true` does nothing at all: what the machine takes.
const CALLS: [&str; 10] = [
    "true",
    "crm_error 0",
    "crm_attribute -G -n cluster-name -t crm_config -q -d x",
    "crm_node -n",
    "cibadmin -Ql",
    "attrd_updater -Q -n x",
    "crm_resource --locate -r d0",
    "crm_mon -1",
    "crm_mon --output-as=xml",
    "crm status",
];

const TIMES: usize = 200;

fn main() {
    // `cargo test` runs benches once, to see that they can be run.
    let times = if std::env::args().any(|word| word == "--bench") {
        TIMES
    } else {
        1
    };
    let node = Node::start();
    let file = node.dir.path().join("cluster.crm");
    let resources = (0..20).map(|n| format!("primitive d{n} ocf:systole:Dummy\n"));
    let text = format!(
        "property fencing-enabled=false\n{}",
        resources.collect::<String>()
    );
    std::fs::write(&file, text).expect("a file");
    node.ok(&format!("crm -w configure load update {}", file.display()));
    node.ok("attrd_updater -U 1 -n x");
    println!("{:<58} {:>7} {:>7} {:>7} ms", "", "min", "median", "max");
    for line in CALLS {
        let mut took: Vec<Duration> = (0..times).map(|_| call(&node, line)).collect();
        took.sort();
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        println!(
            "{line:<58} {:>7.2} {:>7.2} {:>7.2}",
            ms(took[0]),
            ms(took[took.len() / 2]),
            ms(took[took.len() - 1])
        );
    }
}

fn call(node: &Node, line: &str) -> Duration {
    let mut command = match line {
        "true" => Command::new("true"),
        line => {
            let mut command = Command::new(SYSTOLE);
            command.args(line.split(' '));
            command
        }
    };
    command
        .env("SYSTOLE_DIR", node.home())
        .env_remove("CIB_file")
        .stdout(Stdio::null());
    let begun = Instant::now();
    let ended = command.status().expect("the program starts");
    let took = begun.elapsed();
    assert!(ended.success(), "{line}: {ended}");
    took
}
