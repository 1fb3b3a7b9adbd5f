//! What every daemon answers in the same way: reading and writing the CIB, members, tokens, history. The
//! daemon asks here first and answers the rest itself.

use std::sync::Arc;

use super::authorise::Grant;
use super::{
    AdminAnswer, AdminRequest, Caller, CertificateNote, ClusterStatus, Error, Keyring, NodeConfig,
    Peers, Token, TrialNote,
};
use crate::cib;
use crate::clock;
use crate::raft::{
    ClientWrite, ClusterChange, HistoryEntry, Member, MemberRole, Raft, State, TokenRecord,
};
use crate::terms::{CrmExit, NodeId, NodeName};
use crate::xml::write::compact;

/// The longest time for which a token can be used.
const TOKEN_S: u64 = 30 * 86_400;

/// What is needed to answer.
#[derive(Clone)]
pub struct Common {
    /// The replicated state.
    pub raft: Raft,
    /// Lines to the others.
    pub peers: Peers,
    /// This node.
    pub config: Arc<NodeConfig>,
    /// What it proves itself with.
    pub keys: Keyring,
}

impl Common {
    /// For a daemon with these parts.
    pub fn new(raft: Raft, peers: Peers, config: Arc<NodeConfig>, keys: Keyring) -> Self {
        Self {
            raft,
            peers,
            config,
            keys,
        }
    }

    /// SHA-256 of the certificate of the authority whose signature counts, as it stands in tokens.
    pub fn ca_fingerprint(&self) -> String {
        let state = self.raft.local();
        let signing = state.signing().map(|it| it.fingerprint.clone());
        signing.or_else(|| self.keys.issuer()).unwrap_or_default()
    }

    /// The answer; none for requests that only the daemon can answer.
    pub async fn answer(
        &self,
        caller: &Caller,
        grant: Grant,
        request: &AdminRequest,
    ) -> Option<AdminAnswer> {
        let answer = match request {
            AdminRequest::Query { local, command } => {
                self.query(caller, grant, *local, command).await
            }
            AdminRequest::Write {
                client,
                seq,
                command,
            } => {
                let mut command = command.clone();
                self.sign(caller, &mut command);
                if command.flags.dry_run || !command.op.writes() {
                    self.dry_run(&command).await
                } else {
                    let write = ClientWrite::cib(*client, *seq, *command);
                    self.raft
                        .write(write)
                        .await
                        .map(AdminAnswer::Written)
                        .map_err(Error::from)
                }
            }
            AdminRequest::Try {
                client,
                seq,
                command,
                within_s,
            } => {
                let mut command = command.clone();
                self.sign(caller, &mut command);
                let within_s = *within_s;
                let change = ClusterChange::Try { command, within_s };
                self.raft
                    .write(ClientWrite::cluster(*client, *seq, change))
                    .await
                    .map(AdminAnswer::Written)
                    .map_err(Error::from)
            }
            AdminRequest::EndTrial { keep, comment } => {
                self.end_trial(caller, *keep, comment).await
            }
            AdminRequest::Status => Ok(AdminAnswer::Status(Box::new(self.status()))),
            AdminRequest::Token {
                role,
                valid_s,
                remote,
            } => make_token(
                &self.raft,
                &self.ca_fingerprint(),
                (*role, remote.clone()),
                *valid_s,
            )
            .await
            .map(|token| AdminAnswer::Text(token.to_string())),
            AdminRequest::Remove { node } => self.remove(node).await,
            AdminRequest::SetRole { node, role } => match find(&self.raft.local(), node) {
                Ok(id) => {
                    self.change(ClusterChange::SetRole { id, role: *role })
                        .await
                }
                Err(e) => Err(e),
            },
            AdminRequest::TwoNode { on } => self.change(ClusterChange::TwoNode { on: *on }).await,
            AdminRequest::Log { last } => Ok(self.log(*last)),
            AdminRequest::Show { number } => self.show(*number),
            AdminRequest::About { ids } => Ok(self.about(ids)),
            AdminRequest::StepDown { node } => self.step_down(node.as_deref()).await,
            _ => return None,
        };
        Some(answer.unwrap_or_else(|e| AdminAnswer::failed(e.exit(), e.to_string())))
    }

    /// The user is who the kernel says it is; nothing that the tool claims counts.
    fn sign(&self, caller: &Caller, command: &mut cib::Command) {
        caller.user.clone_into(&mut command.origin.user);
        command.origin.uid = Some(caller.uid);
        if command.origin.node.is_empty() {
            self.config
                .name
                .as_str()
                .clone_into(&mut command.origin.node);
        }
        if command.time_s == 0 {
            command.time_s = clock::wall_s();
        }
        if let cib::Op::CommitTransaction(parts) = &mut command.op {
            for part in parts {
                self.sign(caller, part);
            }
        }
    }

    async fn state(&self, local: bool) -> Result<Arc<State>, Error> {
        Ok(if local {
            self.raft.local()
        } else {
            self.raft.barrier().await?
        })
    }

    async fn query(
        &self,
        caller: &Caller,
        grant: Grant,
        local: bool,
        command: &cib::Command,
    ) -> Result<AdminAnswer, Error> {
        let state = self.state(local).await?;
        let mut command = command.clone();
        if grant == Grant::Acl || !caller.user.is_empty() {
            caller.user.clone_into(&mut command.origin.user);
        }
        Ok(match cib::query(&state.cib, &command) {
            Ok(Some(element)) => AdminAnswer::Xml(compact(&element)),
            Ok(None) => AdminAnswer::Done,
            Err(e) => AdminAnswer::failed(e.exit(), e.to_string()),
        })
    }

    /// What would happen; answered with the CIB that would result.
    async fn dry_run(&self, command: &cib::Command) -> Result<AdminAnswer, Error> {
        let state = self.state(false).await?;
        let applied = cib::apply(&state.cib, command);
        Ok(match (applied.answer, applied.preview) {
            (Err(e), _) => AdminAnswer::failed(e.exit(), e.to_string()),
            (Ok(_), Some(preview)) => AdminAnswer::Xml(compact(preview.cib.root())),
            (Ok(Some(element)), None) => AdminAnswer::Xml(compact(&element)),
            (Ok(None), None) => AdminAnswer::Done,
        })
    }

    /// The cluster as this node sees it.
    pub fn status(&self) -> ClusterStatus {
        let state = self.raft.local();
        let leadership = *self.raft.leadership().borrow();
        ClusterStatus {
            name: state.name.clone(),
            uuid: state.uuid,
            me: self.raft.node(),
            remote: None,
            term: leadership.term,
            leader: leadership.leader,
            quorate: leadership.mine
                || leadership
                    .leader
                    .is_some_and(|leader| leader != self.raft.node()),
            index: state.index,
            members: state.members.values().cloned().collect(),
            paths: self.peers.paths(),
            links: self.peers.every_path(),
            certificates: certificates(&state),
            authorities: state.authorities.len().max(1),
            trial: state.trial.as_deref().map(TrialNote::of),
            more: serde_json::Value::Null,
        }
    }

    async fn change(&self, change: ClusterChange) -> Result<AdminAnswer, Error> {
        let answer = self.raft.change(change).await?;
        Ok(match answer.outcome.message() {
            None => AdminAnswer::Done,
            Some(message) => AdminAnswer::failed(answer.outcome.exit(), message),
        })
    }

    async fn remove(&self, node: &str) -> Result<AdminAnswer, Error> {
        let id = find(&*self.raft.barrier().await?, node)?;
        let now_s = clock::wall_s();
        self.change(ClusterChange::Remove { id, now_s }).await
    }

    fn log(&self, last: usize) -> AdminAnswer {
        let state = self.raft.local();
        let mut newest: Vec<_> = state
            .history
            .entries()
            .rev()
            .take(last)
            .map(|entry| {
                let mut entry = entry.as_ref().clone();
                (entry.configuration, entry.patch) = (None, None);
                entry
            })
            .collect();
        newest.reverse();
        AdminAnswer::History(newest)
    }

    fn show(&self, number: u64) -> Result<AdminAnswer, Error> {
        let state = self.raft.local();
        let entry = state.history.get(number).ok_or_else(|| Error::Refused {
            exit: CrmExit::NO_SUCH,
            message: format!("change {number} is not remembered: see `crm cib log`"),
        })?;
        Ok(AdminAnswer::History(vec![entry.as_ref().clone()]))
    }

    /// The newest change about each of these objects, where one is remembered.
    fn about(&self, ids: &[String]) -> AdminAnswer {
        let state = self.raft.local();
        let found = ids.iter().filter_map(|id| state.history.newest_about(id));
        let bare = |entry: &Arc<HistoryEntry>| HistoryEntry {
            patch: None,
            configuration: None,
            ..entry.as_ref().clone()
        };
        let mut entries: Vec<HistoryEntry> = found.map(bare).collect();
        entries.sort_by_key(|entry| entry.number);
        entries.dedup_by_key(|entry| entry.number);
        AdminAnswer::History(entries)
    }

    /// The change that waits to be confirmed stays, or is taken back now.
    async fn end_trial(
        &self,
        caller: &Caller,
        keep: bool,
        comment: &str,
    ) -> Result<AdminAnswer, Error> {
        let state = self.raft.barrier().await?;
        let Some(trial) = &state.trial else {
            return Err(Error::Refused {
                exit: CrmExit::NO_SUCH,
                message: "no change waits to be confirmed: `crm cib log` shows what was changed"
                    .into(),
            });
        };
        let comment = match (comment, keep) {
            ("", false) => format!("change {} taken back", trial.number),
            (comment, _) => comment.to_owned(),
        };
        let origin = cib::Origin {
            node: self.config.name.to_string(),
            client: "crm".into(),
            user: caller.user.clone(),
            uid: Some(caller.uid),
            comment,
            ..cib::Origin::default()
        };
        let change = ClusterChange::EndTrial {
            number: trial.number,
            keep,
            origin,
            now_s: clock::wall_s(),
        };
        self.change(change).await
    }

    async fn step_down(&self, node: Option<&str>) -> Result<AdminAnswer, Error> {
        let to = node
            .map(|node| find(&self.raft.local(), node))
            .transpose()?;
        let leader = self.raft.leadership().borrow().leader;
        match leader {
            Some(leader) if leader != self.raft.node() => {
                let request = super::PeerRequest::StepDown(to);
                let asked = self.peers.call(leader, &request).await;
                match asked.map_err(|e| Error::Refused {
                    exit: CrmExit::DISCONNECTED,
                    message: e.to_string(),
                })? {
                    super::PeerAnswer::Refused(message) => {
                        Ok(AdminAnswer::failed(CrmExit::ERROR, message))
                    }
                    _ => Ok(AdminAnswer::Done),
                }
            }
            _ => {
                self.raft.step_down(to).await?;
                Ok(AdminAnswer::Done)
            }
        }
    }
}

fn certificates(state: &State) -> Vec<CertificateNote> {
    let newest = state.authorities.last().map(|it| &it.fingerprint);
    let note = |(id, it): (&NodeId, &crate::raft::Credential)| CertificateNote {
        node: *id,
        generation: it.generation,
        until_s: it.until_s,
        outdated: newest.is_some_and(|newest| *newest != it.issuer),
    };
    state.credentials.iter().map(note).collect()
}

/// A member by name or id.
fn find(state: &State, node: &str) -> Result<NodeId, Error> {
    let by_id = || {
        node.parse()
            .ok()
            .filter(|id| state.members.contains_key(id))
    };
    let found = state
        .member_named(node)
        .map(|member| member.id)
        .or_else(by_id);
    found.ok_or_else(|| Error::Refused {
        exit: CrmExit::NO_SUCH,
        message: format!("no member is called `{node}`: see `crm cluster status`"),
    })
}

/// Hands out a token. Its secret is known to nobody but the one who gets it.
///
/// # Errors
/// Fails when it cannot be written down.
pub async fn make_token(
    raft: &Raft,
    ca_fingerprint: &str,
    (role, remote): (MemberRole, Option<NodeName>),
    valid_s: u64,
) -> Result<Token, Error> {
    let state = raft.barrier().await?;
    if let Some(name) = &remote {
        super::join::check_name(name)?;
        super::enrol::check_free(&state, name)?;
    }
    let secret = Token::draw_secret();
    let valid_s = i64::try_from(valid_s.min(TOKEN_S)).expect("a month fits");
    let expires_s = clock::wall_s() + valid_s;
    // Witnesses have no key to sign with.
    let signs = |member: &&Member| member.role.runs_resources();
    let addresses = state.members.values().filter(signs);
    let token = Token {
        cluster: state.uuid.ok_or(crate::raft::Error::NotJoined)?,
        ca_fingerprint: ca_fingerprint.into(),
        addresses: addresses
            .flat_map(|member| member.addresses.clone())
            .collect(),
        expires_s,
        secret,
    };
    let record = TokenRecord {
        hash: Token::hash(&token.secret),
        expires_s,
        role,
        used: None,
        remote,
    };
    let answer = raft.change(ClusterChange::AddToken(record)).await?;
    match answer.outcome.message() {
        None => Ok(token),
        Some(message) => Err(Error::Refused {
            exit: answer.outcome.exit(),
            message,
        }),
    }
}
