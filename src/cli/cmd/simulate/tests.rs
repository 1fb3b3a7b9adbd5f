//! The command as it is called: words in, files, text and an exit status out.

use std::path::Path;

use super::*;

const CIB: &str = r#"<cib validate-with="pacemaker-4.0" have-quorum="1" dc-uuid="1" execution-date="1700000000"><configuration><crm_config><cluster_property_set id="o"><nvpair id="o-f" name="fencing-enabled" value="false"/></cluster_property_set></crm_config><nodes><node id="1" uname="h1"/></nodes><resources><primitive id="a" class="ocf" provider="x" type="D"/></resources><constraints/></configuration><status><node_state id="1" uname="h1" in_ccm="true" crmd="online" join="member" expected="member"/></status></cib>"#;

/// Exit status, output and errors; `CIB` in a word is the file with the CIB, `OUT` one that is written.
fn called(cib: &str, words: &str, folder: &Path) -> (CrmExit, String, String) {
    let (file, written) = (folder.join("cib.xml"), folder.join("out"));
    std::fs::write(&file, cib).expect("a file is written");
    let place = |word: &str| {
        let word = word.replace("CIB", &file.display().to_string());
        OsString::from(word.replace("OUT", &written.display().to_string()))
    };
    let words: Vec<OsString> = words.split(' ').map(place).collect();
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    let exit = run(&words, &mut out, &mut errors);
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (exit, text(out), text(errors))
}

fn written(words: &str) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (exit, _, errors) = called(CIB, words, folder.path());
    assert_eq!(exit, CrmExit::OK, "{errors}");
    std::fs::read_to_string(folder.path().join("out")).expect("it was written")
}

#[test]
fn what_is_not_valid_is_not_scheduled() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let wrong = CIB.replace(
        "<constraints/>",
        "<constraints><rsc_odd id=\"x\"/></constraints>",
    );
    let (exit, out, errors) = called(&wrong, "-S -x CIB", folder.path());
    assert_eq!((exit, out.as_str()), (CrmExit::CONFIG, ""));
    assert!(errors.contains("<rsc_odd id=\"x\">"), "{errors}");
    let with = |schema: &str| {
        let unchecked = wrong.replace("validate-with=\"pacemaker-4.0\" ", schema);
        called(&unchecked, "-S -x CIB", folder.path()).0
    };
    // Whoever switched the check off knows why; one that names no schema only forgot it.
    assert_eq!(with("validate-with=\"none\" "), CrmExit::OK);
    assert_eq!(with(""), CrmExit::CONFIG);
}

#[test]
fn what_only_a_newer_schema_allows_is_taken_for_that() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let tags = "<constraints/><tags><tag id=\"t\"><obj_ref id=\"a\"/></tag></tags>";
    let newer = CIB.replace("<constraints/>", tags);
    let newer = newer.replace("pacemaker-4.0", "pacemaker-1.0");
    let (exit, out, errors) = called(&newer, "-S -x CIB", folder.path());
    assert_eq!(exit, CrmExit::OK, "{errors}");
    assert!(
        errors.contains("is not valid for the schema pacemaker-1.0"),
        "{errors}"
    );
    assert!(out.contains("Revised Cluster Status"), "{out}");
}

#[test]
fn drawings_are_written_with_numbers_if_wanted() {
    let plain = written("-x CIB -D OUT");
    assert!(plain.contains("\"a_start_0 h1\" ["), "{plain}");
    let numbered = written("-x CIB -V -D OUT");
    assert!(numbered.contains("\"a_start_0 h1 (2)\" ["), "{numbered}");
    assert!(
        numbered.contains("\"a_monitor_0 h1 (1)\" -> \"a_start_0 h1 (2)\""),
        "{numbered}"
    );
    let picture = written("-x CIB --save-svg=OUT");
    assert!(
        picture.contains(">probe</text>") && picture.contains(">start</text>"),
        "{picture}"
    );
}

#[test]
fn names_that_nobody_knows_are_told() {
    let told = |options: &str| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        called(CIB, options, folder.path()).2
    };
    for (options, about) in [
        (
            "-x CIB -S -d nobody",
            "--node-down nobody: there is no such node",
        ),
        ("-x CIB -S -t junk", "--set-datetime junk: no point of time"),
        ("-x CIB -S -q maybe", "--quorum maybe: taken for false"),
        (
            "-x CIB -S -F junk",
            "--op-fail junk: expected RESOURCE_TASK",
        ),
        ("-x CIB -S -F b_start_0@h1=1", "there is no resource b"),
    ] {
        let errors = told(options);
        assert!(errors.contains(about), "{options}: {errors}");
    }
    assert_eq!(told("-x CIB -S -F a_start_0@h1=0"), "");
}

#[test]
fn every_option_of_the_help_is_known() {
    let words = args::HELP
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("--"));
    for word in words {
        let name = word
            .split('=')
            .next()
            .expect("split yields at least one part");
        let given = OsString::from(format!("--{name}=1"));
        if let Err(UsageError::Unknown(name)) = Options::parse(&[given]) {
            panic!("{name} is in the help only");
        }
    }
}
