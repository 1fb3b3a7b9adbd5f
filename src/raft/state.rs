//! What the cluster has agreed on, and the one function that changes it. Everything here is computed
//! from the log alone: no clock, no randomness, nothing of the node on which it runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::addresses;
use super::credentials::{self, AuthorityRecord, Credential};
use super::history::{History, HistoryEntry};
use super::touched::Touched;
use super::trial::{Trial, WITHIN_S};
use super::two_node::permitted;
use super::vocab::{
    Answer, Body, Change, ClientWrite, ClusterChange, Member, MemberRole, Outcome, TokenRecord,
};
use crate::cib::{self, Cib, Command, Origin, Patch};
use crate::terms::{CrmExit, NodeId, NodeName, Term};
use crate::xml::{Element, Limits, write::compact};

/// Clients whose last answers are remembered.
const CLIENTS: usize = 2048;
/// Answers remembered per client; a retry comes within seconds.
const ANSWERS: usize = 64;
/// An answer's XML longer than this is not remembered: the retry learns that it was done.
const ANSWER_BYTES: usize = 16 << 10;
/// Unused tokens at one time.
const TOKENS: usize = 1000;

/// What the cluster has agreed on. A clone is cheap.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Place of the newest applied entry in the log.
    pub index: u64,
    /// Term of that entry.
    pub term: Term,
    /// Name of the cluster.
    pub name: String,
    /// Identity of the cluster; none before its founding is applied.
    pub uuid: Option<Uuid>,
    /// The CIB.
    pub cib: Cib,
    /// Who belongs to the cluster.
    pub members: Arc<BTreeMap<NodeId, Member>>,
    /// Ids from here on were never used.
    pub next_id: NodeId,
    /// Tokens by the hash of their secret.
    pub tokens: Arc<BTreeMap<String, TokenRecord>>,
    /// Who changed the configuration.
    pub history: Arc<History>,
    /// A change that waits to be confirmed.
    pub trial: Option<Arc<Trial>>,
    /// With two voters, one that has fenced the other goes on alone.
    pub two_node: bool,
    /// Which certificate each member shows.
    pub credentials: Arc<BTreeMap<NodeId, Credential>>,
    /// Whose signature makes a member, the newest last. Empty before the first one was replaced.
    pub authorities: Arc<Vec<AuthorityRecord>>,
}

impl State {
    /// The member of this name.
    pub fn member_named(&self, name: &str) -> Option<&Member> {
        self.members.values().find(|member| member.name == *name)
    }

    /// Was this node a member and is it none any more?
    pub fn was_removed(&self, id: NodeId) -> bool {
        id < self.next_id && !self.members.contains_key(&id)
    }
}

/// State as it is written into a snapshot.
#[derive(Serialize, Deserialize)]
struct Saved {
    format: u32,
    name: String,
    uuid: Option<Uuid>,
    cib: String,
    members: Vec<Member>,
    next_id: NodeId,
    tokens: Vec<TokenRecord>,
    history: Arc<History>,
    #[serde(default)]
    trial: Option<Arc<Trial>>,
    dedup: Dedup,
    #[serde(default)]
    two_node: bool,
    #[serde(default)]
    credentials: Vec<(NodeId, Credential)>,
    #[serde(default)]
    authorities: Vec<AuthorityRecord>,
}

/// Number of the layout of a snapshot; a newer one than ours is refused.
const FORMAT: u32 = 1;

/// The newest answers of each client.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Dedup {
    clients: BTreeMap<Uuid, Answered>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Answered {
    /// Index of its newest write: the client that was silent longest is forgotten first.
    newest: u64,
    answers: BTreeMap<u64, Answer>,
    /// Writes up to this number may have been applied and forgotten.
    floor: u64,
}

impl Dedup {
    fn seen(&self, write: &ClientWrite) -> Option<Answer> {
        let client = self.clients.get(&write.client)?;
        if let Some(answer) = client.answers.get(&write.seq) {
            return Some(answer.clone());
        }
        (write.seq <= client.floor).then(|| Answer {
            index: client.newest,
            outcome: refused(
                CrmExit::INDETERMINATE,
                format!(
                    "write {} of client {} is too old: whether it was applied is not remembered; \
                     look at the CIB before writing again",
                    write.seq, write.client
                ),
            ),
        })
    }

    fn remember(&mut self, write: &ClientWrite, answer: &Answer) {
        let client = self.clients.entry(write.client).or_default();
        client.newest = answer.index;
        let mut answer = answer.clone();
        if let Outcome::Done(xml) = &mut answer.outcome
            && xml
                .as_ref()
                .is_some_and(|xml| compact(xml).len() > ANSWER_BYTES)
        {
            *xml = None;
        }
        client.answers.insert(write.seq, answer);
        while client.answers.len() > ANSWERS
            && let Some((seq, _)) = client.answers.pop_first()
        {
            client.floor = client.floor.max(seq);
        }
        if self.clients.len() > CLIENTS {
            let oldest = self
                .clients
                .iter()
                .min_by_key(|(id, client)| (client.newest, **id));
            if let Some(oldest) = oldest.map(|(id, _)| *id) {
                self.clients.remove(&oldest);
            }
        }
    }
}

/// Applies one write. None of the change is visible before it is whole.
pub(crate) fn apply(
    state: &mut State,
    dedup: &mut Dedup,
    index: u64,
    term: Term,
    write: ClientWrite,
) -> (Answer, Option<Change>) {
    state.index = index;
    state.term = term;
    if let Some(answer) = dedup.seen(&write) {
        return (answer, None);
    }
    let before = state.cib.clone();
    let members = Arc::clone(&state.members);
    let (outcome, patch) = match &write.body {
        Body::Cib(command) => apply_cib(state, command),
        Body::Cluster(change) => apply_cluster(state, change),
    };
    let answer = Answer { index, outcome };
    dedup.remember(&write, &answer);
    let change = Change {
        index,
        before,
        after: state.cib.clone(),
        patch: patch.map(Arc::new),
        write: Some(Arc::new(write)),
        outcome: Some(answer.outcome.clone()),
        members_changed: !Arc::ptr_eq(&members, &state.members),
    };
    (answer, Some(change))
}

fn apply_cluster(state: &mut State, change: &ClusterChange) -> (Outcome, Option<Patch>) {
    let done = || (Outcome::Done(None), None);
    let refuse = |exit, message| (refused(exit, message), None);
    match change {
        ClusterChange::Found {
            name,
            uuid,
            member,
            now_s,
        } => {
            if state.uuid.is_some() {
                return refuse(CrmExit::EXISTS, "the cluster has been founded".into());
            }
            state.name.clone_from(name);
            state.uuid = Some(*uuid);
            add_member(state, member.clone(), *now_s)
        }
        ClusterChange::AddToken(token) => {
            if state.tokens.len() >= TOKENS {
                let message =
                    format!("{TOKENS} tokens are waiting: withdraw some or let them expire");
                return refuse(CrmExit::UNSATISFIED, message);
            }
            let now_s = token.expires_s;
            let tokens = Arc::make_mut(&mut state.tokens);
            // What expired a week before the new one ends is of no use for anyone's error message.
            tokens.retain(|_, old| old.expires_s + 7 * 86_400 > now_s);
            tokens.insert(token.hash.clone(), token.clone());
            done()
        }
        ClusterChange::DropToken { hash } => {
            if Arc::make_mut(&mut state.tokens).remove(hash).is_none() {
                let message = "there is no such token; it may have expired".into();
                return refuse(CrmExit::NO_SUCH, message);
            }
            done()
        }
        ClusterChange::Join {
            hash,
            now_s,
            name,
            addresses,
            key,
        } => join(state, hash, *now_s, name, addresses, key),
        ClusterChange::Enrol { hash, now_s, key } => enrol(state, hash, *now_s, key),
        ClusterChange::Remove { id, now_s } => remove(state, *id, *now_s),
        ClusterChange::SetRole { id, role } => {
            let voters = voters(state);
            let members = Arc::make_mut(&mut state.members);
            let Some(member) = members.get_mut(id) else {
                return refuse(CrmExit::NO_SUCH, no_member(*id));
            };
            if !role.votes() && member.role.votes() && voters == 1 {
                let message = format!("`{}` is the only voter: add another one first", member.name);
                return refuse(CrmExit::UNSAFE, message);
            }
            member.role = *role;
            done()
        }
        ClusterChange::TwoNode { on } => {
            if *on && let Err(why) = permitted(&state.cib, state.members.values()) {
                return refuse(CrmExit::UNSAFE, why);
            }
            state.two_node = *on;
            done()
        }
        ClusterChange::SetAddresses { id, addresses } => {
            if let Err(why) = addresses::fit(addresses, *id, &state.members) {
                return refuse(CrmExit::UNSATISFIED, why);
            }
            let Some(member) = Arc::make_mut(&mut state.members).get_mut(id) else {
                return refuse(CrmExit::NO_SUCH, no_member(*id));
            };
            member.addresses.clone_from(addresses);
            done()
        }
        ClusterChange::Keys(change) => match credentials::apply(state, change) {
            Ok(()) => done(),
            Err((exit, why)) => refuse(exit, why),
        },
        ClusterChange::Try { command, within_s } => try_out(state, command, *within_s),
        ClusterChange::EndTrial {
            number,
            keep,
            origin,
            now_s,
        } => end_trial(state, *number, *keep, origin, *now_s),
    }
}

/// One change of the cluster, for tests of those who ask for it.
#[cfg(test)]
pub(crate) fn apply_for_tests(state: &mut State, change: &ClusterChange) -> Outcome {
    apply_cluster(state, change).0
}

/// One trial at a time: what a second one would be taken back to is not known before the first has ended.
fn try_out(state: &mut State, command: &Command, within_s: u64) -> (Outcome, Option<Patch>) {
    let refuse = |exit, message| (refused(exit, message), None);
    if let Some(trial) = &state.trial {
        let message = format!(
            "change {} is still on trial: end it with `crm configure confirm` or `crm configure revert` first",
            trial.number
        );
        return refuse(CrmExit::EXISTS, message);
    }
    if !WITHIN_S.contains(&within_s) {
        let message = format!(
            "a change can be on trial for {} to {} seconds, not for {within_s}",
            WITHIN_S.start(),
            WITHIN_S.end()
        );
        return refuse(CrmExit::USAGE, message);
    }
    let before = state.cib.configuration().cloned();
    let number = state.history.newest();
    let (outcome, patch) = apply_cib(state, command);
    let changed = state.history.newest() > number;
    if let (true, Some(before), Some(after)) = (changed, before, state.cib.configuration()) {
        state.trial = Some(Arc::new(Trial {
            number: state.history.newest(),
            since_s: command.time_s,
            until_s: command.time_s + i64::try_from(within_s).expect("bounded above"),
            user: command.origin.user.clone(),
            node: command.origin.node.clone(),
            comment: command.origin.comment.clone(),
            before,
            after: after.clone(),
        }));
    }
    (outcome, patch)
}

fn end_trial(
    state: &mut State,
    number: u64,
    keep: bool,
    origin: &Origin,
    now_s: i64,
) -> (Outcome, Option<Patch>) {
    let Some(trial) = state.trial.clone().filter(|trial| trial.number == number) else {
        let message = format!(
            "change {number} is not on trial: it was confirmed or taken back already (`crm cib log` tells)"
        );
        return (refused(CrmExit::NO_SUCH, message), None);
    };
    // It ends whatever comes of it: a leader that tries again and again would help nobody.
    state.trial = None;
    if keep {
        return (Outcome::Done(None), None);
    }
    let mut last = (Outcome::Done(None), None);
    for command in trial.ways_back(&state.cib) {
        // Whoever began it could change all of this; who ends it need not be allowed to.
        let unbound = Origin {
            user: String::new(),
            ..origin.clone()
        };
        last = apply_for(state, &command.from(unbound).at(now_s), origin);
        if matches!(last.0, Outcome::Done(_)) {
            break;
        }
    }
    last
}

fn voters(state: &State) -> usize {
    state
        .members
        .values()
        .filter(|member| member.role.votes())
        .count()
}

const NEW_TOKEN: &str = "make a new one with `systole token` on a member";

fn no_member(id: NodeId) -> String {
    format!("no member has the id {id}: see `crm cluster status`")
}

fn join(
    state: &mut State,
    hash: &str,
    now_s: i64,
    name: &NodeName,
    addresses: &[std::net::SocketAddr],
    key: &str,
) -> (Outcome, Option<Patch>) {
    let refuse = |exit, message| (refused(exit, message), None);
    let Some(token) = state.tokens.get(hash) else {
        let message = format!("this cluster does not know the token: {NEW_TOKEN}");
        return refuse(CrmExit::INSUFFICIENT_PRIV, message);
    };
    match &token.used {
        Some((by, id)) if by == key && state.members.contains_key(id) => {
            // The same node asks again because it did not get the answer.
            return (Outcome::Joined { id: *id }, None);
        }
        Some((_, id)) => {
            let message = format!("the token was used by node {id}: {NEW_TOKEN}");
            return refuse(CrmExit::INSUFFICIENT_PRIV, message);
        }
        None if token.expires_s <= now_s => {
            let ago = now_s - token.expires_s;
            let message = format!("the token expired {ago} s ago: {NEW_TOKEN}");
            return refuse(CrmExit::EXPIRED, message);
        }
        None => {}
    }
    if let Some(remote) = &token.remote {
        let message = format!(
            "the token is for the remote node `{remote}`, not for a member: use it with `systole remote join`"
        );
        return refuse(CrmExit::USAGE, message);
    }
    if let Some(other) = state.member_named(name.as_str()) {
        let message = format!(
            "a member called `{name}` exists already (id {}): give another name, \
             or remove the old one with `crm cluster remove {name}`",
            other.id
        );
        return refuse(CrmExit::EXISTS, message);
    }
    let id = state.next_id;
    let member = Member {
        id,
        name: name.clone(),
        addresses: addresses.to_vec(),
        role: token.role,
        key: key.into(),
    };
    if state.two_node
        && member.role.votes()
        && voters(state) == 1
        && let Err(why) = permitted(&state.cib, state.members.values().chain([&member]))
    {
        let message = format!("`{name}` can't be the second voter in two-node mode: {why}");
        return refuse(CrmExit::UNSAFE, message);
    }
    if let Some(token) = Arc::make_mut(&mut state.tokens).get_mut(hash) {
        token.used = Some((key.into(), id));
    }
    let (_, patch) = add_member(state, member, now_s);
    (Outcome::Joined { id }, patch)
}

/// A token for a remote node is used up. Nothing of the node is remembered here: it is a resource of the CIB.
fn enrol(state: &mut State, hash: &str, now_s: i64, key: &str) -> (Outcome, Option<Patch>) {
    let refuse = |exit, message| (refused(exit, message), None);
    let Some(token) = state.tokens.get(hash) else {
        let message = format!("this cluster does not know the token: {NEW_TOKEN}");
        return refuse(CrmExit::INSUFFICIENT_PRIV, message);
    };
    match (&token.used, &token.remote) {
        (_, None) => {
            let message = "the token is for a member: use it with `systole join`, or make one with `systole token --remote NAME`";
            return refuse(CrmExit::USAGE, message.into());
        }
        (Some((by, _)), _) if by == key => return (Outcome::Done(None), None),
        (Some(_), Some(name)) => {
            let message =
                format!("the token for `{name}` was used by another machine: {NEW_TOKEN}");
            return refuse(CrmExit::INSUFFICIENT_PRIV, message);
        }
        (None, _) if token.expires_s <= now_s => {
            let ago = now_s - token.expires_s;
            let message = format!("the token expired {ago} s ago: {NEW_TOKEN}");
            return refuse(CrmExit::EXPIRED, message);
        }
        (None, Some(_)) => {}
    }
    if let Some(token) = Arc::make_mut(&mut state.tokens).get_mut(hash) {
        token.used = Some((key.into(), NodeId(0)));
    }
    (Outcome::Done(None), None)
}

/// A new member also gets its entry in the CIB, unless it is a witness.
fn add_member(state: &mut State, member: Member, now_s: i64) -> (Outcome, Option<Patch>) {
    state.next_id = state.next_id.max(NodeId(member.id.0 + 1));
    let command =
        (member.role != MemberRole::Witness).then(|| node_entry(&state.cib, &member, now_s));
    Arc::make_mut(&mut state.members).insert(member.id, member);
    match command {
        Some(command) => apply_cib(state, &command),
        None => (Outcome::Done(None), None),
    }
}

fn remove(state: &mut State, id: NodeId, now_s: i64) -> (Outcome, Option<Patch>) {
    let Some(member) = state.members.get(&id) else {
        return (refused(CrmExit::NO_SUCH, no_member(id)), None);
    };
    if member.role.votes() && voters(state) == 1 {
        let message = format!(
            "`{}` is the last voter of this cluster: to end the cluster, stop it and delete its data",
            member.name
        );
        return (refused(CrmExit::UNSAFE, message), None);
    }
    let node = Element::new("node").with("id", id.to_string());
    let node_state = Element::new("node_state").with("id", id.to_string());
    let commands = vec![
        Command::delete("nodes", node),
        Command::delete("status", node_state),
    ];
    let comment = format!("node {} removed", member.name);
    let command = ours(Command::transaction(commands), comment, now_s);
    Arc::make_mut(&mut state.members).remove(&id);
    Arc::make_mut(&mut state.credentials).remove(&id);
    apply_cib(state, &command)
}

/// The entry of a new member in the CIB. One of the same name with another id is taken over, so that what
/// was configured for the name holds for the new machine.
fn node_entry(cib: &Cib, member: &Member, now_s: i64) -> Command {
    let id = member.id.to_string();
    let nodes = cib.section("nodes").into_iter().flat_map(Element::children);
    let same: Vec<&Element> = nodes
        .filter(|node| node.get("uname") == Some(member.name.as_str()) && node.id() != Some(&id))
        .collect();
    let entry = same
        .first()
        .map_or_else(|| Element::new("node"), |node| (*node).clone());
    let entry = entry.with("id", &id).with("uname", member.name.as_str());
    let drop = |node: &&Element| Command::delete("nodes", node.without_children());
    let mut commands: Vec<Command> = same.iter().map(drop).collect();
    commands.push(Command::modify("nodes", entry).or_create());
    let comment = format!("node {} joined", member.name);
    ours(Command::transaction(commands), comment, now_s)
}

fn ours(command: Command, comment: String, now_s: i64) -> Command {
    let origin = Origin {
        client: "systole".into(),
        comment,
        ..Origin::default()
    };
    command.from(origin).at(now_s)
}

fn apply_cib(state: &mut State, command: &Command) -> (Outcome, Option<Patch>) {
    apply_for(state, command, &command.origin)
}

/// The same, remembered as the work of `origin`.
fn apply_for(state: &mut State, command: &Command, origin: &Origin) -> (Outcome, Option<Patch>) {
    let applied = cib::apply(&state.cib, command);
    let outcome = match applied.answer {
        Ok(output) => Outcome::Done(output),
        Err(error) => Outcome::Failed(error),
    };
    let patch = applied.patch;
    state.cib = applied.cib;
    if let Some(patch) = patch.as_ref().filter(|patch| patch.configuration_changed()) {
        let configuration = state
            .cib
            .configuration()
            .map(|element| compact(element).into());
        let entry = HistoryEntry {
            number: 0,
            index: state.index,
            time_s: command.time_s,
            node: origin.node.clone(),
            client: origin.client.clone(),
            user: origin.user.clone(),
            uid: origin.uid,
            comment: origin.comment.clone(),
            version: state.cib.version().to_string(),
            objects: Touched::of(patch),
            patch: Some(compact(&patch.to_element()).into()),
            configuration,
        };
        Arc::make_mut(&mut state.history).add(entry);
    }
    (outcome, patch)
}

fn refused(exit: CrmExit, message: String) -> Outcome {
    Outcome::Refused { exit, message }
}

/// The whole state as bytes, for a snapshot.
pub(crate) fn save(state: &State, dedup: &Dedup) -> Vec<u8> {
    let saved = Saved {
        format: FORMAT,
        name: state.name.clone(),
        uuid: state.uuid,
        cib: compact(state.cib.root()),
        members: state.members.values().cloned().collect(),
        next_id: state.next_id,
        tokens: state.tokens.values().cloned().collect(),
        history: Arc::clone(&state.history),
        trial: state.trial.clone(),
        dedup: dedup.clone(),
        two_node: state.two_node,
        credentials: state
            .credentials
            .iter()
            .map(|(id, it)| (*id, it.clone()))
            .collect(),
        authorities: state.authorities.to_vec(),
    };
    let content = serde_json::to_vec(&saved).expect("our own types have no map with odd keys");
    super::checked::seal("snapshot", &content)
}

/// The state from a snapshot, or what is wrong with it. Index and term are not part of it.
pub(crate) fn restore(bytes: &[u8]) -> Result<(State, Dedup), String> {
    let content = super::checked::unseal("snapshot", bytes)?;
    let saved: Saved = serde_json::from_slice(content).map_err(|e| e.to_string())?;
    if saved.format > FORMAT {
        return Err(format!(
            "it was written by a newer version (format {}, we know {FORMAT}): upgrade this node",
            saved.format
        ));
    }
    let state = State {
        index: 0,
        term: Term::default(),
        name: saved.name,
        uuid: saved.uuid,
        cib: Cib::parse(&saved.cib, &Limits::STORED).map_err(|e| e.to_string())?,
        members: Arc::new(saved.members.into_iter().map(|m| (m.id, m)).collect()),
        next_id: saved.next_id,
        tokens: Arc::new(
            saved
                .tokens
                .into_iter()
                .map(|t| (t.hash.clone(), t))
                .collect(),
        ),
        history: saved.history,
        trial: saved.trial,
        two_node: saved.two_node,
        credentials: Arc::new(saved.credentials.into_iter().collect()),
        authorities: Arc::new(saved.authorities),
    };
    Ok((state, saved.dedup))
}
