//! Words that no command knows, and the help that says which ones it does.

use super::*;

/// Every command tells what it is for, with an example.
pub(crate) fn help(_: &Lab) {
    let told = |words: &[&str]| {
        let mut all = words.to_vec();
        all.push("--help");
        let help = ran(&mut systole(&all)).fine().out;
        assert!(
            help.contains("Example"),
            "{words:?} has no example:\n{help}"
        );
        commands_in(&help)
    };
    for command in told(&[]) {
        let below = told(&[&command]);
        if command != "crm" {
            continue;
        }
        for level in below {
            for command in told(&["crm", &level]) {
                told(&["crm", &level, &command]);
            }
        }
    }
}

/// The commands that a help text lists.
fn commands_in(help: &str) -> Vec<String> {
    let listed = help.split("Commands:\n").nth(1).unwrap_or_default();
    let lines = listed.lines().take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names
        .filter(|name| !name.is_empty() && *name != "help")
        .map(str::to_owned)
        .collect()
}

pub(crate) fn wrong_usage(_: &Lab) {
    let usage: [(&[&str], &str); 11] = [
        (&[], "Usage: systole"),
        (&["nonsense"], "nonsense"),
        (&["daemon", "--nonsense"], "--nonsense"),
        (&["init"], "--address"),
        (&["join", "--name", "n2"], "TOKEN"),
        (&["crm", "nonsense"], "nonsense"),
        (&["simulate", "--nonsense"], "--nonsense"),
        (&["demo", "--nonsense"], "--nonsense"),
        (&["cibadmin", "--nonsense"], "--nonsense"),
        (&["crm_node"], "nothing is asked"),
        (&["crm_node", "--remove", "n1"], "--force"),
    ];
    for (words, said) in usage {
        ran(&mut systole(words)).refused(64, &[said]);
    }
    let nowhere = ran(systole(&["crm", "status"]).env("SYSTOLE_DIR", "/does/not/exist"));
    nowhere.refused(102, &["/does/not/exist", "is `systole daemon` running?"]);
    let homeless = ran(&mut systole(&["daemon", "--dir", "/does/not/exist"]));
    homeless.refused(100, &["systole init"]);
}
