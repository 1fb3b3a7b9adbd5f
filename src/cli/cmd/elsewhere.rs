//! Words of the crm shell that mean nothing here, or are said in another way: each is answered with what to type.

use crate::{
    cli::{failure::Failure, shell::Shell, tools},
    terms::CrmExit,
};

/// What a word meant, and what does it here.
const ANSWERS: &[(&str, &str, &str)] = &[
    (
        "assist",
        "templates of configurations are not kept",
        "crm configure rsc_template makes one for primitives; crm configure colocation with a negative score keeps apart",
    ),
    (
        "cibstatus",
        "the status of the cluster is not edited",
        "systole simulate tries events on a copy: -u, -d, -f NODE, -i and -F for operations, -q for quorum, -g and -r for tickets",
    ),
    (
        "corosync",
        "there is no Corosync: nodes speak to each other directly",
        "crm cluster status shows members and paths; crm cluster set-address, role, join and remove change them",
    ),
    (
        "options",
        "the shell keeps no preferences",
        "EDITOR names the editor, NO_COLOR ends colours, -w waits, -F forces, --json is for programs",
    ),
    (
        "script",
        "the shell runs no scripts on other machines",
        "crm -f FILE runs a file of commands; crm apply -f FILE makes the configuration what a file says",
    ),
    (
        "template",
        "templates of configurations are not kept",
        "crm configure load update FILE reads one; cib-examples has some to begin with",
    ),
    (
        "cluster start",
        "the daemon is a service of this machine",
        "systemctl start systole",
    ),
    (
        "cluster restart",
        "the daemon is a service of this machine",
        "systemctl restart systole: what runs goes on meanwhile",
    ),
    (
        "cluster enable",
        "the daemon is a service of this machine",
        "systemctl enable systole",
    ),
    (
        "cluster disable",
        "the daemon is a service of this machine",
        "systemctl disable systole",
    ),
    (
        "cluster copy",
        "the shell copies no files between machines",
        "scp; what the cluster needs of its configuration is on all nodes already",
    ),
    (
        "cluster diff",
        "the shell compares no files between machines",
        "crm doctor says what differs between nodes and matters",
    ),
    (
        "cluster run",
        "the shell runs no commands on other machines",
        "ssh",
    ),
    (
        "cluster rename",
        "the cluster has no name that anything depends on",
        "crm configure property cluster-name=NAME",
    ),
    (
        "cluster crash_test",
        "faults are tried with other words",
        "crm drill --node NODE --really, or systole lab chaos on namespaces of this machine",
    ),
    (
        "cluster geo",
        "sites are tied together by a booth of your own",
        "crm configure rsc_ticket and crm site ticket are there for it",
    ),
    (
        "configure rsctest",
        "resources are tested one by one, where they are",
        "crm maintenance action RESOURCE monitor, crm ra validate AGENT NAME=VALUE, or crm configure simulate",
    ),
    (
        "configure user",
        "access of users is written in the way of newer schemas",
        "crm configure acl_target USER ROLE",
    ),
    (
        "history refresh",
        "transitions are read from this node's disk each time",
        "crm report collects files of a time; systole simulate and crm history show read a saved input by its path",
    ),
];

/// Say what to type instead.
pub(crate) fn answer(shell: &mut Shell, word: &str, rest: &[String]) -> Result<(), Failure> {
    // What clients ask of Corosync is known.
    if word == "corosync" && rest.first().is_some_and(|word| word == "status") {
        return tools::within(shell, "corosync-quorumtool", &["-s"]);
    }
    let found = ANSWERS.iter().find(|(known, ..)| *known == word);
    let (text, cure) = found.map_or(("it means nothing here", "help"), |(_, text, cure)| {
        (*text, *cure)
    });
    let said = Failure::new(CrmExit::UNIMPLEMENTED, format!("crm {word}: {text}"));
    Err(said.cure(cure))
}

#[cfg(test)]
mod tests {
    use super::ANSWERS;

    #[test]
    fn every_answer_says_what_to_do() {
        for (word, text, cure) in ANSWERS {
            assert!(
                !word.is_empty() && !text.is_empty() && !cure.is_empty(),
                "{word}"
            );
            assert!(!text.ends_with('.') && !cure.ends_with('.'), "{word}");
        }
    }
}
