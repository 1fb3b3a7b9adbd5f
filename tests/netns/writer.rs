//! A client that writes all the time through one daemon, and remembers what was acknowledged and when.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use systole::cib::Command;
use systole::rpc::{AdminAnswer, AdminRequest, Client};
use systole::xml::Element;
use uuid::Uuid;

/// What it did.
pub(crate) struct Written {
    pub(crate) acknowledged: u64,
    /// Without an answer, or refused.
    pub(crate) failed: Vec<String>,
    /// The longest time from one acknowledgement to the next, and when it began, counted from the start.
    pub(crate) gap: Duration,
    pub(crate) gap_at: Duration,
    /// What the counter in the CIB says at the end.
    pub(crate) counted: u64,
}

/// It writes.
pub(crate) struct Writer {
    end: Arc<AtomicBool>,
    thread: JoinHandle<Written>,
}

impl Writer {
    /// Through the daemon with this socket.
    pub(crate) fn start(socket: PathBuf) -> Self {
        let end = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&end);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(write(socket, &ended))
        });
        Self { end, thread }
    }

    /// Its last write has been answered.
    pub(crate) fn stop(self) -> Written {
        self.end.store(true, Ordering::SeqCst);
        self.thread.join().unwrap()
    }
}

fn step(value: &str) -> Box<Command> {
    let pair = Element::new("nvpair")
        .with("id", "writer-count")
        .with("name", "writer")
        .with("value", value);
    let set = Element::new("cluster_property_set")
        .with("id", "writer")
        .with_child(pair);
    let mut command = Command::modify("crm_config", set).or_create();
    // Applied again, a step would be counted again.
    command.flags.score = true;
    Box::new(command)
}

async fn write(socket: PathBuf, end: &AtomicBool) -> Written {
    let mut tool = Client::connect(&socket).await.unwrap();
    let client = Uuid::new_v4();
    let began = Instant::now();
    let mut last = began;
    let mut written = Written {
        acknowledged: 0,
        failed: Vec::new(),
        gap: Duration::ZERO,
        gap_at: Duration::ZERO,
        counted: 0,
    };
    for seq in 1.. {
        let value = if seq == 1 { "0" } else { "value++" };
        let request = AdminRequest::Write {
            client,
            seq,
            command: step(value),
        };
        match tool.call(&request).await {
            Ok(AdminAnswer::Written(answer)) if answer.outcome.message().is_none() => {
                written.acknowledged += u64::from(seq > 1);
            }
            other => written.failed.push(format!("{other:?}")),
        }
        let now = Instant::now();
        if now - last > written.gap && seq > 1 {
            (written.gap, written.gap_at) = (now - last, last - began);
        }
        last = now;
        if end.load(Ordering::SeqCst) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let query = AdminRequest::Query {
        local: false,
        command: Box::new(Command::query("crm_config")),
    };
    let AdminAnswer::Xml(xml) = tool.call(&query).await.unwrap() else {
        panic!("no CIB");
    };
    let count = xml.split("id=\"writer-count\"").nth(1).unwrap();
    let count = count.split("value=\"").nth(1).unwrap();
    written.counted = count.split('"').next().unwrap().parse().unwrap();
    written
}
