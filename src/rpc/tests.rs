//! Real TLS on loopback: founding, joining by token, writing through each node, certificates of others.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::join::Doorkeeper;
use super::*;
use crate::cib::{Cib, Command};
use crate::clock;
use crate::raft::{MemberRole, Raft, TransportError};
use crate::terms::NodeName;
use crate::xml::Element;

/// A daemon with nothing but this room and raft.
struct Node {
    raft: Raft,
    peers: Peers,
    common: Arc<Common>,
    paths: Paths,
    _doors: (Listening, Listening),
    _dir: Arc<TempDir>,
}

struct Service(Arc<Common>, std::sync::atomic::AtomicU64);

#[async_trait::async_trait]
impl PeerService for Service {
    async fn peer(&self, from: NodeId, request: PeerRequest) -> PeerAnswer {
        match request {
            PeerRequest::StepDown(to) => match self.0.raft.step_down(to).await {
                Ok(()) => PeerAnswer::Done,
                Err(e) => PeerAnswer::Refused(e.to_string()),
            },
            PeerRequest::Call(name, _) if name == "count" => {
                let before = self.1.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                PeerAnswer::Json((before + 1).into())
            }
            _ => PeerAnswer::Json(serde_json::json!({ "from": from })),
        }
    }
}

#[async_trait::async_trait]
impl AdminService for Service {
    fn cib(&self) -> Cib {
        self.0.raft.local().cib.clone()
    }

    async fn admin(&self, caller: Caller, grant: Grant, request: AdminRequest) -> AdminAnswer {
        let answer = self.0.answer(&caller, grant, &request).await;
        answer.unwrap_or(AdminAnswer::Text(caller.user))
    }

    async fn subscribe(&self, _: Caller, _: Grant) -> mpsc::Receiver<ChangeNotice> {
        let mut changes = self.0.raft.subscribe();
        let (tx, rx) = mpsc::channel(8);
        tokio::spawn(async move {
            while let Ok(Some(change)) = changes.next().await {
                let notice = ChangeNotice {
                    index: change.index,
                    version: change.after.version().to_string(),
                    patch: None,
                };
                if tx.send(notice).await.is_err() {
                    return;
                }
            }
        });
        rx
    }
}

fn free_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
    listener.local_addr().expect("bound")
}

fn directory() -> (Arc<TempDir>, Paths) {
    let dir = TempDir::new().expect("a temporary directory");
    let paths = Paths::new(Some(dir.path().join("node")));
    (Arc::new(dir), paths)
}

async fn start(dir: Arc<TempDir>, paths: Paths) -> Node {
    let config = Arc::new(NodeConfig::load(&paths).expect("written by init or join"));
    let keys = Keyring::load(&paths, config.cluster, config.node).expect("fit");
    let peers = Peers::new(keys.clone());
    let raft = Raft::start(config.raft(&paths), Arc::new(peers.clone()))
        .await
        .expect("starts");
    let common = Common::new(
        raft.clone(),
        peers.clone(),
        Arc::clone(&config),
        keys.clone(),
    );
    let common = Arc::new(common);
    let joins = Doorkeeper::load(&paths, config.cluster).expect("readable");
    let service = Arc::new(Service(Arc::clone(&common), 0.into()));
    let door = serve_peers(
        tokio::sync::watch::channel(config.addresses.clone()).1,
        &keys,
        raft.clone(),
        joins,
        service.clone(),
    )
    .await;
    let tools = serve_tools(&paths.socket, &config.admin_group, service).await;
    Node {
        raft,
        peers,
        common,
        paths,
        _doors: (door.expect("listens"), tools.expect("listens")),
        _dir: dir,
    }
}

async fn founded() -> Node {
    let (dir, paths) = directory();
    let founding = Founding {
        cluster_name: "demo".into(),
        name: "n1".into(),
        addresses: vec![free_address()],
        lease_addresses: Vec::new(),
    };
    init(&paths, founding.clone()).expect("made");
    let again = init(&paths, founding).expect_err("is a member").to_string();
    assert!(
        again.contains("already node 1 of cluster `demo`"),
        "{again}"
    );
    let node = start(dir, paths).await;
    until("founded", || node.raft.local().uuid.is_some()).await;
    node
}

async fn token(node: &Node, role: MemberRole) -> Token {
    make_token(&node.raft, &node.common.ca_fingerprint(), (role, None), 60)
        .await
        .expect("handed out")
}

fn joining(token: Token, name: &str) -> Joining {
    Joining {
        token,
        name: NodeName::from(name),
        addresses: vec![free_address()],
        lease_addresses: Vec::new(),
    }
}

async fn joined(member: &Node, name: &str, role: MemberRole) -> Node {
    let (dir, paths) = directory();
    let token = token(member, role).await;
    // As it goes from one terminal to the other.
    let token = token.to_string().parse().expect("the same");
    join(&paths, joining(token, name)).await.expect("let in");
    let node = start(dir, paths).await;
    until("it knows itself", || {
        node.raft.local().member_named(name).is_some()
    })
    .await;
    node
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(15);
    while !done() {
        assert!(Instant::now() < deadline, "{what}: not within 15 s");
        sleep(Duration::from_millis(5)).await;
    }
}

fn set(id: &str, value: &str) -> Command {
    let pair = Element::new("nvpair")
        .with("id", id)
        .with("name", id)
        .with("value", value);
    let set = Element::new("cluster_property_set")
        .with("id", "options")
        .with_child(pair);
    Command::modify("crm_config", set).or_create()
}

fn query() -> AdminRequest {
    AdminRequest::Query {
        local: false,
        command: Box::new(Command::query("crm_config")),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_join_over_tls_and_tools_speak_to_each() {
    let first = founded().await;
    let second = joined(&first, "n2", MemberRole::Voter).await;
    // Any member can hand out tokens and let others in.
    let third = joined(&second, "n3", MemberRole::Witness).await;
    assert!(second.paths.data.join("ca.key").exists());
    assert!(
        !third.paths.data.join("ca.key").exists(),
        "a witness cannot sign"
    );
    let nodes = [&first, &second, &third];
    let leads = || {
        nodes
            .iter()
            .filter(|node| node.raft.leadership().borrow().mine)
            .count()
    };
    until("one leads", || leads() == 1).await;

    let mut times = Vec::new();
    for (number, node) in nodes.iter().enumerate() {
        let mut tool = Client::connect(&node.paths.socket).await.expect("listens");
        let write = AdminRequest::Write {
            client: Uuid::new_v4(),
            seq: 1,
            command: Box::new(set("word", &format!("w{number}"))),
        };
        let began = Instant::now();
        let answer = tool.call(&write).await.expect("answered");
        times.push(began.elapsed());
        let AdminAnswer::Written(answer) = answer else {
            panic!("{answer:?}");
        };
        let again = tool.call(&write).await.expect("answered");
        assert_eq!(again, AdminAnswer::Written(answer), "applied once");
        for reader in nodes {
            let mut tool = Client::connect(&reader.paths.socket)
                .await
                .expect("listens");
            let AdminAnswer::Xml(xml) = tool.call(&query()).await.expect("answered") else {
                panic!("no XML");
            };
            assert!(xml.contains(&format!("value=\"w{number}\"")), "{xml}");
        }
    }
    println!("write by a tool: {times:?}");
    let state = first.raft.local();
    let last = state
        .history
        .entries()
        .next_back()
        .expect("written")
        .clone();
    assert_eq!(last.node, "n3");
    assert!(!last.user.is_empty(), "the user is who the kernel says");
    let status = second.common.status();
    assert!(status.quorate);
    assert_eq!(status.paths.len(), 2);
    assert!(
        state
            .cib
            .section("nodes")
            .expect("there")
            .find_id("3")
            .is_none(),
        "a witness runs nothing"
    );

    let who = PeerRequest::Call("who".into(), serde_json::Value::Null);
    let answer = first.peers.call(NodeId(2), &who).await.expect("reached");
    assert_eq!(answer, PeerAnswer::Json(serde_json::json!({ "from": 1 })));

    // Hand over through any node, then take a node out: its certificate no longer opens the door.
    let caller = Caller {
        uid: 0,
        user: "root".into(),
        groups: Vec::new(),
        admin: true,
    };
    let request = AdminRequest::StepDown {
        node: Some("n2".into()),
    };
    if !second.raft.leadership().borrow().mine {
        let answer = third
            .common
            .answer(&caller, Grant::All, &request)
            .await
            .expect("common");
        assert_eq!(answer, AdminAnswer::Done);
    }
    until("n2 leads", || second.raft.leadership().borrow().mine).await;
    let request = AdminRequest::Remove { node: "n3".into() };
    let answer = second
        .common
        .answer(&caller, Grant::All, &request)
        .await
        .expect("common");
    assert_eq!(answer, AdminAnswer::Done);
    let shut_out = async || {
        let call = PeerRequest::Call("who".into(), serde_json::Value::Null);
        third.peers.call(NodeId(1), &call).await
    };
    until("applied there", || {
        first.raft.local().was_removed(NodeId(3))
    })
    .await;
    let refused = shut_out().await.expect_err("removed").to_string();
    assert!(
        refused.contains("node 3 was removed from the cluster"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_tokens_and_foreign_certificates_are_refused_with_the_reason() {
    let first = founded().await;
    let other = founded().await;
    let (_dir, paths) = directory();
    let good = token(&first, MemberRole::Voter).await;
    let refused = async |token: Token| {
        let error = join(&paths, joining(token, "n2"))
            .await
            .expect_err("refused");
        assert!(!paths.config().exists(), "nothing was changed");
        (error.exit(), error.to_string())
    };

    let (exit, text) = refused(Token {
        secret: "guess".into(),
        ..good.clone()
    })
    .await;
    assert!(text.contains("does not know the token"), "{text}");
    assert_eq!(exit, CrmExit::INSUFFICIENT_PRIV);
    let (exit, text) = refused(Token {
        expires_s: clock::wall_s() - 7,
        ..good.clone()
    })
    .await;
    assert!(text.contains("expired 7 s ago"), "{text}");
    assert_eq!(exit, CrmExit::EXPIRED);
    let foreign = Token {
        addresses: other.common.config.addresses.clone(),
        ..good.clone()
    };
    let (_, text) = refused(foreign).await;
    assert!(text.contains("belongs to another cluster"), "{text}");
    let nowhere = Token {
        addresses: vec![free_address()],
        ..good.clone()
    };
    let (_, text) = refused(nowhere).await;
    assert!(text.contains("refused"), "{text}");
    let whole = good.to_string();
    for garbled in [&whole[..whole.len() - 9], "systole1.x", "hello", ""] {
        assert!(garbled.parse::<Token>().is_err(), "{garbled}");
    }

    join(&paths, joining(good.clone(), "n2"))
        .await
        .expect("let in");
    let (_dir, paths) = directory();
    let used = join(&paths, joining(good, "n4"))
        .await
        .expect_err("used")
        .to_string();
    assert!(used.contains("was used by node 2"), "{used}");
    let again = token(&first, MemberRole::Voter).await;
    let taken = join(&paths, joining(again, "n2"))
        .await
        .expect_err("name taken")
        .to_string();
    assert!(
        taken.contains("a member called `n2` exists already"),
        "{taken}"
    );

    // A node of another cluster gets nowhere, from either side.
    other
        .peers
        .learn([(NodeId(9), first.common.config.addresses.clone())]);
    let call = PeerRequest::Call("who".into(), serde_json::Value::Null);
    let refused = other
        .peers
        .call(NodeId(9), &call)
        .await
        .expect_err("foreign");
    assert!(
        matches!(refused, TransportError::Unreachable { .. }),
        "{refused:?}"
    );
    assert!(
        refused.to_string().contains("belongs to another cluster"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tools_hear_of_changes_and_of_a_missing_daemon() {
    use futures_util::StreamExt as _;
    let node = founded().await;
    let mut tool = Client::connect(&node.paths.socket).await.expect("listens");
    let mut changes = tool.subscribe().await.expect("allowed");
    node.raft.propose(set("word", "x")).await.expect("written");
    let notice = changes.next().await.expect("one").expect("well");
    assert_eq!(notice.version, node.raft.local().cib.version().to_string());

    let (socket, limit) = (node.paths.socket.clone(), Duration::from_secs(5));
    let asked =
        tokio::task::spawn_blocking(move || call_blocking(&socket, &AdminRequest::Status, limit));
    assert!(matches!(
        asked.await.expect("no panic"),
        Ok(AdminAnswer::Status(_))
    ));
    let nobody = node.paths.data.join("nobody.sock");
    let Err(error) = Client::connect(&nobody).await else {
        panic!("nobody listens");
    };
    assert!(
        error.to_string().contains("is `systole daemon` running?"),
        "{error}"
    );
}

#[test]
fn only_administrators_and_users_with_acls_are_let_in() {
    let caller = |user: &str, admin| Caller {
        uid: 1000,
        user: user.into(),
        groups: vec!["staff".into()],
        admin,
    };
    let cib = |text: &str| {
        let text = format!("<cib><configuration>{text}</configuration><status/></cib>");
        Cib::parse(text, &crate::xml::Limits::default()).expect("well formed")
    };
    let on = "<crm_config><cluster_property_set id=\"o\"><nvpair id=\"e\" name=\"enable-acl\" \
              value=\"true\"/></cluster_property_set></crm_config>";
    let acls = "<acls><acl_target id=\"alice\"/><acl_group id=\"staff\"/></acls>";
    let ask = |caller: &Caller, request: &AdminRequest, cib: &Cib| {
        authorise(caller, "haclient", request, cib)
    };
    let (off, on) = (cib(acls), cib(&format!("{on}{acls}")));
    assert_eq!(
        ask(&caller("root", true), &AdminRequest::Shutdown, &off),
        Ok(Grant::All)
    );
    let denied = ask(&caller("alice", false), &query(), &off)
        .expect_err("ACLs are off")
        .to_string();
    assert!(
        denied.contains("`alice` (uid 1000)") && denied.contains("`haclient`"),
        "{denied}"
    );
    assert_eq!(ask(&caller("alice", false), &query(), &on), Ok(Grant::Acl));
    assert_eq!(
        ask(&caller("bob", false), &query(), &on),
        Ok(Grant::Acl),
        "by group"
    );
    assert!(ask(&caller("alice", false), &AdminRequest::Shutdown, &on).is_err());
    let fence = AdminRequest::Confirm { node: "n1".into() };
    assert!(ask(&caller("alice", false), &fence, &on).is_err());
    let mut mallory = caller("mallory", false);
    mallory.groups.clear();
    assert!(ask(&mallory, &query(), &on).is_err());
}

mod certificates;
mod paths;
mod remote;
