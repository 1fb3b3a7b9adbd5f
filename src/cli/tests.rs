//! The shell on CIB files, text in and text out.

use crate::{cib::Cib, terms::CrmExit, xml::write};

use super::{access::File, entry, shell::Shell, tools::Kept};

mod explain;
mod words;

/// Run lines one after the other on an empty CIB; output, errors and exit codes that are not 0.
fn session(lines: &[&str]) -> String {
    session_on(&write::pretty(Cib::empty().root()), lines)
}

/// The same on this one.
fn session_on(cib: &str, lines: &[&str]) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("cib.xml");
    std::fs::write(&file, cib).expect("a file is written");
    let mut said = String::new();
    for line in lines {
        let kept = Kept::default();
        let mut shell = Shell::new(Box::new(File::new(&file)));
        shell.out = Box::new(kept.clone());
        shell.errors = Box::new(kept.clone());
        shell.colour = false;
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let exit = match entry::parse_line(&words) {
            Ok(line) => match shell.run(line) {
                Ok(()) => CrmExit::OK,
                Err(failure) => shell.fail(&failure),
            },
            Err(_) => CrmExit::USAGE,
        };
        let text = kept.take();
        said.push_str(&format!("$ {line}\n{text}"));
        if exit != CrmExit::OK {
            said.push_str(&format!("[{}]\n", exit.0));
        }
    }
    said
}

#[test]
fn a_configuration_grows() {
    insta::assert_snapshot!(session(&[
        "configure node 1: n1",
        "configure node 2: n2",
        "configure property stonith-enabled=false",
        "configure property no-quorum-policy=banana",
        "configure property no-quorum-polcy=stop",
        "configure primitive a ocf:systole:Dummy meta priority=5",
        "configure primitive b ocf:systole:Dummy",
        "configure primitive t ocf:systole:Dummy op monitor interval=10s timout=5s",
        "configure delete t",
        "configure group g a b",
        "configure primitive a ocf:systole:Dummy",
        "configure colocation c inf: g g",
        "configure colocation c inf: g zz",
        "configure location l g 100: n1",
        "resource stop g",
        "resource move g n2",
        "resource move g n3",
        "node standby n1",
        "node attribute n1 set rack a",
        "node attribute n1 show rack",
        "configure show",
        "resource clear g",
        "configure delete l",
        "configure delete l",
        "configure rename b bb",
        "resource meta g delete target-role",
        "configure show g bb type:location",
        "resource strt g",
    ]));
}

#[test]
fn passwords_are_hidden_and_a_mask_stands_for_what_is_there() {
    insta::assert_snapshot!(session(&[
        "configure primitive f ocf:systole:Dummy params passwd=hunter2 fake=x",
        "configure show f",
        "configure show obscure:fak* f",
        "configure show obscure:[ f",
        "configure show xml f",
        "configure primitive g ocf:systole:Dummy params passwd=******",
        "-F configure primitive f ocf:systole:Dummy params passwd=****** fake=y",
        "configure save - f",
    ]));
}

#[test]
fn a_wrong_word_in_a_file_of_commands_is_shown() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (file, commands) = (folder.path().join("cib.xml"), folder.path().join("b.crm"));
    std::fs::write(&file, write::pretty(Cib::empty().root())).expect("a file is written");
    let text = "configure\nprimitive a ocf:systole:Dummy\nprimitve b ocf:systole:Dummy\n";
    std::fs::write(&commands, text).expect("a file is written");
    let mut shell = Shell::new(Box::new(File::new(&file)));
    let failure = super::prompt::batch(&mut shell, &commands.display().to_string())
        .expect_err("a word is wrong");
    assert_eq!(
        failure.message,
        "line 3: unrecognized subcommand 'primitve'"
    );
    let (source, span) = failure.source.expect("its place is known");
    assert_eq!(&source[span], "primitve");
    let cib = shell.cib().expect("the file is read");
    assert!(cib.root().find_id("a").is_none(), "nothing is committed");
}
