//! Two voters without a witness, with openraft and disks as they are: who goes on, and what becomes of what was written.

use super::*;
use crate::raft::MemberRole;
use crate::raft::survivor::Want;
use crate::raft::two_node::Phase;

const ONE: NodeId = NodeId(1);
const TWO: NodeId = NodeId(2);

fn device() -> Command {
    let device = Element::new("primitive")
        .with("id", "fence")
        .with("class", "stonith")
        .with("type", "fence_hook");
    Command::modify("resources", device).or_create()
}

fn phase(raft: &Raft) -> Option<Phase> {
    raft.two_node().map(|picture| picture.phase)
}

/// Two voters with a fence device, in two-node mode, which have met.
async fn of_two() -> Cluster {
    let cluster = Cluster::found().await.join(MemberRole::Voter).await;
    let any = cluster.any();
    assert!(done(&any.propose(device()).await.expect("written")));
    let on = any.change(ClusterChange::TwoNode { on: true }).await;
    assert!(done(&on.expect("written")));
    let both = [cluster.node(ONE), cluster.node(TWO)];
    let met = || both.iter().all(|n| phase(n) == Some(Phase::Together));
    cluster.until("they have met", met).await;
    cluster.wait_leader().await;
    cluster
}

async fn shot(raft: &Raft) -> u64 {
    let mut wants = raft.wants().expect("taken once");
    let want = tokio::time::timeout(Duration::from_secs(20), wants.recv()).await;
    let Ok(Some(Want::Fence { number, .. })) = want else {
        panic!("it does not want its peer fenced: {want:?}");
    };
    number
}

fn other(id: NodeId) -> NodeId {
    NodeId(3 - id.0)
}

/// Both vote, and what one writes the other reads.
async fn together_again(cluster: &Cluster) {
    let both = [cluster.node(ONE), cluster.node(TWO)];
    let voters = || {
        both.iter().all(|n| {
            n.voters() == [BTreeSet::from([ONE, TWO])] && phase(n) == Some(Phase::Together)
        })
    };
    cluster.until("both vote", voters).await;
    for node in &both {
        let word = format!("again from {}", node.node());
        assert!(done(
            &node.propose(set("again", &word)).await.expect("written")
        ));
    }
    let [one, two] = &both;
    one.barrier().await.expect("they go on");
    two.barrier().await.expect("they go on");
    assert_eq!(
        crate::xml::write::compact(one.local().cib.root()),
        crate::xml::write::compact(two.local().cib.root())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_node_mode_wants_a_device_and_two_voters() {
    let cluster = Cluster::found().await;
    let first = cluster.node(ONE);
    let refused = async || {
        let answer = first.change(ClusterChange::TwoNode { on: true }).await;
        answer
            .expect("answered")
            .outcome
            .message()
            .expect("refused")
    };
    let why = refused().await;
    assert!(
        why.contains("no fence device") && why.contains("--role witness"),
        "{why}"
    );
    assert!(done(&first.propose(device()).await.expect("written")));
    assert!(done(
        &first
            .propose(set("stonith-enabled", "false"))
            .await
            .expect("written")
    ));
    assert!(refused().await.contains("fencing is off"));
    assert!(done(
        &first
            .propose(set("stonith-enabled", "true"))
            .await
            .expect("written")
    ));
    let on = first.change(ClusterChange::TwoNode { on: true }).await;
    assert!(done(&on.expect("written")));
    assert_eq!(phase(&first), None, "one node needs no peer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_loss_of_either_is_survived_after_it_was_fenced_and_only_then() {
    let cluster = of_two().await;
    for round in 0..2_u32 {
        let leader = cluster.wait_leader().await;
        // Once the leader, once the follower.
        let lost = if round == 0 { leader } else { other(leader) };
        let survivor = cluster.node(other(lost));
        let word = format!("round {round}");
        assert!(done(
            &survivor.propose(set("kept", &word)).await.expect("written")
        ));
        cluster.kill(lost).await;
        let number = shot(&survivor).await;
        assert_eq!(phase(&survivor), Some(Phase::Fencing));
        cluster
            .until("it does not lead", || !survivor.leadership().borrow().mine)
            .await;
        let term = survivor.term_seen();
        survivor.peer_fenced(number, Ok("the switch".into()), false);
        cluster
            .until("it leads alone", || {
                assert!(phase(&survivor).is_some(), "the mode is never off");
                cluster.leader() == Some(survivor.node())
            })
            .await;
        assert!(survivor.term_seen() > term);
        assert_eq!(survivor.voters(), [BTreeSet::from([survivor.node()])]);
        assert_eq!(value(&survivor, "kept"), Some(word));
        let loss = survivor.lost_peer().expect("known");
        assert_eq!((loss.peer, loss.by.as_str()), (lost, "the switch"));
        assert!(done(
            &survivor.propose(set("alone", "1")).await.expect("written")
        ));
        // Nobody else is needed when it starts again.
        cluster.kill(survivor.node()).await;
        let survivor = cluster.start(survivor.node()).await;
        cluster
            .until("it leads again", || {
                cluster.leader() == Some(survivor.node())
            })
            .await;
        cluster.start(lost).await;
        together_again(&cluster).await;
        cluster.restart_both().await;
    }
}

impl Raft {
    fn term_seen(&self) -> u64 {
        self.highest_term()
            .load(std::sync::atomic::Ordering::SeqCst)
    }
}

impl Cluster {
    /// Fresh handles, whose wants nobody has taken.
    async fn restart_both(&self) {
        for id in [ONE, TWO] {
            self.kill(id).await;
        }
        for id in [ONE, TWO] {
            self.start(id).await;
        }
        together_again(self).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_the_dead_leader_wrote_is_dropped_when_it_returns() {
    let cluster = of_two().await;
    let leader = cluster.wait_leader().await;
    let survivor = cluster.node(other(leader));
    cluster.board.cut.lock().expect("ok").insert(leader);
    let old = cluster.node(leader);
    let write = tokio::spawn(async move { old.propose(set("orphan", "1")).await });
    let number = shot(&survivor).await;
    cluster.kill(leader).await;
    assert!(!matches!(write.await, Ok(Ok(_))), "nobody acknowledged it");
    // Nobody knows whether it is dead: then nothing follows.
    survivor.peer_fenced(number, Err("timed out".into()), false);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(phase(&survivor), Some(Phase::Together));
    assert!(survivor.propose(set("early", "1")).await.is_err());
    survivor.peer_is_off(leader, "ann").expect("it is");
    cluster
        .until("it leads alone", || {
            cluster.leader() == Some(survivor.node())
        })
        .await;
    assert!(done(
        &survivor.propose(set("later", "1")).await.expect("written")
    ));
    cluster.board.cut.lock().expect("ok").clear();
    let back = cluster.start(leader).await;
    together_again(&cluster).await;
    assert_eq!(value(&back, "orphan"), None);
    assert_eq!(value(&back, "later"), Some("1".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_starts_waits_for_its_peer_or_a_person() {
    let cluster = of_two().await;
    for id in [ONE, TWO] {
        cluster.kill(id).await;
    }
    let first = cluster.start(ONE).await;
    sleep(Duration::from_secs(3)).await;
    assert_eq!(phase(&first), Some(Phase::Waiting));
    assert_eq!(first.leadership().borrow().leader, None);
    first.peer_is_off(TWO, "ann").expect("it waits");
    cluster
        .until("it leads alone", || cluster.leader() == Some(ONE))
        .await;
    assert!(done(
        &first.propose(set("alone", "1")).await.expect("written")
    ));
    let second = cluster.start(TWO).await;
    together_again(&cluster).await;
    assert_eq!(value(&second, "alone"), Some("1".into()));
    // And both at once, without anybody's word.
    cluster.restart_both().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_leaves_is_not_fenced() {
    let cluster = of_two().await;
    let leader = cluster.wait_leader().await;
    let stays = cluster.node(other(leader));
    cluster.node(leader).leave().await;
    cluster
        .until("the other one leads alone", || {
            stays.leadership().borrow().mine
        })
        .await;
    assert_eq!(stays.lost_peer().expect("known").by, "its own word");
    cluster.kill(leader).await;
    assert!(done(
        &stays.propose(set("alone", "1")).await.expect("written")
    ));
    cluster.start(leader).await;
    together_again(&cluster).await;
}
