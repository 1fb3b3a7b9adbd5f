//! Any element as a rule of a location constraint and of a set of options.
#![no_main]

use libfuzzer_sys::fuzz_target;
use systole::policy::{self, Input};
use systole::xml::{self, Element, Limits};

/// A node to judge and a resource to place.
const CIB: &str = r##"<cib validate-with="pacemaker-4.0"><configuration><crm_config>
<cluster_property_set id="o"><nvpair id="o1" name="stonith-enabled" value="false"/></cluster_property_set>
</crm_config><nodes><node id="1" uname="n1"><instance_attributes id="a"><nvpair id="a1" name="rack" value="7"/>
</instance_attributes></node></nodes><resources><primitive id="db" class="ocf" provider="p" type="Dummy"/></resources>
<constraints><rsc_location id="l" rsc="db"/></constraints></configuration><status>
<node_state id="1" uname="n1" in_ccm="true" crmd="online" join="member" expected="member"/></status></cib>"##;

fuzz_target!(|bytes: &[u8]| {
    let Ok(rule) = xml::parse(bytes, &Limits::default()) else {
        return;
    };
    let mut cib = xml::parse(CIB, &Limits::default()).expect("the frame is well-formed");
    let configuration = cib.child_mut("configuration").expect("the frame has one");
    let constraints = configuration.child_mut("constraints").expect("it has some");
    if let Some(location) = constraints.child_mut("rsc_location") {
        location.push(rule.clone());
    }
    let set = Element::new("cluster_property_set").with("id", "ruled").with_child(rule);
    configuration.child_or_new("crm_config").push(set);
    let first = policy::schedule(&cib, &Input::at(1_717_600_000));
    let again = policy::schedule(&cib, &Input::at(1_717_600_000));
    assert_eq!(first.graph, again.graph);
});
