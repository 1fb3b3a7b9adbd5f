//! Changes tried on a copy first, and a question asked of the policy about a cluster that is not.

use super::*;

pub(super) fn play(s: &mut Session<'_>) {
    s.stage
        .cluster
        .load("primitive d1 ocf:systole:Dummy\nprimitive d2 ocf:systole:Dummy\n")
        .unwrap();
    s.stage.settle();
    s.step("cib new trial", |stage, _| {
        that(
            stage
                .sh("host1", "ls /var/lib/pacemaker/cib/shadow.trial")
                .code
                == 0,
            "there is no copy",
        )
    });
    s.step("cib list", prints(&["trial"]));
    s.step(
        "-c trial configure primitive d3 ocf:systole:Dummy",
        has_times("//primitive[@id='d3']", 0),
    );
    s.step(
        "-c trial configure show d3",
        prints(&["primitive d3 ocf:systole:Dummy"]),
    );
    s.step("-c trial cib diff", prints(&["d3"]));
    s.step("-c trial configure ptest nograph", prints(&["d3"]));
    s.step("cib commit trial", runs("d3", 1));
    s.step(
        "-c trial configure property maintenance-mode=true",
        has_times("//nvpair[@name='maintenance-mode']", 0),
    );
    s.step("cib reset trial", |stage, _| {
        let shown = stage.sh("host1", "CIB_shadow=trial cibadmin -Q").out;
        that(!shown.contains("maintenance-mode"), "it is as it was")
    });
    s.step("-c trial configure show", |_, ran| {
        says(&ran.out, &["primitive d3"])?;
        that(
            !ran.out.contains("maintenance-mode"),
            "the copy is not that of the cluster",
        )
    });
    s.shell(
        "printf 'cib use trial\\nconfigure primitive d4 ocf:systole:Dummy\\ncib commit trial\\ncib use live\\n' | $C -f -",
        runs("d4", 1),
    );
    s.step("cib delete trial", |stage, _| {
        that(
            stage
                .sh("host1", "ls /var/lib/pacemaker/cib/shadow.trial")
                .code
                != 0,
            "the copy is still there",
        )
    });
    s.refused("cib commit nothing", succeeds);
    s.step("cib new bare empty", |stage, _| {
        let shown = stage.sh("host1", "CIB_shadow=bare cibadmin -Q").out;
        that(!shown.contains("primitive"), "it is not empty")
    });
    s.step("cib delete bare", succeeds);
    s.shell(
        "printf 'cibstatus load live\\ncibstatus simulate nograph scores\\n' | $C -f -",
        |stage, ran| {
            says(
                &ran.out,
                &["Transition Summary", "d1 allocation score on host1"],
            )?;
            runs("d1", 1)(stage, ran)
        },
    );
    s.shell(
        "printf 'configure\\nprimitive d5 ocf:systole:Dummy\\nlocation p5 d5 inf: host2\\nverify\\nshow changed\\ncommit\\nup\\nbye\\n' | $C -f -",
        |stage, ran| {
            says(&ran.out, &["primitive d5"])?;
            runs_at("d5", "host2")(stage, ran)
        },
    );
    s.refused(
        "configure primitive d6 ocf:systole:Nothing",
        has_times("//primitive[@id='d6']", 0),
    );
}
