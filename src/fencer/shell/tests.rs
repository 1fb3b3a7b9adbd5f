//! Small real fence agents under a real fencer.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::fencer::{Action, Command, Delay, Device};

struct Lab {
    dir: tempfile::TempDir,
    handle: Handle,
    out: mpsc::UnboundedReceiver<Out>,
}

impl Lab {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        let place = Place {
            agents: vec![dir.path().to_path_buf()],
            path: "/usr/bin:/bin".into(),
            secrets: dir.path().join("secrets"),
            extra_env: Vec::new(),
        };
        let (handle, out) = start(Config {
            node: "h1".into(),
            place,
        });
        Self { dir, handle, out }
    }

    async fn fence(&mut self, agent: &str, params: &[(&str, &str)]) -> Outcome {
        let text = format!(
            "#!/bin/sh\ninput=$(cat)\nhere='{}'\ncase \"$input\" in\n*action=metadata*) echo '<resource-agent \
             name=\"x\"><parameters><parameter name=\"port\"/></parameters><actions><action \
             name=\"off\"/></actions></resource-agent>'; exit 0;; esac\n{agent}\n",
            self.dir.path().display()
        );
        let path = self.dir.path().join("fence_test");
        std::fs::write(&path, text).expect("writable");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("ours");
        let params = params
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        let device = Device {
            id: "f".into(),
            agent: "fence_test".into(),
            params: params
                .chain([("pcmk_host_list".to_owned(), "h2".to_owned())])
                .collect(),
            provides_unfencing: false,
        };
        let configured = Event::Configured {
            devices: vec![device],
            levels: Vec::new(),
            node_attributes: std::collections::BTreeMap::new(),
            watchdogs: std::collections::BTreeMap::new(),
        };
        self.handle.send(configured).await;
        let request = Request {
            term: None,
            target: "h2".into(),
            action: Action::Off,
            timeout_ms: 500,
            delay: Delay::None,
            client: "test".into(),
            allow_self: false,
            tag: String::new(),
            tolerance_ms: 0,
        };
        self.handle
            .send(Event::Command(Box::new(Command::Fence(request))))
            .await;
        loop {
            let wait = Duration::from_secs(20);
            let out = tokio::time::timeout(wait, self.out.recv())
                .await
                .expect("an end in time");
            if let Some(Out::Done(_, _, outcome)) = out {
                return outcome;
            }
        }
    }
}

#[tokio::test]
async fn the_agent_reads_its_parameters() {
    let mut lab = Lab::new();
    let secrets = lab.dir.path().join("secrets/f");
    std::fs::create_dir_all(&secrets).expect("writable");
    std::fs::write(secrets.join("passwd"), "geheim").expect("writable");
    std::fs::write(
        secrets.join("passwd.sign"),
        crate::xml::digest::bytes(b"geheim"),
    )
    .expect("ours");
    let outcome = lab
        .fence("echo \"$input\" > $here/seen", &[("passwd", "lrm://")])
        .await;
    assert_eq!(
        outcome,
        Outcome {
            delegate: Some("h1".into()),
            result: Ok(())
        }
    );
    let seen = std::fs::read_to_string(lab.dir.path().join("seen")).expect("written");
    assert!(seen.starts_with("action=off\nnodename=h2\n"), "{seen}");
    assert!(seen.contains("passwd=geheim\n"), "{seen}");
}

#[tokio::test]
async fn an_agent_that_hangs_proves_nothing() {
    let mut lab = Lab::new();
    let outcome = lab.fence("sleep 100", &[]).await;
    let why = outcome.result.expect_err("unknown is not success");
    assert!(matches!(why, Failure::TimedOut(_)), "{why:?}");
}

#[tokio::test]
async fn an_agent_that_crashes_or_is_missing_proves_nothing() {
    let mut lab = Lab::new();
    let why = lab
        .fence("kill -SEGV $$", &[])
        .await
        .result
        .expect_err("a crash is a failure");
    assert!(why.to_string().contains("Segmentation fault"), "{why}");
    let why = lab
        .fence("exit 255", &[("a", "b")])
        .await
        .result
        .expect_err("255 is a failure");
    assert!(why.to_string().contains("with 255"), "{why}");
    let why = lab
        .fence("exit 0", &[("passwd", "lrm://")])
        .await
        .result
        .expect_err("no secret");
    assert!(why.to_string().contains("passwd"), "{why}");
}
