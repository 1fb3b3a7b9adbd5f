//! Tokens, certificates and users that are not to be let in.

use super::*;

pub(crate) fn tokens(lab: &Lab) {
    let dir = shown(&lab.top.join("joining"));
    let address = free_address();
    let join = |token: &str| {
        let words = [
            "join",
            "--dir",
            &dir,
            "--name",
            "n2",
            "--address",
            &address,
            token,
        ];
        ran(&mut systole(&words))
    };
    let before = lab.node.version();
    let token = lab.node.tool(&["token"]).fine().out.trim().to_owned();
    let short = lab
        .node
        .tool(&["token", "--valid", "1s"])
        .fine()
        .out
        .trim()
        .to_owned();
    join("nonsense").refused(64, &["this is no join token", "systole token"]);
    join(&token[..token.len() / 2]).refused(64, &["this is no join token", "copy all of it"]);
    join(&forged(&token, |token| token["s"] = "0".repeat(64).into())).refused(
        4,
        &[
            "does not know the token",
            "make a new one with `systole token`",
        ],
    );
    join(&forged(&token, |token| token["f"] = "00".repeat(32).into()))
        .refused(102, &["certificate belongs to another cluster"]);
    std::thread::sleep(Duration::from_millis(2100));
    join(&short).refused(110, &["expired", "make a new one with `systole token`"]);
    // What a token says of its own age is not what counts.
    let longer = forged(&short, |token| {
        token["e"] = (token["e"].as_i64().unwrap() + 3600).into()
    });
    join(&longer).refused(110, &["expired", "make a new one with `systole token`"]);
    lab.node
        .tool(&["token", "--valid", "never"])
        .refused(64, &["`never`", "ms, s, min or h"]);
    assert!(!Path::new(&dir).join("node.toml").exists(), "nobody joined");
    let status = lab.node.tool(&["crm", "cluster", "status"]).fine().out;
    assert!(!status.contains("n2"), "{status}");
    assert_eq!(before, lab.node.version(), "something was changed");
}

/// The token with something else inside.
fn forged(token: &str, change: impl FnOnce(&mut serde_json::Value)) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let (prefix, coded) = token.split_once('.').expect("a token has a prefix");
    let json = URL_SAFE_NO_PAD.decode(coded).expect("base64");
    let mut value = serde_json::from_slice(&json).expect("JSON");
    change(&mut value);
    let json = serde_json::to_vec(&value).expect("JSON");
    format!("{prefix}.{}", URL_SAFE_NO_PAD.encode(json))
}

/// A node of another cluster takes this one for a member of its own.
pub(crate) fn foreign_cluster(lab: &Lab) {
    let other = Node::start(&lab.top, "other");
    let before = lab.node.version();
    let token = other.tool(&["token", "--role", "learner"]).fine().out;
    let ghost = shown(&lab.top.join("ghost"));
    let words = [
        "join",
        "--dir",
        &ghost,
        "--name",
        "n2",
        "--address",
        &lab.node.address,
        token.trim(),
    ];
    ran(&mut systole(&words)).fine();
    wait_for("the foreign node is refused", 10, || {
        let line = lab.node.log();
        line.contains("belongs to another cluster").then_some(())
    });
    wait_for("the other node says why", 10, || {
        other
            .log()
            .contains("belongs to another cluster")
            .then_some(())
    });
    let status = other.tool(&["crm", "cluster", "status"]).fine().out;
    assert!(
        status.contains("n2") && status.contains("NOT reached"),
        "{status}"
    );
    assert_eq!(before, lab.node.version(), "something was changed");
}

pub(crate) fn wrong_user(lab: &Lab) {
    if !rustix::process::geteuid().is_root() {
        return skip("only root can run a tool as another user");
    }
    let program = lab.top.join("systole");
    fs::copy(PROGRAM, &program).expect("room for a copy");
    set_mode(&program, 0o755);
    let as_nobody = |words: &[&str]| {
        let asked = lab.node.command(words);
        #[expect(clippy::disallowed_methods, reason = "a test is its own caller")]
        let mut command = Command::new(&program);
        command.args(words).uid(NOBODY).gid(NOBODY).current_dir("/");
        command.envs(
            asked
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        ran(&mut command)
    };
    let commands: [&[&str]; 6] = [
        &["crm", "status"],
        &["cibadmin", "-Q"],
        &["crm", "configure", "property", "maintenance-mode=true"],
        &["cibadmin", "-E", "--force"],
        &["token"],
        &["stop"],
    ];
    let before = lab.node.version();
    set_mode(&lab.top, 0o711);
    for words in commands {
        as_nobody(words).refused(4, &["permission denied", "uid 65534", "run it as root"]);
    }
    set_mode(&lab.node.dir, 0o711);
    for words in commands {
        as_nobody(words).refused(
            4,
            &[
                "permission denied",
                "uid 65534",
                "root, or add the user to the group",
            ],
        );
    }
    set_mode(&lab.node.dir, 0o700);
    assert_eq!(before, lab.node.version(), "something was changed");
    assert!(
        lab.node.log().contains("permission denied for user"),
        "it is logged"
    );
}
