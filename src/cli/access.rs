//! The cluster as commands see it: a CIB to read, commands to send, and a daemon to ask. Offline, a file stands in.

use std::{
    fs,
    io::{Read, Write},
    os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use uuid::Uuid;

use crate::{
    cib::{self, Cib, Command},
    clock,
    raft::Outcome,
    rpc::{self, AdminAnswer, AdminRequest, ClusterStatus, Paths},
    terms::CrmExit,
    xml::{Element, Limits, write},
};

use super::failure::Failure;

/// A cluster, or a file in its place.
pub trait Access {
    /// The newest CIB.
    fn cib(&mut self) -> Result<Cib, Failure>;

    /// The newest CIB, and what the daemon says beside it, if there is one.
    fn whole(&mut self) -> Result<(Cib, Option<ClusterStatus>), Failure> {
        let cib = self.cib()?;
        let status = match self.live().then(|| self.ask(AdminRequest::Status)) {
            Some(Ok(AdminAnswer::Status(status))) => Some(*status),
            _ => None,
        };
        Ok((cib, status))
    }

    /// The newest CIB for those who work out from it what the cluster does. Of a part of it something else would follow.
    fn deciding(&mut self) -> Result<Cib, Failure> {
        let cib = self.cib()?;
        let hidden = hidden(&cib);
        if hidden.is_empty() || !self.live() {
            return Ok(cib);
        }
        Err(Failure::new(
            CrmExit::INSUFFICIENT_PRIV,
            format!(
                "the ACLs hide a part of the CIB from this user ({}), and of the rest something else would follow than the \
                 cluster decides",
                hidden.join(", ")
            ),
        )
        .cure("run it as root, or have a role with `read xpath:/cib`"))
    }

    /// One atomic change.
    fn write(&mut self, command: Command) -> Result<Option<Element>, Failure>;

    /// Anything else that only a daemon can answer.
    fn ask(&mut self, request: AdminRequest) -> Result<AdminAnswer, Failure>;

    /// Whether a daemon is behind it.
    fn live(&self) -> bool;

    /// One atomic change that is taken back unless it is confirmed in time.
    fn try_out(&mut self, _: Command, _within_s: u64) -> Result<(), Failure> {
        Err(Failure::new(
            CrmExit::DISCONNECTED,
            "only a running cluster can take a change back by itself",
        )
        .cure("leave --confirm-within out, or unset CIB_file"))
    }

    /// What is said about the changes from now on, in the history of the configuration.
    fn comment_on(&mut self, _: &str) {}

    /// A change that leaves status alone or not, as a patch between two versions that were worked out here. It does not
    /// fit when somebody changed the same elsewhere meanwhile.
    fn apply_patch(&mut self, old: &Element, new: &Element) -> Result<bool, Failure> {
        let patch = cib::patch::diff(old, new).without_versions();
        if patch.changes.is_empty() {
            return Ok(false);
        }
        let mut command =
            Command::new(cib::Op::Patch, cib::Target::Whole, Some(patch.to_element()));
        command.origin.client = "crm".to_owned();
        self.write(command).map(|_| true).map_err(|failure| {
            if failure.exit == CrmExit::ERROR {
                return failure.cure("the configuration was changed by somebody else meanwhile; make the change again");
            }
            failure
        })
    }
}

/// Sections that decisions hang on and that are not there. A whole CIB has all of them.
pub(crate) fn hidden(cib: &Cib) -> Vec<&'static str> {
    let all = ["crm_config", "nodes", "resources", "constraints"];
    let there = |name: &&str| cib.section(name).is_some();
    all.into_iter().filter(|name| !there(name)).collect()
}

/// A CIB in a file.
#[derive(Debug)]
pub struct File {
    path: PathBuf,
    user: String,
    read: Option<Cib>,
}

impl File {
    /// The file need not exist until it is read.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        File {
            path: path.into(),
            user: String::new(),
            read: None,
        }
    }

    /// The same on behalf of a user, whom the access lists in the file hold.
    #[must_use]
    pub fn on_behalf_of(mut self, user: String) -> Self {
        self.user = user;
        self
    }

    fn is_pipe(&self) -> bool {
        self.path.as_os_str() == "-"
            || fs::metadata(&self.path)
                .is_ok_and(|data| data.file_type().is_fifo() || data.file_type().is_char_device())
    }

    /// The document as it is, whoever asks.
    fn document(&mut self) -> Result<Cib, Failure> {
        if let Some(cib) = &self.read {
            return Ok(cib.clone());
        }
        let shown = self.path.display();
        let read = if self.path.as_os_str() == "-" {
            let mut bytes = Vec::new();
            let most = Limits::CIB.bytes as u64 + 1;
            let input = std::io::stdin().lock().take(most).read_to_end(&mut bytes);
            input.map(|_| bytes)
        } else {
            fs::read(&self.path)
        };
        let bytes = read.map_err(|error| {
            // A file that is not there is a cluster that can't be found, as Pacemaker's tools see it.
            let exit = match error.kind() {
                std::io::ErrorKind::NotFound => CrmExit::NO_SUCH,
                _ => Failure::from(std::io::Error::from(error.kind())).exit,
            };
            Failure::new(
                exit,
                format!("failed to read the CIB file {shown}: {error}"),
            )
        })?;
        let cib = Cib::parse(&bytes, &Limits::CIB)
            .map_err(|error| Failure::new(CrmExit::DATA, format!("{shown}: {error}")))?;
        self.read = Some(cib.clone());
        Ok(cib)
    }
}

impl Access for File {
    fn cib(&mut self) -> Result<Cib, Failure> {
        let cib = self.document()?;
        if self.user.is_empty() {
            return Ok(cib);
        }
        let mut query = Command::new(cib::Op::Query, cib::Target::Whole, None);
        query.origin.user.clone_from(&self.user);
        let seen = cib::query(&cib, &query)?;
        Ok(seen.map_or(cib, Cib::new))
    }

    fn write(&mut self, mut command: Command) -> Result<Option<Element>, Failure> {
        let cib = self.document()?;
        if command.origin.user.is_empty() {
            command.origin.user.clone_from(&self.user);
        }
        if self.is_pipe() {
            return Err(Failure::new(
                CrmExit::CANNOT_CREATE,
                "a CIB that comes through a pipe can't be changed",
            ));
        }
        let time_s = clock::wall_s();
        // Quirk: in a file, a part that is replaced by the same counts as an update. Clients compare the numbers.
        let part = matches!(command.target, cib::Target::Section(_));
        let counts = part && command.op == cib::Op::Replace && !command.flags.dry_run;
        let applied = cib::apply(&cib, &command.at(time_s));
        let answer = applied.answer?;
        let next = if applied.patch.is_some() {
            applied.cib
        } else if counts {
            let mut root = cib.into_root();
            let mut version = cib::Version::of(&root);
            version.num_updates = version.num_updates.saturating_add(1);
            version.write_to(&mut root);
            Cib::new(root)
        } else {
            return Ok(answer);
        };
        store_in_place(&self.path, &write::pretty(next.root()))?;
        self.read = Some(next);
        Ok(answer)
    }

    fn ask(&mut self, _: AdminRequest) -> Result<AdminAnswer, Failure> {
        Err(Failure::new(
            CrmExit::DISCONNECTED,
            "a CIB file can't do this, only a running cluster can",
        )
        .cure("unset CIB_file, and run it on a node of the cluster"))
    }

    fn live(&self) -> bool {
        false
    }
}

/// Change the content of a file that stays the same file: pcs gives the name of one that it holds open, and reads there
/// what came of it. The new content is beside it until it is in it, so that it is whole somewhere at any time.
fn store_in_place(path: &Path, text: &str) -> Result<(), Failure> {
    let Ok(mut file) = fs::OpenOptions::new().write(true).open(path) else {
        return store(path, text);
    };
    let beside = beside(path);
    store(&beside, text)?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.set_len(text.len() as u64))
        .and_then(|()| file.sync_all());
    match written {
        // What is left beside it can be read by nobody but us.
        Ok(()) => drop(fs::remove_file(&beside)),
        Err(error) => {
            return Err(Failure::new(
                Failure::from(std::io::Error::from(error.kind())).exit,
                format!("failed to write {}: {error}", path.display()),
            )
            .cure(format!("the new content is in {}", beside.display())));
        }
    }
    Ok(())
}

/// A new name in the same directory.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}", Uuid::new_v4()))
}

/// Replace a file at once: whoever reads it sees the old or the new one, whole.
pub(crate) fn store(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        let failure = Failure::from(error);
        Failure::new(
            failure.exit,
            format!("failed to write {}: {failure}", path.display()),
        )
    };
    let mode = fs::metadata(path).map_or(0o600, |data| data.permissions().mode() & 0o777);
    let beside = beside(path);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&beside)
        .map_err(failed)?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&beside, path));
    written.map_err(|error| {
        // The half-written file is of no use to anyone.
        let _ = fs::remove_file(&beside);
        failed(error)
    })
}

/// The daemon of this node.
pub fn daemon() -> Box<dyn Access> {
    Box::new(Daemon {
        socket: Paths::from_env().socket,
        client: Uuid::new_v4(),
        writes: 0,
        comment: String::new(),
    })
}

/// How long an answer may take; fencing by hand takes its time.
const PATIENCE: Duration = Duration::from_secs(120);

/// A daemon behind its socket.
#[derive(Debug)]
struct Daemon {
    socket: PathBuf,
    client: Uuid,
    writes: u64,
    comment: String,
}

impl Daemon {
    fn call(&self, request: &AdminRequest) -> Result<AdminAnswer, Failure> {
        let answer = rpc::call_blocking(&self.socket, request, PATIENCE)
            .map_err(|error| Failure::new(error.exit(), error.to_string()))?;
        match answer {
            AdminAnswer::Failed { exit, message } => Err(Failure::new(exit, message)),
            answer => Ok(answer),
        }
    }

    /// The same number again is applied once, so an answer that was lost may be asked for again.
    fn send(
        &mut self,
        request: impl Fn(Uuid, u64) -> AdminRequest,
    ) -> Result<AdminAnswer, Failure> {
        self.writes += 1;
        let request = request(self.client, self.writes);
        let mut left = 3;
        loop {
            match self.call(&request) {
                Err(failure) if failure.exit == CrmExit::INDETERMINATE && left > 0 => left -= 1,
                answer => return answer,
            }
        }
    }

    fn commented(&self, command: Command) -> Command {
        let mut command = command.at(clock::wall_s());
        if command.origin.comment.is_empty() {
            command.origin.comment.clone_from(&self.comment);
        }
        command
    }
}

fn query() -> AdminRequest {
    let command = Command::new(cib::Op::Query, cib::Target::Whole, None);
    AdminRequest::Query {
        local: false,
        command: Box::new(command),
    }
}

/// The CIB that the daemon sent.
fn read(answer: AdminAnswer) -> Result<Cib, Failure> {
    match answer {
        AdminAnswer::Xml(text) => Cib::parse(&text, &Limits::STORED).map_err(|error| {
            Failure::new(
                CrmExit::PROTOCOL,
                format!("the daemon's CIB can't be read: {error}"),
            )
        }),
        AdminAnswer::Failed { exit, message } => Err(Failure::new(exit, message)),
        other => Err(super::cmd::cluster::unexpected(&other)),
    }
}

impl Access for Daemon {
    fn cib(&mut self) -> Result<Cib, Failure> {
        read(self.call(&query())?)
    }

    fn whole(&mut self) -> Result<(Cib, Option<ClusterStatus>), Failure> {
        let requests = [query(), AdminRequest::Status];
        let answers = rpc::call_all_blocking(&self.socket, &requests, PATIENCE)
            .map_err(|error| Failure::new(error.exit(), error.to_string()))?;
        let [cib, status] = <[AdminAnswer; 2]>::try_from(answers)
            .unwrap_or_else(|_| unreachable!("two answers to two questions"));
        let status = match status {
            AdminAnswer::Status(status) => Some(*status),
            // Without a coordinator, or for a user who may only read, the CIB is still worth being shown.
            _ => None,
        };
        Ok((read(cib)?, status))
    }

    fn write(&mut self, command: Command) -> Result<Option<Element>, Failure> {
        let command = Box::new(self.commented(command));
        let answer = self.send(|client, seq| AdminRequest::Write {
            client,
            seq,
            command: command.clone(),
        })?;
        match answer {
            AdminAnswer::Written(answer) => match answer.outcome {
                Outcome::Failed(error) => Err(error.into()),
                Outcome::Refused { exit, message } => Err(Failure::new(exit, message)),
                Outcome::Done(element) => Ok(element),
                _ => Ok(None),
            },
            AdminAnswer::Xml(text) => crate::xml::parse(&text, &Limits::STORED)
                .map(Some)
                .map_err(|error| Failure::new(CrmExit::PROTOCOL, error.to_string())),
            AdminAnswer::Done => Ok(None),
            other => Err(super::cmd::cluster::unexpected(&other)),
        }
    }

    fn try_out(&mut self, command: Command, within_s: u64) -> Result<(), Failure> {
        let command = Box::new(self.commented(command));
        let answer = self.send(|client, seq| AdminRequest::Try {
            client,
            seq,
            command: command.clone(),
            within_s,
        })?;
        match answer {
            AdminAnswer::Written(answer) => match answer.outcome {
                Outcome::Failed(error) => Err(error.into()),
                Outcome::Refused { exit, message } => Err(Failure::new(exit, message)),
                _ => Ok(()),
            },
            other => Err(super::cmd::cluster::unexpected(&other)),
        }
    }

    fn comment_on(&mut self, text: &str) {
        text.clone_into(&mut self.comment);
    }

    fn ask(&mut self, request: AdminRequest) -> Result<AdminAnswer, Failure> {
        self.call(&request)
    }

    fn live(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cluster of which a user sees this.
    struct Seen(&'static str);

    impl Access for Seen {
        fn cib(&mut self) -> Result<Cib, Failure> {
            Ok(Cib::parse(self.0, &Limits::CIB).expect("a CIB"))
        }

        fn write(&mut self, _: Command) -> Result<Option<Element>, Failure> {
            unreachable!("nothing is written")
        }

        fn ask(&mut self, _: AdminRequest) -> Result<AdminAnswer, Failure> {
            unreachable!("nothing is asked")
        }

        fn live(&self) -> bool {
            true
        }
    }

    #[test]
    fn nothing_is_decided_from_a_part() {
        let whole = "<cib><configuration><crm_config/><nodes/><resources/><constraints/></configuration></cib>";
        assert!(Seen(whole).deciding().is_ok());
        let part = "<cib><configuration><nodes/><resources/></configuration></cib>";
        let failure = Seen(part).deciding().expect_err("a part");
        assert_eq!(failure.exit, CrmExit::INSUFFICIENT_PRIV);
        let named = failure.message.contains("(crm_config, constraints)");
        assert!(named, "{}", failure.message);
    }

    #[test]
    fn whoever_holds_the_file_open_reads_what_was_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("cib.xml");
        let long = format!("<cib>{}</cib>", " ".repeat(100));
        store_in_place(&path, &long).expect("a new file");
        let mut held = fs::File::open(&path).expect("it is there");
        store_in_place(&path, "<cib/>").expect("it can be written");
        let mut text = String::new();
        held.read_to_string(&mut text).expect("it can be read");
        assert_eq!(text, "<cib/>");
        let entries = fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(entries, 1, "nothing is left beside it");
    }
}
