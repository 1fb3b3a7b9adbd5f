//! A session of Debian's crmsh, as shipped.

use std::time::Duration;

use super::lab::on_stage;
use super::session::*;

pub(crate) const SCENARIOS: &[crate::Scenario] = &[("crmsh::session", "/usr/sbin/crm", session)];

fn session() {
    on_stage(|stage| {
        let mut s = Session::new(stage, &["/usr/sbin/crm"], Duration::from_secs(10));
        stage
            .cluster
            .load("primitive d ocf:systole:Dummy\n")
            .unwrap();
        s.step("status", prints(&["Online: [ host1 host2 host3 ]"]));
        s.step("resource locate d", |stage, _| {
            stage.settle();
            let found = stage.runs_on("d");
            that(found.len() == 1, format!("d runs on {found:?}"))
        });
        s.step("resource stop d", runs("d", 0));
        s.step(
            "node attribute host1 set shelf 7",
            has("//nodes/node[@uname='host1']//nvpair[@name='shelf' and @value='7']"),
        );
        s.shell("$C node attribute host1 show shelf | cat", prints(&["7"]));
        s.refused("node attribute host1 show drawer", |stage, _| {
            let online = || stage.run("host2", &["crm_node", "-p"]).out;
            let all = stage.until(Duration::from_secs(5), || online().contains("host3"));
            that(all, "not all are online")
        });
        s.end();
    });
}
