//! Debian's crmsh as the other reader and writer. It works on shadow files, so one process does many cases; it names
//! each line that it reads, so what it says is kept by case, and when it breaks, the rest is given to a new one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where the distribution puts it: our own shell may be called `crm`, too.
const PROGRAM: &str = "/usr/sbin/crm";

/// The folder where crmsh and its files live during a test.
pub(crate) struct Crmsh {
    folder: tempfile::TempDir,
}

/// What crmsh is to do with a CIB.
pub(crate) struct Job<'a> {
    /// The case.
    pub(crate) name: &'a str,
    /// The CIB to begin with.
    pub(crate) cib: String,
    /// A command of the level `configure`.
    pub(crate) command: String,
}

impl Crmsh {
    /// Nothing when it is not installed here.
    pub(crate) fn find() -> Option<Crmsh> {
        let said = command(PROGRAM).arg("--version").output().ok()?;
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        let is_it = said.status.success() && Path::new("/usr/share/crmsh").exists();
        eprintln!("held against: crmsh {}", text.trim());
        is_it.then(|| Crmsh {
            folder: tempfile::tempdir().expect("a temporary folder"),
        })
    }

    /// A file of this test.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The CIB of a case as it is now.
    pub(crate) fn cib(&self, name: &str) -> String {
        fs::read_to_string(self.shadow(name)).unwrap_or_default()
    }

    fn shadow(&self, name: &str) -> PathBuf {
        self.path("shadows").join(format!("shadow.{name}"))
    }

    /// Do all of it; what was said, by case.
    pub(crate) fn run(&self, jobs: &[Job<'_>]) -> BTreeMap<String, String> {
        fs::create_dir_all(self.path("shadows")).expect("a folder for the CIBs");
        for job in jobs {
            fs::write(self.shadow(job.name), &job.cib).expect("a CIB file");
        }
        let mut said = BTreeMap::new();
        let mut left = jobs;
        while !left.is_empty() {
            let reached = self.session(left, &mut said);
            left = &left[reached..];
        }
        said
    }

    /// One process, up to where it breaks; how many cases it began.
    fn session(&self, jobs: &[Job<'_>], said: &mut BTreeMap<String, String>) -> usize {
        let mut script = String::new();
        for job in jobs {
            script.push_str(&format!(
                "cib use {}\nconfigure {}\n",
                job.name, job.command
            ));
        }
        let file = self.path("script");
        fs::write(&file, script).expect("a file of commands");
        let log = self.path("log");
        let output = fs::File::create(&log).expect("a file for what it says");
        let both = output.try_clone().expect("a second handle");
        let ended = command(PROGRAM)
            .args(["-R", "-F", "-f"])
            .arg(&file)
            .env("HOME", self.folder.path())
            .env("CIB_shadow_dir", self.path("shadows"))
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(both)
            .status();
        ended.expect("crmsh can be started");
        let text = fs::read(&log).expect("what it said");
        let text = String::from_utf8_lossy(&text).into_owned();
        let mut begun = 0;
        let mut current: Option<&str> = None;
        for line in text.lines() {
            if let Some(name) = line.strip_prefix(".INP: cib use ") {
                assert_eq!(name.trim(), jobs[begun].name, "lines in their order");
                current = Some(jobs[begun].name);
                begun += 1;
            } else if !line.starts_with(".EXT")
                && let Some(name) = current
            {
                let entry: &mut String = said.entry(name.to_owned()).or_default();
                entry.push_str(line);
                entry.push('\n');
            }
        }
        assert!(begun > 0, "crmsh did nothing:\n{text}");
        begun
    }
}

/// A program with the distribution's own tools first, and nothing of a cluster that may be there.
#[expect(
    clippy::disallowed_methods,
    reason = "a test may start what it compares with"
)]
fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C.UTF-8")
        .env_remove("CIB_file")
        .env_remove("CIB_shadow");
    command
}
