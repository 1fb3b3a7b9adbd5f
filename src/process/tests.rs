use super::*;
use std::future::pending;
use std::os::unix::fs::PermissionsExt;

fn script(dir: &Path, text: &str) -> PathBuf {
    let path = dir.join("agent");
    std::fs::write(&path, text).expect("a temporary directory is writable");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("ours");
    path
}

async fn shell(text: &str, timeout_ms: u64) -> Ended {
    let dir = tempfile::tempdir().expect("temporary directory");
    let program = script(dir.path(), &format!("#!/bin/sh\n{text}\n"));
    let spec = Spec::new(program).env("PATH", "/usr/bin:/bin");
    run(spec.timeout(Duration::from_millis(timeout_ms)), pending()).await
}

fn gone(pid: i32) -> bool {
    // A killed orphan may stay a zombie for a moment, or for ever where nobody is init.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.is_empty() || stat.contains(") Z")
}

#[tokio::test]
async fn exit_code_and_both_streams() {
    let ended = shell("echo out; echo err >&2; exit 255", 5000).await;
    assert_eq!(ended.how, How::Exited(255));
    assert_eq!(
        (ended.stdout.text(), ended.stderr.text()),
        ("out\n".into(), "err\n".into())
    );
}

#[tokio::test]
async fn a_hanging_program_is_killed_with_its_group() {
    let ended = shell("sleep 100 & echo $!; wait", 200).await;
    assert_eq!(ended.how, How::TimedOut);
    assert!(ended.run_ms < 3000, "{}", ended.run_ms);
    let pid: i32 = ended
        .stdout
        .text()
        .trim()
        .parse()
        .expect("the script prints a pid");
    for _ in 0..50 {
        if gone(pid) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("child {pid} of the hanging program is still there");
}

#[tokio::test]
async fn a_stop_kills() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let program = script(dir.path(), "#!/bin/sh\nsleep 100\n");
    let stop = tokio::time::sleep(Duration::from_millis(50));
    let ended = run(Spec::new(program).env("PATH", "/usr/bin:/bin"), stop).await;
    assert_eq!(ended.how, How::Stopped);
}

#[tokio::test]
async fn a_hundred_megabytes_neither_block_nor_stay() {
    let ended = shell("echo first; head -c 100000000 /dev/zero; echo last", 60_000).await;
    assert_eq!(ended.how, How::Exited(0));
    assert!(ended.stdout.len() <= 64 * 1024 && ended.stdout.truncated());
    let text = ended.stdout.text();
    assert!(
        text.starts_with("first\n") && text.ends_with("last\n"),
        "head and tail are kept"
    );
    assert!(text.contains("truncated: 99934"), "the gap is told");
}

#[tokio::test]
async fn a_fork_left_behind_does_not_hold_us() {
    let ended = shell("echo before; (sleep 3; echo late) & exit 0", 10_000).await;
    assert_eq!(ended.how, How::Exited(0));
    assert_eq!(ended.stdout.text(), "before\n");
    assert!(
        ended.run_ms < 2000,
        "waited for the pipe: {} ms",
        ended.run_ms
    );
}

#[tokio::test]
async fn input_is_given_and_need_not_be_read() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let program = script(dir.path(), "#!/bin/sh\nread a; echo \"got $a\"\n");
    let mut spec = Spec::new(program);
    spec.stdin = Some([b"action=off\n".to_vec(), vec![b'x'; 1_000_000]].concat());
    let ended = run(spec, pending()).await;
    assert_eq!(
        (ended.how, ended.stdout.text()),
        (How::Exited(0), "got action=off\n".into())
    );
}

#[tokio::test]
async fn what_cannot_be_executed_says_why() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let ended = run(Spec::new(dir.path().join("none")), pending()).await;
    assert_eq!(
        ended.how,
        How::CannotExec(2, "No such file or directory".into())
    );
    let plain = dir.path().join("plain");
    std::fs::write(&plain, "text").expect("writable");
    let ended = run(Spec::new(&plain), pending()).await;
    assert_eq!(ended.how, How::CannotExec(13, "Permission denied".into()));
    let program = script(dir.path(), "#!/no/such/interpreter\n");
    let ended = run(Spec::new(program), pending()).await;
    assert_eq!(
        ended.how,
        How::CannotExec(2, "No such file or directory".into())
    );
}

#[tokio::test]
async fn a_signal_is_named() {
    let ended = shell("kill -TERM $$", 5000).await;
    assert_eq!(ended.how, How::Signaled(15));
    assert_eq!(signal_text(15), "Terminated");
}
