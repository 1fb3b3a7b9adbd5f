//! A report about the whole cluster, made on one host.

use crate::cluster::{Stage, on_stage_of};

pub(crate) const SCENARIOS: &[crate::Scenario] = &[(
    "report::every_host_adds_its_part_and_the_lost_one_is_named",
    every_host_adds_its_part_and_the_lost_one_is_named,
)];

fn every_host_adds_its_part_and_the_lost_one_is_named() {
    on_stage_of(3, false, |stage| {
        let Stage { lab, cluster, .. } = stage;
        let secret = "primitive p ocf:systole:Dummy params passwd=hunter2";
        cluster.load(secret).unwrap();
        lab.crash("host3").unwrap();
        let dest = lab.disk("host1").join("whole").display().to_string();
        let program = lab.program().display().to_string();
        // In place of ssh something that reaches nobody.
        let words = "crm_report -f @0 -d -e /bin/false --dest";
        let mut argv = vec![program.as_str()];
        argv.extend(words.split(' '));
        argv.push(&dest);
        let made = cluster.run("host1", &argv).unwrap();
        assert_eq!(made.code, 0, "{} {}", made.out, made.err);
        assert!(made.err.contains("host3 is not in it: "), "{}", made.err);
        let cat = |file: &str| {
            let path = format!("{dest}/{file}");
            let found = cluster.run("host1", &["/bin/cat", &path]).unwrap();
            assert_eq!(found.code, 0, "{file}: {}", found.err);
            found.out
        };
        for host in ["host1", "host2"] {
            let cib = cat(&format!("{host}/cib.xml"));
            assert!(cib.contains("name=\"passwd\" value=\"****\""), "{cib}");
            // Each asked its own daemon: the node's own file is only there.
            let config = cat(&format!("{host}/node.toml"));
            assert!(config.contains(&format!("name = \"{host}\"")), "{config}");
        }
        let summary = cat("report.summary");
        assert!(summary.contains("Report of host1, host2,"), "{summary}");
        assert!(summary.contains("  host3: "), "{summary}");
        // Nothing of it is left on the other host.
        let disk = lab.disk("host2").display().to_string();
        let left = cluster.run("host2", &["/bin/ls", &disk]).unwrap();
        assert!(!left.out.contains("report-"), "{}", left.out);
    });
}
