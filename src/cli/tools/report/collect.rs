//! What a report is made of. A part that can't be had is named in the report, and the others are there all the same.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use regex::Regex;

use crate::{
    cli::{failure::Failure, saved, tools::Tool},
    process::{self, How, Spec},
    rpc::{NodeConfig, Paths},
    xml::{self, Limits, write},
};

use super::{Asked, mask::Masks, period::Period};

/// How long one part may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How much of one part is kept.
const MOST: usize = 64 << 20;

/// Our own tools, and what they are to tell.
const TOOLS: &[(&str, &[&str])] = &[
    ("cib.xml", &["cibadmin", "--query", "--local"]),
    (
        "crm_mon.txt",
        &[
            "crm_mon",
            "-1",
            "-nrfoR",
            "--show-node-attributes",
            "--tickets",
        ],
    ),
    ("crm_mon.xml", &["crm_mon", "--output-as=xml"]),
    ("crm_verify.txt", &["crm_verify", "--live-check", "-V"]),
    (
        "scores.txt",
        &["crm_simulate", "--live-check", "--show-scores"],
    ),
    ("quorum.txt", &["corosync-quorumtool", "-s"]),
    ("links.txt", &["corosync-cfgtool", "-n"]),
    ("cluster.txt", &["crm", "cluster", "status"]),
    ("changes.txt", &["crm", "cluster", "log"]),
    ("features.txt", &["pacemakerd", "--features"]),
];

/// What the machine tells of itself.
const FILES: &[&str] = &[
    "/etc/os-release",
    "/proc/version",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/mounts",
];

/// All parts, by their names below the top of the report.
#[derive(Debug)]
pub(super) struct Collected {
    pub(super) files: Vec<(String, Vec<u8>)>,
}

/// The name of this node, also when its daemon is down.
pub(super) fn own_name(tool: &mut Tool, paths: &Paths) -> String {
    if let Ok(name) = crate::cli::tools::local_node(tool) {
        return name;
    }
    match NodeConfig::load(paths) {
        Ok(config) => config.name.to_string(),
        Err(_) => rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned(),
    }
}

/// Collects what this node has.
pub(super) fn all(
    node: &str,
    asked: &Asked,
    period: &Period,
    masks: &Masks,
    paths: &Paths,
) -> Result<Collected, Failure> {
    let mut report = Report {
        node: node.to_owned(),
        masks,
        period,
        files: Vec::new(),
        missing: Vec::new(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // Found also after its file was replaced by a newer one.
    let program = Path::new("/proc/self/exe");
    for (file, words) in TOOLS {
        match runtime.block_on(output(program, words)) {
            Ok(text) => report.add(file, &text),
            Err(why) => report.missing.push(format!("{file}: {why}")),
        }
    }
    for path in FILES {
        let name = format!("machine/{}", path.rsplit('/').next().unwrap_or(path));
        report.copy(&name, Path::new(path));
    }
    for name in ["node.toml", "corosync.conf"] {
        report.copy(name, &paths.data.join(name));
    }
    report.inputs(&paths.data);
    let logs = report.logs(asked, &runtime);
    report.analysis(asked, &logs)?;
    report.summary();
    let files = report.files;
    Ok(Collected { files })
}

/// Standard output of a program under the first word's name, with what it said besides if it failed.
async fn output(program: &Path, words: &[&str]) -> Result<String, String> {
    let args = words.iter().skip(1);
    let mut spec = args.fold(Spec::new(program), |spec, word| spec.arg(*word));
    // The file may have the name of any of our tools, and is by its name what it is.
    spec.called = words.first().map(Into::into);
    for name in ["SYSTOLE_DIR", "CIB_file", "TZ"] {
        if let Some(value) = std::env::var_os(name) {
            spec = spec.env(name, value);
        }
    }
    spec = spec
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .timeout(PATIENCE);
    spec.output_limit = MOST;
    let ended = process::run(spec, std::future::pending()).await;
    let (out, err) = (ended.stdout.text(), ended.stderr.text());
    match ended.how {
        How::Exited(0) => Ok(out),
        How::Exited(code) if !out.is_empty() => Ok(format!("{out}\n{err}(it ended with {code})\n")),
        How::Exited(code) => Err(format!("it ended with {code}: {}", err.trim())),
        How::CannotExec(_, why) => Err(why),
        other => Err(format!("{other:?}")),
    }
}

struct Report<'r> {
    node: String,
    masks: &'r Masks,
    period: &'r Period,
    files: Vec<(String, Vec<u8>)>,
    missing: Vec<String>,
}

impl Report<'_> {
    fn add(&mut self, name: &str, text: &str) {
        let text = match xml::parse(text, &Limits::STORED) {
            Ok(mut root) if name.ends_with(".xml") => {
                self.masks.element(&mut root);
                write::pretty(&root)
            }
            _ => self.masks.text(text),
        };
        self.put(name, text.into_bytes());
    }

    fn put(&mut self, name: &str, content: Vec<u8>) {
        self.files.push((format!("{}/{name}", self.node), content));
    }

    fn copy(&mut self, name: &str, path: &Path) {
        match std::fs::read(path) {
            Ok(bytes) => self.add(name, &String::from_utf8_lossy(&bytes)),
            Err(error) => self.missing.push(format!("{}: {error}", path.display())),
        }
    }

    /// Inputs of the transitions of the time. One in which a value was masked is written anew, without the word of its
    /// coordinator that nothing is left out.
    fn inputs(&mut self, data: &Path) {
        let names = match saved::list(data) {
            Ok(names) => names,
            Err(error) => {
                self.missing
                    .push(format!("{}: {error}", saved::folder(data).display()));
                return;
            }
        };
        for name in names {
            let path = saved::file(data, name);
            if !self.is_of_the_time(&path) {
                continue;
            }
            match self.input(&path) {
                Ok(bytes) => self.put(&format!("pengine/{name}.bz2"), bytes),
                Err(error) => self.missing.push(format!("{}: {error}", path.display())),
            }
        }
    }

    fn is_of_the_time(&self, path: &Path) -> bool {
        let modified = std::fs::metadata(path).and_then(|data| data.modified());
        let since = modified
            .ok()
            .and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let at_s = since.and_then(|since| i64::try_from(since.as_secs()).ok());
        at_s.is_some_and(|at_s| (self.period.from_s..=self.period.to_s).contains(&at_s))
    }

    fn input(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        let packed = std::fs::read(path)?;
        let text = saved::unpack(&packed)?;
        let mut root = xml::parse(&text, &Limits::STORED).map_err(std::io::Error::other)?;
        if self.masks.element(&mut root) == 0 {
            return Ok(packed);
        }
        let mut out = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
        out.write_all(write::pretty(&root).as_bytes())?;
        out.finish()
    }

    /// The journal of the daemon, and the files that are named.
    fn logs(&mut self, asked: &Asked, runtime: &tokio::runtime::Runtime) -> Vec<(String, String)> {
        let mut logs = Vec::new();
        if asked.search {
            let since = format!("--since=@{}", self.period.from_s);
            let until = format!("--until=@{}", self.period.to_s);
            let words = [
                "journalctl",
                "--no-pager",
                "--output=short-iso",
                &since,
                &until,
                "_COMM=systole",
            ];
            match runtime.block_on(output(Path::new("/usr/bin/journalctl"), &words)) {
                Ok(text) => logs.push(("journal.log".to_owned(), text)),
                Err(why) => self.missing.push(format!("the journal: {why}")),
            }
        }
        for path in &asked.logs {
            let name = log_name(path);
            match std::fs::read(path) {
                Ok(bytes) => {
                    let text = self.period.lines(&String::from_utf8_lossy(&bytes));
                    logs.push((format!("logs/{name}"), text));
                }
                Err(error) => self.missing.push(format!("{}: {error}", path.display())),
            }
        }
        for (name, text) in &logs {
            self.add(name, text);
        }
        logs
    }

    /// Lines that say that something went wrong.
    fn analysis(&mut self, asked: &Asked, logs: &[(String, String)]) -> Result<(), Failure> {
        let mut words = vec!["CRIT".to_owned(), "ERROR".to_owned()];
        words.extend(asked.patterns.iter().cloned());
        let pattern =
            Regex::new(&words.join("|")).map_err(|error| Failure::usage(format!("-L: {error}")))?;
        let mut text = String::new();
        for (name, log) in logs {
            for line in log.lines().filter(|line| pattern.is_match(line)) {
                text.push_str(&format!("{name}: {line}\n"));
            }
        }
        let text = self.masks.text(&text);
        self.files
            .push(("analysis.txt".to_owned(), text.into_bytes()));
        Ok(())
    }

    fn summary(&mut self) {
        let mut text = format!(
            "Report of {} by systole {}\n{}",
            self.node,
            env!("CARGO_PKG_VERSION"),
            self.period.text(),
        );
        text.push_str("\nValues of passwords and the like are masked.\n");
        if !self.missing.is_empty() {
            text.push_str("\nNot in it:\n");
            for missing in &self.missing {
                text.push_str(&format!("  {missing}\n"));
            }
        }
        self.files
            .push(("report.summary".to_owned(), text.into_bytes()));
    }
}

/// A file in the report is named by its path, so that two logs of one name both have their place.
fn log_name(path: &Path) -> String {
    let text = path.display().to_string();
    text.trim_start_matches('/').replace('/', "_")
}
