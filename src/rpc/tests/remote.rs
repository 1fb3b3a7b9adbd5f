//! Remote nodes: who gets a certificate, and who believes whom.

use super::*;
use crate::executor::Report;
use crate::rpc::{
    Authority, FromRemote, RemoteKeys, Stamp, ToRemote, call_remote, enrol, serve_remote, to_pem,
};

async fn token_for(node: &Node, remote: &str) -> Token {
    let for_it = (MemberRole::Voter, Some(remote.into()));
    make_token(&node.raft, &node.common.ca_fingerprint(), for_it, 60)
        .await
        .expect("made")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_for_a_remote_node_makes_no_member_and_the_other_way_round() {
    let first = founded().await;
    let (_dir, paths) = directory();
    let remote = token_for(&first, "r.1").await;
    let why = join(&paths, joining(remote.clone(), "n2"))
        .await
        .expect_err("no member")
        .to_string();
    assert!(why.contains("for the remote node `r.1`"), "{why}");
    let (_dir, paths) = directory();
    let member = token(&first, MemberRole::Voter).await;
    let why = enrol(&paths, &member)
        .await
        .expect_err("a member's")
        .to_string();
    assert!(why.contains("systole token --remote NAME"), "{why}");
    let config = enrol(&paths, &remote).await.expect("let in");
    assert_eq!(config.name.as_str(), "r.1");
    assert_eq!(first.raft.local().members.len(), 1);
    let (_dir, other) = directory();
    let why = enrol(&other, &remote).await.expect_err("used").to_string();
    assert!(why.contains("was used by another machine"), "{why}");
    let fingerprint = first.common.ca_fingerprint();
    let taken = make_token(
        &first.raft,
        &fingerprint,
        (MemberRole::Voter, Some("n1".into())),
        60,
    );
    let why = taken.await.expect_err("a member's name").to_string();
    assert!(why.contains("`n1` is a member"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_talks_to_the_remote_node_that_it_means_and_to_no_other() {
    let first = founded().await;
    let (_dir, paths) = directory();
    let config = enrol(&paths, &token_for(&first, "r1").await)
        .await
        .expect("let in");
    let keys = RemoteKeys::load(&paths, &config).expect("readable");
    let (lines, mut incoming) = tokio::sync::mpsc::channel(4);
    let at = "127.0.0.1:0".parse().expect("an address");
    let door = serve_remote(&[at], keys, lines).await.expect("listens");
    let port = door.addresses[0].port();
    let member = &first.common.keys;
    let mut here = call_remote(member, &"r1".into(), "127.0.0.1", port)
        .await
        .expect("a line");
    let (from, mut there) = incoming.recv().await.expect("a line");
    assert_eq!(from, NodeId(1));
    here.out.send(ToRemote::Poke(3)).await.expect("open");
    let heard = there.words.recv().await;
    assert_eq!(heard, Some(Ok(ToRemote::Poke(3))));
    let told = FromRemote::Reports(1, Vec::<Report>::new());
    there.out.send(told.clone()).await.expect("open");
    assert_eq!(here.words.recv().await, Some(Ok(told)));
    // The last word arrives although the line ends with it.
    let by = Stamp::default();
    there
        .out
        .send(FromRemote::Replaced { by })
        .await
        .expect("open");
    drop(there);
    let last = here.words.recv().await;
    assert_eq!(last, Some(Ok(FromRemote::Replaced { by })));
    assert!(matches!(here.words.recv().await, Some(Err(_)) | None));

    let other = call_remote(member, &"r2".into(), "127.0.0.1", port).await;
    let why = other.expect_err("it is r1").to_string();
    assert!(why.contains("that of another node"), "{why}");
    let foreign = founded().await;
    let stranger = call_remote(&foreign.common.keys, &"r1".into(), "127.0.0.1", port).await;
    stranger.expect_err("another cluster's");
    assert!(incoming.try_recv().is_err(), "nobody else was let in");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_remote_node_gets_another_certificate_while_it_runs() {
    let first = founded().await;
    let (_dir, paths) = directory();
    let config = enrol(&paths, &token_for(&first, "r1").await)
        .await
        .expect("let in");
    let keys = RemoteKeys::load(&paths, &config).expect("readable");
    let before = keys.shows().expect("readable");
    assert!(before.issuer.is_some());
    let (cluster, _) = first.common.keys.identity();
    let next = Authority::create(cluster).expect("drawn");
    let sign = |request: &[u8], name: &str| {
        let signed = next.sign_remote(request, cluster, &name.into(), Some(4_000_000_000));
        to_pem(&signed.expect("signed"))
    };
    keys.replace("").expect_err("nothing was drawn");
    let request = keys.draw().expect("drawn");
    let signed = sign(&request, "r1");
    let why = keys.replace(&signed).expect_err("unknown").to_string();
    assert!(why.contains("unknown authority"), "{why}");
    assert_eq!(keys.shows().expect("readable"), before);

    let present: Vec<String> = first.common.keys.trusted().into_values().collect();
    let both = [present, vec![to_pem(next.certificate())]].concat();
    keys.trust(&both).expect("written");
    keys.replace(&signed).expect("for its key");
    let after = keys.shows().expect("readable");
    assert_eq!(after.issuer, Some(next.fingerprint()));
    let again = RemoteKeys::load(&paths, &config).expect("readable");
    assert_eq!(again.shows().expect("readable"), after, "it is on disk");

    // A certificate for a key that was drawn before fits no more.
    keys.draw().expect("drawn");
    keys.replace(&signed).expect_err("of another key");
    assert_eq!(keys.shows().expect("readable"), after);
}
