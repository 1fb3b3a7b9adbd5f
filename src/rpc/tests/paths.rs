//! Several paths to one node: what is lost when one falls silent, and what comes back with it.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// A network between two nodes: bytes pass, until they silently do not.
struct Wire {
    address: SocketAddr,
    there: Arc<AtomicBool>,
    back: Arc<AtomicBool>,
}

impl Wire {
    async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let wire = Self {
            address: listener.local_addr().expect("bound"),
            there: Arc::new(true.into()),
            back: Arc::new(true.into()),
        };
        let (there, back) = (Arc::clone(&wire.there), Arc::clone(&wire.back));
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(target).await.expect("listens");
                let ((near_in, near_out), (far_in, far_out)) =
                    (near.into_split(), far.into_split());
                tokio::spawn(pass(near_in, far_out, Arc::clone(&there)));
                tokio::spawn(pass(far_in, near_out, Arc::clone(&back)));
            }
        });
        wire
    }

    fn set(&self, there: bool, back: bool) {
        self.there.store(there, Ordering::SeqCst);
        self.back.store(back, Ordering::SeqCst);
    }
}

async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    open: Arc<AtomicBool>,
) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        while !open.load(Ordering::SeqCst) {
            sleep(Duration::from_millis(5)).await;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

async fn counted(from: &Node) -> u64 {
    let call = PeerRequest::Call("count".into(), serde_json::Value::Null);
    let answer = from.peers.call(NodeId(2), &call).await.expect("answered");
    let PeerAnswer::Json(value) = answer else {
        panic!("{answer:?}");
    };
    value.as_u64().expect("a number")
}

fn state_of(node: &Node, address: SocketAddr) -> (PathState, bool) {
    let all = node.peers.every_path();
    let path = all.iter().find(|path| path.remote == address);
    path.map_or((PathState::Unknown, false), |path| (path.state, path.used))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_path_costs_little_and_is_used_again_when_it_answers() {
    let first = founded().await;
    let second = joined(&first, "n2", MemberRole::Learner).await;
    let direct = second.common.config.addresses[0];
    let wire = Wire::to(direct).await;
    first.peers.learn([(NodeId(2), vec![wire.address, direct])]);
    until("both are up", || {
        state_of(&first, wire.address) == (PathState::Up, true)
            && state_of(&first, direct) == (PathState::Up, false)
    })
    .await;
    assert_eq!(counted(&first).await, 1);

    // The question arrives and the answer does not: what is asked again over the other path must not be done again.
    wire.set(true, false);
    let began = Instant::now();
    assert_eq!(counted(&first).await, 2);
    let took = began.elapsed();
    assert!(took < Duration::from_millis(800), "{took:?}");
    println!("answered over the other path after {took:?}");
    // From now on the other one is asked first.
    let began = Instant::now();
    assert_eq!(counted(&first).await, 3, "done once");
    println!("and then after {:?}", began.elapsed());
    until("seen as down", || {
        state_of(&first, wire.address).0 == PathState::Down
    })
    .await;
    assert_eq!(state_of(&first, direct), (PathState::Up, true));
    let why = first.peers.every_path();
    let why = why.iter().find(|path| path.remote == wire.address);
    let why = why.and_then(|path| path.error.clone()).unwrap_or_default();
    assert!(why.contains("no answer within"), "{why}");

    wire.set(true, true);
    until("used again", || {
        state_of(&first, wire.address) == (PathState::Up, true)
    })
    .await;
    assert_eq!(counted(&first).await, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_moves_is_found_where_it_was_until_it_answers_where_it_is() {
    let first = founded().await;
    let second = joined(&first, "n2", MemberRole::Learner).await;
    let direct = second.common.config.addresses[0];
    until("it is up", || state_of(&first, direct).0 == PathState::Up).await;
    let wire = Wire::to(direct).await;
    wire.set(false, false);
    first.peers.learn([(NodeId(2), vec![wire.address])]);
    assert_eq!(counted(&first).await, 1, "where it was");
    let paths = first.peers.every_path();
    assert_eq!(paths.len(), 1, "only what it has now is shown: {paths:?}");
    wire.set(true, true);
    until("it answers where it is", || {
        state_of(&first, wire.address) == (PathState::Up, true)
    })
    .await;
    assert_eq!(counted(&first).await, 2);
}
