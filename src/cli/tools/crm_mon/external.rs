//! `--external-agent`: a program that is called for every operation that ends, as long as `crm_mon` runs. Alerts in the CIB
//! do the same without it; who has an agent of this kind can keep it.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::{
    cib::{
        Cib,
        status::history::{self, Entry},
    },
    cli::show::Fencing,
    fencer::{Record, State},
    process::{self, How, Spec},
    terms::{CrmExit, ExecStatus, OcfExit},
};

/// How long the program may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The exit status and the execution status of an operation that is under way.
const PENDING: i32 = -1;

/// Looks at one history after the other.
#[derive(Debug)]
pub(super) struct Watch {
    program: String,
    recipient: String,
    /// Fencing, and not operations of resources.
    fencing_only: bool,
    /// What was there at the last look; none before the first.
    seen: Option<BTreeSet<String>>,
}

impl Watch {
    /// Nothing is called for what is there at the first look.
    pub(super) fn new(program: &str, recipient: &str, fencing_only: bool) -> Self {
        Watch {
            program: program.to_owned(),
            recipient: recipient.to_owned(),
            fencing_only,
            seen: None,
        }
    }

    /// Calls the program for what is new since the last look; says what went wrong with it.
    pub(super) fn look(&mut self, cib: &Cib, fencing: &Fencing) -> std::io::Result<Vec<String>> {
        let mut wrong = Vec::new();
        if self.fencing_only {
            for record in self.fenced(fencing) {
                wrong.extend(self.call_for_fencing(&record)?);
            }
            return Ok(wrong);
        }
        for (node, entry) in self.news(cib) {
            wrong.extend(self.call(&node, &entry)?);
        }
        Ok(wrong)
    }

    /// Fencing that ended since the last look.
    fn fenced(&mut self, fencing: &Fencing) -> Vec<Record> {
        let (mut now, mut news) = (BTreeSet::new(), Vec::new());
        let ended = fencing.records().iter();
        for record in ended.filter(|record| matches!(record.state, State::Done | State::Failed)) {
            let mark = format!("{:?} {:?}", record.op, record.state);
            let known = self.seen.as_ref().is_none_or(|seen| seen.contains(&mark));
            if now.insert(mark) && !known {
                news.push(record.clone());
            }
        }
        self.seen = Some(now);
        // The newest is the first in the history.
        news.reverse();
        news
    }

    fn call_for_fencing(&self, record: &Record) -> std::io::Result<Option<String>> {
        let done = record.state == State::Done;
        let by = record.delegate.as_deref().unwrap_or("nobody");
        let how = match &record.reason {
            Some(reason) if !done => reason.as_str(),
            _ if done => CrmExit::OK.text(),
            _ => CrmExit::ERROR.text(),
        };
        let (action, target) = (record.action, &record.target);
        let desc = format!(
            "Operation {action} of {target} by {by} for {}@{}: {how}",
            record.client, record.origin
        );
        let rc = if done { CrmExit::OK } else { CrmExit::ERROR };
        self.run(
            Spec::new(&self.program)
                .env("CRM_notify_node", target.as_str())
                .env("CRM_notify_task", action.as_str())
                .env("CRM_notify_desc", desc)
                .env("CRM_notify_rc", rc.0.to_string()),
        )
    }

    /// Operations that ended since the last look.
    fn news(&mut self, cib: &Cib) -> Vec<(String, Entry)> {
        let (mut now, mut news) = (BTreeSet::new(), Vec::new());
        let states = cib.status().into_iter().flat_map(|s| s.children());
        for state in states.filter(|state| state.is("node_state")) {
            let id = state.id().unwrap_or_default();
            let node = state.get("uname").unwrap_or(id);
            for entry in history::of_node(cib, id) {
                if entry.status == PENDING {
                    continue;
                }
                let mark = format!(
                    "{id} {} {} {} {} {:?}",
                    entry.op, entry.call_id, entry.rc, entry.status, entry.last_rc_change_s
                );
                // The last failure stands there twice until something else is the last of its kind.
                let known = self.seen.as_ref().is_none_or(|seen| seen.contains(&mark));
                if now.insert(mark) && !known {
                    news.push((node.to_owned(), entry));
                }
            }
        }
        self.seen = Some(now);
        news
    }

    fn call(&self, node: &str, entry: &Entry) -> std::io::Result<Option<String>> {
        let target_rc = entry.key.target_rc;
        let done = entry.status == ExecStatus::Done.code();
        if done && entry.rc == target_rc && entry.rc == OcfExit::NOT_RUNNING.0 {
            // A probe found nothing, as was expected.
            return Ok(None);
        }
        let desc = match (done, entry.rc == target_rc) {
            (true, true) => OcfExit::OK.text().to_owned(),
            (true, false) => OcfExit(entry.rc).text().to_owned(),
            (false, _) => ExecStatus::from_code(entry.status).map_or_else(
                || entry.status.to_string(),
                |status| status.text().to_owned(),
            ),
        };
        self.run(
            Spec::new(&self.program)
                .env("CRM_notify_node", node)
                .env("CRM_notify_rsc", entry.op.rsc.as_str())
                .env("CRM_notify_task", &entry.op.task)
                .env("CRM_notify_desc", desc)
                .env("CRM_notify_rc", entry.rc.to_string())
                .env("CRM_notify_target_rc", target_rc.to_string())
                .env("CRM_notify_status", entry.status.to_string()),
        )
    }

    fn run(&self, spec: Spec) -> std::io::Result<Option<String>> {
        let spec = spec
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("CRM_notify_recipient", &self.recipient)
            .timeout(PATIENCE);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let ended = runtime.block_on(process::run(spec, std::future::pending()));
        let program = &self.program;
        Ok(match ended.how {
            How::Exited(0) => None,
            How::Exited(code) => Some(format!("{program} ended with {code}")),
            How::CannotExec(_, why) => Some(format!("failed to run {program}: {why}")),
            other => Some(format!("{program} was ended: {other:?}")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fencer::{Action, OpId};
    use crate::xml::Limits;

    fn cib(ops: &str) -> Cib {
        let text = format!(
            "<cib><configuration/><status><node_state id=\"1\" uname=\"n1\"><lrm id=\"1\"><lrm_resources>\
             <lrm_resource id=\"d\">{ops}</lrm_resource></lrm_resources></lrm></node_state></status></cib>"
        );
        Cib::parse(text.as_bytes(), &Limits::CIB).expect("a CIB")
    }

    fn op(id: &str, task: &str, call: i64, rc: i32, status: i32) -> String {
        format!(
            "<lrm_rsc_op id=\"{id}\" operation=\"{task}\" interval=\"0\" call-id=\"{call}\" rc-code=\"{rc}\" \
             op-status=\"{status}\" transition-key=\"1:1:0:u\"/>"
        )
    }

    #[test]
    fn every_end_is_news_once() {
        let mut watch = Watch::new("/bin/true", "me", false);
        let start = op("d_last_0", "start", 3, 0, 0);
        assert!(watch.news(&cib(&start)).is_empty(), "it was there before");
        assert!(
            watch
                .news(&cib(&op("d_last_0", "stop", -1, 193, -1)))
                .is_empty()
        );
        let failed = op("d_last_0", "stop", 4, 1, 0) + &op("d_last_failure_0", "stop", 4, 1, 0);
        let news = watch.news(&cib(&failed));
        assert_eq!(news.len(), 1);
        assert_eq!(
            (news[0].0.as_str(), news[0].1.op.to_string().as_str()),
            ("n1", "d_stop_0")
        );
        assert!(watch.news(&cib(&failed)).is_empty());
    }

    #[test]
    fn the_program_is_told_what_ended() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let (program, told) = (folder.path().join("agent"), folder.path().join("told"));
        let text = format!(
            "#!/bin/sh\nenv | grep ^CRM_notify | sort > {}\n",
            told.display()
        );
        std::fs::write(&program, text).expect("a file");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("ours");
        let mut watch = Watch::new(&program.display().to_string(), "me", false);
        let fencing = Fencing::default();
        watch.look(&cib(""), &fencing).expect("nothing is new");
        let wrong = watch.look(&cib(&op("d_last_0", "start", 3, 1, 0)), &fencing);
        assert_eq!(wrong.expect("it can be run"), Vec::<String>::new());
        let told = std::fs::read_to_string(told).expect("it was called");
        for line in [
            "CRM_notify_node=n1",
            "CRM_notify_rc=1",
            "CRM_notify_rsc=d",
            "CRM_notify_task=start",
        ] {
            assert!(told.lines().any(|have| have == line), "{line}: {told}");
        }
    }

    #[test]
    fn fencing_is_told_instead_when_only_that_is_watched() {
        let record = |number: u64, state: State| Record {
            op: OpId {
                owner: "n1".into(),
                incarnation: 1,
                number,
            },
            target: "n2".into(),
            action: Action::Reboot,
            origin: "n1".into(),
            client: "pacemaker-controld".into(),
            delegate: Some("n1".into()),
            completed_ms: i64::try_from(number).ok(),
            state,
            reason: None,
        };
        let mut watch = Watch::new("/bin/true", "me", true);
        let old = vec![record(1, State::Done)];
        assert!(watch.fenced(&Fencing::new(old.clone())).is_empty());
        let mut now = old;
        now.extend([record(2, State::Executing), record(3, State::Failed)]);
        let news = watch.fenced(&Fencing::new(now.clone()));
        assert_eq!(news, [record(3, State::Failed)]);
        now[1].state = State::Done;
        assert_eq!(watch.fenced(&Fencing::new(now)), [record(2, State::Done)]);
    }
}
