//! Keys that change while connections are open, and what is left of the ones before.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;

const WHO: &str = "who";

fn who() -> PeerRequest {
    PeerRequest::Call(WHO.into(), serde_json::Value::Null)
}

/// A new certificate for a node, signed by a member that can.
fn renewed(node: &Node, signer: &Node, generation: u64) {
    let key = NewKey::create(None).expect("drawn");
    let authority = Authority::all(&signer.paths.data).expect("readable");
    let issue = Issue {
        cluster: node.common.config.cluster,
        node: node.common.config.node,
        generation,
        until_s: Some(clock::wall_s() + 86_400),
    };
    let certificate = authority[0].sign(&key.request, issue).expect("signed");
    node.common
        .keys
        .replace(&key, &certificate)
        .expect("written");
}

/// The files by which a node proves itself, somewhere else.
fn copied(node: &Node) -> (Arc<TempDir>, Paths) {
    let (dir, paths) = directory();
    std::fs::create_dir_all(&paths.data).expect("made");
    for name in ["node.pem", "node.key", "ca.pem"] {
        let from = node.paths.data.join(name);
        if from.exists() {
            std::fs::copy(from, paths.data.join(name)).expect("copied");
        }
    }
    (dir, paths)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_costs_no_connection_and_the_old_one_is_refused() {
    let first = founded().await;
    let second = joined(&first, "n2", MemberRole::Learner).await;
    let (_dir, stolen) = copied(&second);
    let facts = second.common.keys.facts();
    assert_eq!((facts.node, facts.generation), (Some(NodeId(2)), 1));
    assert_eq!(
        facts.key, second.common.config.key,
        "as it stands in the state"
    );

    renewed(&second, &first, 2);
    let new = second.common.keys.facts();
    assert_eq!((new.node, new.generation), (Some(NodeId(2)), 2));
    assert_ne!(new.key, facts.key);
    assert_eq!(second.common.keys.round(), 1);
    second.peers.renew();
    for _ in 0..20 {
        second
            .peers
            .call(NodeId(1), &who())
            .await
            .expect("answered");
        first.peers.call(NodeId(2), &who()).await.expect("answered");
    }
    until("all is made anew", || second.peers.are_renewed()).await;
    let floors = BTreeMap::from([(NodeId(2), 2)]);
    first.common.keys.set_floors(floors.clone());
    for _ in 0..20 {
        second
            .peers
            .call(NodeId(1), &who())
            .await
            .expect("answered");
    }

    // Whoever has the old key can neither ask in the name of its node, ...
    let config = &second.common.config;
    let old = Keyring::load(&stolen, config.cluster, config.node).expect("fits");
    assert_eq!(old.facts(), facts);
    let thief = Peers::new(old.clone());
    thief.learn([(NodeId(1), first.common.config.addresses.clone())]);
    let refused = thief.call(NodeId(1), &who()).await.expect_err("old");
    assert!(
        refused
            .to_string()
            .contains("node 2 has a newer certificate"),
        "{refused}"
    );
    // ... nor answer.
    let address = free_address();
    let _door = serve_peers(
        tokio::sync::watch::channel(vec![address]).1,
        &old,
        second.raft.clone(),
        None,
        Arc::new(Service(Arc::clone(&second.common), 0.into())),
    )
    .await
    .expect("listens");
    let caller = Peers::new(first.common.keys.clone());
    caller.learn([(NodeId(2), vec![address])]);
    let refused = caller.call(NodeId(2), &who()).await.expect_err("old");
    assert!(
        refused
            .to_string()
            .contains("newer certificate than the one that it showed"),
        "{refused}"
    );
    assert!(matches!(refused, TransportError::Unreachable { .. }));

    // A connection that was open when the certificate was replaced is shut, too.
    let first_again = Peers::new(second.common.keys.clone());
    first_again.learn([(NodeId(1), first.common.config.addresses.clone())]);
    first_again.call(NodeId(1), &who()).await.expect("answered");
    first
        .common
        .keys
        .set_floors(BTreeMap::from([(NodeId(2), 3)]));
    let refused = first_again.call(NodeId(1), &who()).await.expect_err("old");
    assert!(
        refused.to_string().contains("newer certificate"),
        "{refused}"
    );
}

/// What stands on the disk, whatever step of a replacement is the last one that was made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_point_leaves_keys_that_fit() {
    let first = founded().await;
    let config = &first.common.config;
    let load = |paths: &Paths| Keyring::load(paths, config.cluster, config.node);
    let (_dir, old) = copied(&first);
    renewed(&first, &first, 2);
    let read = |name: &str| std::fs::read(first.paths.data.join(name)).expect("there");
    let (pair, authority) = (read("node.pem"), read("ca.pem"));
    assert!(!first.paths.data.join("node.key").exists());
    let generation = |paths: &Paths| load(paths).expect("fits").facts().generation;

    assert_eq!(generation(&old), 1);
    std::fs::write(old.data.join("node.new"), &pair[..pair.len() / 2]).expect("written");
    assert_eq!(generation(&old), 1, "half of it was written");
    std::fs::write(old.data.join("node.pem"), &pair).expect("written");
    assert_eq!(generation(&old), 2, "the key before is still there");
    std::fs::remove_file(old.data.join("node.key")).expect("removed");
    assert_eq!(generation(&old), 2);
    std::fs::write(old.data.join("ca.new"), &authority[..9]).expect("written");
    assert_eq!(generation(&old), 2);

    // What does not fit is never used.
    let text = String::from_utf8(pair).expect("PEM");
    let key_of_another = NewKey::create(None).expect("drawn").key_pem;
    let certificate = &text[text.find("-----BEGIN CERT").expect("there")..];
    let mixed = key_of_another + certificate;
    std::fs::write(old.data.join("node.pem"), mixed).expect("written");
    assert!(load(&old).is_err(), "a key that is not the certificate's");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_is_replaced_while_both_are_trusted() {
    let first = founded().await;
    let second = joined(&first, "n2", MemberRole::Learner).await;
    let new = Authority::create(first.common.config.cluster).expect("made");
    let (before, after) = (
        first
            .common
            .keys
            .trusted()
            .into_values()
            .next()
            .expect("one"),
        to_pem(new.certificate()),
    );
    for node in [&first, &second] {
        let both = [before.clone(), after.clone()];
        node.common.keys.trust(&both).expect("written");
    }
    // One has a certificate of the new one, the other not yet.
    new.keep_as_next(&second.paths.data).expect("written");
    let key = NewKey::create(None).expect("drawn");
    let issue = Issue {
        cluster: second.common.config.cluster,
        node: NodeId(2),
        generation: 2,
        until_s: None,
    };
    let certificate = new.sign(&key.request, issue).expect("signed");
    second
        .common
        .keys
        .replace(&key, &certificate)
        .expect("written");
    assert_eq!(second.common.keys.issuer(), Some(new.fingerprint()));
    second.peers.renew();
    let fresh = Peers::new(first.common.keys.clone());
    fresh.learn([(NodeId(2), second.common.config.addresses.clone())]);
    fresh.call(NodeId(2), &who()).await.expect("believed");
    second
        .peers
        .call(NodeId(1), &who())
        .await
        .expect("believed");

    // The old one is dropped: whoever still has a certificate of it is a stranger.
    second.common.keys.trust(&[after]).expect("written");
    Authority::forget_former(&second.paths.data, &new.fingerprint()).expect("written");
    let held = Authority::all(&second.paths.data).expect("readable");
    assert_eq!(held.len(), 1);
    assert_eq!(held[0].fingerprint(), new.fingerprint());
    let late = Peers::new(second.common.keys.clone());
    late.learn([(NodeId(1), first.common.config.addresses.clone())]);
    let refused = late.call(NodeId(1), &who()).await.expect_err("a stranger");
    assert!(
        refused.to_string().contains("belongs to another cluster"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_has_ended_is_replaced_at_start_where_that_is_possible() {
    let first = founded().await;
    let config = &first.common.config;
    let now_s = clock::wall_s();
    let renew = |now_s: i64| renew_if_ended(&first.paths, config, now_s, Some(now_s + 864_000));
    let generation = || {
        let keys = Keyring::load(&first.paths, config.cluster, config.node).expect("fits");
        keys.facts().generation
    };
    renew(now_s).expect("nothing to do");
    assert_eq!(generation(), 1);
    let far = now_s + 800 * 86_400;
    renew(far).expect("signed by itself");
    assert_eq!(generation(), 2);
    let remove = |name: &str| std::fs::remove_file(Path::new(&first.paths.data).join(name));
    remove("ca.key").expect("removed");
    let why = renew(far + 800 * 86_400)
        .expect_err("as a witness")
        .to_string();
    assert!(
        why.contains("has ended") && why.contains("join again"),
        "{why}"
    );
    assert_eq!(generation(), 2);
}
