//! What this node adds to a report about the whole cluster: its own `crm_report` collects it into a file that has no name
//! any more when it is read. A tool fetches it in pieces, over whatever member it is connected to.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;

use super::service::{Failure, Service};
use crate::process::{self, How, Spec};
use crate::rpc::{
    PART, PartAnswer, PartAsk, PartRequest, PartWanted, Paths, PeerAnswer, PeerRequest,
};
use crate::terms::CrmExit;

/// Parts at one time. Each is a program that runs, and a file.
const MOST: usize = 2;
/// How long it may take to collect one.
const PATIENCE: Duration = Duration::from_secs(300);
/// For how long one is kept for somebody who does not fetch it.
const KEPT: Duration = Duration::from_secs(300);
/// Bytes of a piece. A message of raft may have to wait until one is through.
const PIECE: usize = 256 << 10;
/// Another node answers such a question at once.
const ANSWER: Duration = Duration::from_secs(10);
/// How the files begin, while they have a name.
const NAME: &str = "report-";

/// The parts that are being collected or fetched.
#[derive(Clone)]
pub(super) struct Parts {
    paths: Paths,
    all: Arc<Mutex<BTreeMap<Uuid, Part>>>,
}

enum Part {
    Collecting,
    Done(Arc<File>, u64),
    Failed(String),
}

impl Parts {
    /// None yet. What a daemon before this one was collecting when it died is removed.
    pub(super) fn new(paths: Paths) -> Self {
        for entry in std::fs::read_dir(&paths.data)
            .into_iter()
            .flatten()
            .flatten()
        {
            if entry.file_name().to_string_lossy().starts_with(NAME) {
                // At worst it stays, and is looked at again at the next start.
                let _ = std::fs::remove_file(entry.path());
            }
        }
        let all = Arc::default();
        Self { paths, all }
    }

    /// What this node answers.
    pub(super) fn answer(&self, ask: PartAsk) -> PartAnswer {
        match ask {
            PartAsk::Collect(wanted) => self.collect(&wanted),
            PartAsk::Read { part, offset } => self.read(part, offset),
        }
    }

    fn collect(&self, wanted: &PartWanted) -> PartAnswer {
        let number = Uuid::new_v4();
        {
            let mut all = self.all.lock().expect("no panic while held");
            if all.len() >= MOST {
                return PartAnswer::Failed(format!(
                    "{MOST} reports are being collected there: try again in a few minutes"
                ));
            }
            all.insert(number, Part::Collecting);
        }
        let (parts, words) = (self.clone(), wanted.words());
        tokio::spawn(async move {
            let part = match parts.run(number, words).await {
                Ok((file, length)) => Part::Done(Arc::new(file), length),
                Err(why) => Part::Failed(why),
            };
            parts.put(number, Some(part));
            tokio::time::sleep(KEPT).await;
            parts.put(number, None);
        });
        PartAnswer::Begun(number)
    }

    fn put(&self, number: Uuid, part: Option<Part>) {
        let mut all = self.all.lock().expect("no panic while held");
        match part {
            Some(part) => all.insert(number, part),
            None => all.remove(&number),
        };
    }

    async fn run(&self, number: Uuid, words: Vec<String>) -> Result<(File, u64), String> {
        let dest = self.paths.data.join(format!("{NAME}{number}.tar.bz2"));
        let spec = self.spec(&dest, words);
        let ended = process::run(spec, std::future::pending()).await;
        let opened = File::open(&dest).and_then(|file| Ok((file.metadata()?.len(), file)));
        // Whoever fetches it has it open; nobody else needs to see it.
        let _ = std::fs::remove_file(&dest);
        match (ended.how, opened) {
            (How::Exited(0), Ok((length, file))) => Ok((file, length)),
            (How::Exited(0), Err(e)) => Err(format!("its report is gone: {e}")),
            (How::TimedOut, _) => Err(format!("not collected within {} s", PATIENCE.as_secs())),
            (How::CannotExec(_, why), _) => Err(why),
            (How::Exited(_), _) => Err(ended.stderr.text().trim().to_owned()),
            (how, _) => Err(format!("crm_report ended: {how:?}")),
        }
    }

    fn spec(&self, dest: &Path, words: Vec<String>) -> Spec {
        // Found also after its file was replaced by a newer one.
        let program = PathBuf::from("/proc/self/exe");
        let mut spec = words.into_iter().fold(Spec::new(program), Spec::arg);
        spec = spec.arg("--dest").arg(dest).timeout(PATIENCE);
        spec.called = Some("crm_report".into());
        spec = spec.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        if self.paths != Paths::new(None) {
            spec = spec.env("SYSTOLE_DIR", &self.paths.data);
        }
        spec
    }

    fn read(&self, number: Uuid, offset: u64) -> PartAnswer {
        let file = match self.all.lock().expect("no panic while held").get(&number) {
            None => {
                let kept = KEPT.as_secs();
                let why = format!("it was fetched already, or not within {kept} s");
                return PartAnswer::Failed(why);
            }
            Some(Part::Collecting) => return PartAnswer::Collecting,
            Some(Part::Failed(why)) => Err(why.clone()),
            Some(Part::Done(file, length)) => Ok((Arc::clone(file), *length)),
        };
        let answer = file.and_then(|(file, of)| {
            let mut bytes = vec![0; PIECE];
            let read = file.read_at(&mut bytes, offset);
            let read = read.map_err(|e| format!("its report can't be read: {e}"))?;
            let bytes = STANDARD.encode(&bytes[..read]);
            Ok(PartAnswer::Piece { bytes, of })
        });
        match answer {
            Ok(PartAnswer::Piece { bytes, of }) if !bytes.is_empty() => {
                PartAnswer::Piece { bytes, of }
            }
            // The end of it, or what nobody can make better by asking again.
            end => {
                self.put(number, None);
                end.unwrap_or_else(PartAnswer::Failed)
            }
        }
    }
}

/// What a tool asks: of this node, or of another one.
pub(super) async fn ask(
    service: &Service,
    body: serde_json::Value,
) -> Result<serde_json::Value, Failure> {
    let unread = |e: serde_json::Error| (CrmExit::USAGE, e.to_string());
    let request: PartRequest = serde_json::from_value(body).map_err(unread)?;
    let id = service.member(&request.node)?;
    if id == service.me {
        return serde_json::to_value(service.parts.answer(request.ask)).map_err(unread);
    }
    let body = serde_json::to_value(request.ask).map_err(unread)?;
    let call = PeerRequest::Call(PART.into(), body);
    let lost = |why: String| (CrmExit::DISCONNECTED, why);
    match tokio::time::timeout(ANSWER, service.peers.call(id, &call)).await {
        Err(_) => Err(lost(format!("no answer within {} s", ANSWER.as_secs()))),
        Ok(Err(e)) => Err(lost(e.to_string())),
        Ok(Ok(PeerAnswer::Json(value))) => Ok(value),
        Ok(Ok(PeerAnswer::Refused(why))) => Err(lost(why)),
        Ok(Ok(_)) => Err(lost("its answer is not to what was asked".into())),
    }
}
