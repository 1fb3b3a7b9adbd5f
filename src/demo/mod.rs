//! The demo: hosts, switch, client and fence device on one machine, as private namespaces, around real daemons.
//! Enters: what to build, which fault, how often.
//! Leaves: measured outages, a timeline, and a laboratory that the end-to-end tests use too.
//! May touch: namespaces, links and processes of its own making; they end with it.

pub mod enclose;
pub mod lab;

pub mod cluster;
pub mod prober;
pub mod rough;
pub mod service;

mod calm;
mod chaos;
mod failure;
mod fence;
mod init;
mod report;
mod run;
mod wires;

/// Runs a part of the demo if the program was called as one: `demo`, the inside of a host, the client's prober, or
/// the laboratory's fence agent. Must be called before any thread is started. Returns the exit status then.
pub fn called_as(args: &[String]) -> Option<u8> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let fence_agent = words
        .first()
        .is_some_and(|name| name.ends_with("fence_netns"));
    match words.as_slice() {
        _ if fence_agent => Some(fence::agent(&words[1..])),
        [_, "agent", "fence_netns", rest @ ..] => Some(fence::agent(rest)),
        [_, "demo", rest @ ..] => Some(run::main(rest)),
        [_, "lab", "chaos", rest @ ..] => Some(chaos::main(rest)),
        [_, "lab", "calm", rest @ ..] => Some(calm::main(rest)),
        [_, "lab-fetch", rest @ ..] => Some(service::fetch_main(rest)),
        [name, rest @ ..] if name.ends_with("lab-database") => Some(service::database_main(rest)),
        [_, "lab-host", rest @ ..] => Some(init::main(rest)),
        [_, "lab-prober", rest @ ..] => Some(prober::main(rest)),
        _ => None,
    }
}
