//! Programs that agents and other shells call by name, in the forms that they use.
//! Enters: arguments as Pacemaker's tools take them.
//! Leaves: the same texts and exit codes.
//! May touch: what `cli` may.

mod access;
pub mod admin;
pub mod attribute;
pub mod cibadmin;
pub mod codes;
pub(crate) mod corosync;
pub mod crm_mon;
pub mod crm_verify;
pub mod daemon;
pub mod diff;
mod glossary;
pub mod iso8601;
pub mod node;
pub(crate) mod output;
pub mod report;
pub mod resource;
pub mod rule;
pub mod shadow;
pub mod standby;
pub mod stonith_admin;
pub mod ticket;
pub mod updater;

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use crate::{
    rpc::{AdminAnswer, AdminRequest},
    terms::CrmExit,
};

use super::{
    access::{Access, File},
    entry,
    failure::Failure,
    shell::Shell,
};

/// What a tool works with.
pub struct Tool {
    /// The cluster or a file.
    pub access: Box<dyn Access>,
    /// Standard output.
    pub out: Box<dyn Write>,
    /// What was said, where it is written at the end.
    pub(crate) answer: output::Answer,
}

type Run = fn(&mut Tool, &[String]) -> Result<(), Failure>;

const TOOLS: &[(&str, Run)] = &[
    ("attrd_updater", updater::run),
    ("cibadmin", cibadmin::run),
    ("corosync-cfgtool", corosync::cfgtool::run),
    ("corosync-cmapctl", corosync::cmapctl::run),
    ("corosync-quorumtool", corosync::quorumtool::run),
    ("crm_attribute", attribute::run),
    ("crm_diff", diff::run),
    ("crm_error", codes::run),
    ("crm_failcount", standby::failcount),
    ("crm_master", attribute::master),
    ("crm_mon", crm_mon::run),
    ("crm_verify", crm_verify::run),
    ("crm_node", node::run),
    ("crm_report", report::run),
    ("crm_resource", resource::run),
    ("crm_rule", rule::run),
    ("crm_ticket", ticket::run),
    ("iso8601", iso8601::run),
    ("crm_shadow", shadow::run),
    ("crm_standby", standby::run),
    ("crmadmin", admin::run),
    ("pacemaker-attrd", daemon::attrd),
    ("pacemaker-based", daemon::based),
    ("pacemaker-controld", daemon::controld),
    ("pacemaker-execd", daemon::execd),
    ("pacemaker-fenced", daemon::fenced),
    ("pacemaker-schedulerd", daemon::schedulerd),
    ("pacemakerd", daemon::pacemakerd),
    ("stonith_admin", stonith_admin::run),
];

/// Names of all tools.
pub fn names() -> impl Iterator<Item = &'static str> {
    TOOLS.iter().map(|(name, _)| *name)
}

/// What a tool prints for `--help`.
pub(crate) fn help_text(name: &str) -> String {
    let Some((name, run)) = TOOLS.iter().find(|(known, _)| *known == name) else {
        return String::new();
    };
    let args = ["--help".to_owned()];
    let kept = Kept::default();
    let mut tool = Tool {
        access: entry::reach(None),
        out: Box::new(kept.clone()),
        answer: output::Answer::new(name, &args),
    };
    let result = run(&mut tool, &args);
    tool.close(name, result);
    kept.take()
}

/// Output that is not for a stream.
#[derive(Clone, Default)]
pub(crate) struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    /// What was written so far.
    pub(crate) fn take(&self) -> String {
        let bytes = std::mem::take(&mut *self.0.lock().expect("no panic while held"));
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0
            .lock()
            .expect("no panic while held")
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Run when the program was called by the name of a tool.
pub fn called_as(name: &str, args: &[String]) -> Option<CrmExit> {
    // As a program that a web server runs.
    let cgi = name == "crm_mon.cgi";
    let name = if cgi { "crm_mon" } else { name };
    let (name, run) = TOOLS.iter().find(|(known, _)| *known == name)?;
    // There is nothing that `--help` would leave out. Clients look here for what a tool can do.
    let all = |word: &String| {
        if word == "--help-all" {
            "--help".to_owned()
        } else {
            word.clone()
        }
    };
    let mut args: Vec<String> = args.iter().map(all).collect();
    if cgi {
        args.push("--web-cgi".to_owned());
    }
    let args: &[String] = &args;
    let mut tool = Tool {
        access: entry::reach(None),
        out: Box::new(std::io::stdout()),
        answer: output::Answer::new(name, args),
    };
    let result = run(&mut tool, args);
    Some(tool.close(name, result))
}

/// Run a tool inside the shell: on what the shell works on, and to where it writes.
pub(crate) fn within(shell: &mut Shell, name: &str, words: &[&str]) -> Result<(), Failure> {
    let known = TOOLS.iter().find(|(known, _)| *known == name);
    let (_, run) = known.expect("the shell asks for tools that there are");
    let args: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let nothing: Box<dyn Access> = Box::new(File::new(""));
    let mut tool = Tool {
        access: std::mem::replace(&mut shell.access, nothing),
        out: std::mem::replace(&mut shell.out, Box::new(std::io::sink())),
        answer: output::Answer::new(name, &args),
    };
    let result = run(&mut tool, &args);
    shell.access = tool.access;
    shell.out = tool.out;
    result
}

/// What a tool would print.
pub(crate) fn captured(shell: &mut Shell, name: &str, words: &[&str]) -> Result<String, Failure> {
    let kept = Kept::default();
    let out = std::mem::replace(&mut shell.out, Box::new(kept.clone()));
    let result = within(shell, name, words);
    shell.out = out;
    result.map(|()| kept.take())
}

/// The node on which the tool runs: agents are told by the executor, others ask the daemon.
pub(crate) fn local_node(tool: &mut Tool) -> Result<String, Failure> {
    if let Ok(node) = std::env::var("OCF_RESKEY_CRM_meta_on_node")
        && !node.is_empty()
    {
        return Ok(node);
    }
    if !tool.access.live() {
        return Ok(rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned());
    }
    match tool.access.ask(AdminRequest::Status)? {
        AdminAnswer::Status(status) if status.remote.is_some() => {
            Ok(status.remote.unwrap_or_else(|| "".into()).to_string())
        }
        AdminAnswer::Status(status) => status
            .members
            .iter()
            .find(|member| member.id == status.me)
            .map(|member| member.name.to_string())
            .ok_or_else(|| Failure::new(CrmExit::NO_SUCH, "this node is no member of its cluster")),
        other => Err(super::cmd::cluster::unexpected(&other)),
    }
}

/// What `--version` prints: clients read the second word.
pub(crate) fn version(tool: &mut Tool) -> Result<(), Failure> {
    Ok(writeln!(
        tool.out,
        "Pacemaker 3.0.2 (Systole {})",
        env!("CARGO_PKG_VERSION")
    )?)
}

/// What `--help` prints: clients look for names of options in it.
pub(crate) fn help(
    tool: &mut Tool,
    name: &str,
    what: &str,
    options: &[(char, &str, bool)],
) -> Result<(), Failure> {
    writeln!(
        tool.out,
        "{name} - {what}\n\nUsage: {name} [OPTIONS]\n\nOptions:"
    )?;
    for (short, long, value) in options {
        let short = if *short == '\0' {
            "    ".to_owned()
        } else {
            format!("-{short}, ")
        };
        let value = if *value { "=VALUE" } else { "" };
        let option = format!("{short}--{long}{value}");
        let text = glossary::text(name, long);
        writeln!(tool.out, "  {option:<30}  {text}")?;
    }
    Ok(())
}

/// Options of a tool, read the way getopt reads them: bundled, with `=`, and long names cut short where they are clear.
pub(crate) struct Options<'a> {
    spec: &'a [(char, &'a str, bool)],
    words: Vec<String>,
    at: usize,
    /// What was given right behind an option whose value may be left out.
    attached: Option<String>,
    may_have_value: &'a [&'a str],
    /// Words that are no options.
    pub(crate) free: Vec<String>,
}

impl<'a> Options<'a> {
    /// `spec`: short name (or NUL), long name, whether a value follows.
    pub(crate) fn new(spec: &'a [(char, &'a str, bool)], args: &[String]) -> Self {
        Options {
            spec,
            words: args.to_vec(),
            at: 0,
            attached: None,
            may_have_value: &[],
            free: Vec::new(),
        }
    }

    /// The same, and these options (without a value in `spec`) may have one, which `optional` takes.
    pub(crate) fn with_optional(mut self, names: &'a [&'a str]) -> Self {
        self.may_have_value = names;
        self
    }

    /// The next option by its long name, with its value.
    pub(crate) fn next(&mut self) -> Result<Option<(&'a str, String)>, Failure> {
        self.attached = None;
        while let Some(word) = self.words.get(self.at).cloned() {
            self.at += 1;
            if word == "--" {
                self.free.extend(self.words.drain(self.at..));
            } else if let Some(long) = word.strip_prefix("--") {
                return self.long(long).map(Some);
            } else if let Some(short) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) {
                return self.short(short).map(Some);
            } else {
                self.free.push(word);
            }
        }
        Ok(None)
    }

    fn long(&mut self, text: &str) -> Result<(&'a str, String), Failure> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        let exact = self.spec.iter().find(|(_, long, _)| *long == name);
        let similar: Vec<_> = self
            .spec
            .iter()
            .filter(|(_, long, _)| long.starts_with(name))
            .collect();
        let found = match (exact, similar.as_slice()) {
            (Some(found), _) => found,
            (None, [found]) => *found,
            _ => return Err(Failure::usage(format!("unknown option --{name}")).cure("see --help")),
        };
        match (found.2, value) {
            (true, Some(value)) => Ok((found.1, value)),
            (true, None) => Ok((found.1, self.value(found.1)?)),
            (false, None) => Ok((found.1, String::new())),
            (false, value) if self.may_have_value.contains(&found.1) => {
                self.attached = value;
                Ok((found.1, String::new()))
            }
            (false, Some(_)) => Err(Failure::usage(format!("--{} takes no value", found.1))),
        }
    }

    fn short(&mut self, text: &str) -> Result<(&'a str, String), Failure> {
        let mut chars = text.chars();
        let name = chars.next().unwrap_or_default();
        let rest = chars.as_str();
        let Some(found) = self.spec.iter().find(|(short, _, _)| *short == name) else {
            return Err(Failure::usage(format!("unknown option -{name}")).cure("see --help"));
        };
        if !found.2 {
            if !rest.is_empty() && self.may_have_value.contains(&found.1) {
                self.attached = Some(rest.to_owned());
            } else if !rest.is_empty() {
                self.at -= 1;
                self.words[self.at] = format!("-{rest}");
            }
            return Ok((found.1, String::new()));
        }
        if rest.is_empty() {
            Ok((found.1, self.value(found.1)?))
        } else {
            Ok((found.1, rest.to_owned()))
        }
    }

    /// A value that was given right behind the last option.
    pub(crate) fn attached(&mut self) -> Option<String> {
        self.attached.take()
    }

    /// A value that may follow the last option, and may be left out.
    pub(crate) fn optional(&mut self) -> Option<String> {
        if let Some(attached) = self.attached.take() {
            return Some(attached);
        }
        let word = self
            .words
            .get(self.at)
            .filter(|word| !word.starts_with('-'))?
            .clone();
        self.at += 1;
        Some(word)
    }

    fn value(&mut self, name: &str) -> Result<String, Failure> {
        let value = self.words.get(self.at).cloned();
        self.at += 1;
        value.ok_or_else(|| Failure::usage(format!("--{name} needs a value")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_of_every_tool_says_what_it_is_for() {
        let mut without = Vec::new();
        for name in names() {
            let help = help_text(name);
            assert!(
                help.contains(name) || name == "crm_master",
                "{name}: {help}"
            );
            let options = help
                .lines()
                .filter(|line| line.trim_start().starts_with('-'));
            let bare = options.filter(|line| !line.trim().contains("  "));
            without.extend(bare.map(|line| format!("{name} {}", line.trim())));
        }
        assert_eq!(without, Vec::<String>::new());
    }
}
