//! Command lines on a CIB in a file: what is said, and what becomes of the CIB.

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use crate::{
    cli::{access::File, tools::output::Answer},
    xml::{self, Limits},
};

use super::*;

const CIB: &str = r##"<cib crm_feature_set="3.19.0" validate-with="pacemaker-4.0" admin_epoch="0" epoch="1" num_updates="0">
<configuration><crm_config/>
<nodes><node id="1" uname="n1"/><node id="2" uname="n2"/></nodes>
<resources>
 <primitive id="a" class="ocf" provider="pacemaker" type="Dummy"/>
 <primitive id="b" class="ocf" provider="pacemaker" type="Dummy"/>
 <clone id="c"><meta_attributes id="c-meta_attributes"><nvpair id="cm" name="is-managed" value="true"/></meta_attributes>
  <primitive id="m" class="ocf" provider="pacemaker" type="Dummy"/></clone>
</resources>
<constraints>
 <rsc_colocation id="ab" rsc="a" with-rsc="b" score="INFINITY"/>
 <rsc_location id="b1" rsc="b" node="n1" score="5"/>
 <rsc_location id="cli-prefer-a" rsc="a" role="Started" node="n1" score="INFINITY"/>
 <rsc_location id="cli-ban-b-on-n2" rsc="b" role="Started"><rule id="r" score="-INFINITY" boolean-op="and">
  <expression id="e" attribute="#uname" operation="eq" value="n2"/>
  <date_expression id="d" operation="lt" end="2001-01-01 00:00:00Z"/></rule></rsc_location>
</constraints></configuration><status/></cib>"##;

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Both nodes run an instance of the clone.
fn running() -> String {
    let node = |id: &str| {
        format!(
            "<node_state id='{id}' uname='n{id}' in_ccm='true' crmd='online' join='member' expected='member'>\
             <lrm id='{id}'><lrm_resources><lrm_resource id='m' class='ocf' provider='pacemaker' type='Dummy'>\
             <lrm_rsc_op id='m_last_0' operation_key='m_start_0' operation='start' call-id='2' rc-code='0' \
             op-status='0' interval='0' transition-key='1:0:0:u' transition-magic='0:0;1:0:0:u'/>\
             </lrm_resource></lrm_resources></lrm></node_state>"
        )
    };
    let status = format!("<status>{}{}</status>", node("1"), node("2"));
    CIB.replace("<status/>", &status)
}

/// Exit code, output and the configuration afterwards.
fn crm_resource(line: &str) -> (i32, String, Element) {
    crm_resource_on(CIB, line)
}

fn crm_resource_on(cib: &str, line: &str) -> (i32, String, Element) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cib.xml");
    std::fs::write(&file, cib).unwrap();
    let args: Vec<String> = line.split(' ').map(str::to_owned).collect();
    let kept = Kept::default();
    let mut tool = Tool {
        access: Box::new(File::new(&file)),
        out: Box::new(kept.clone()),
        answer: Answer::new("crm_resource", &args),
    };
    let result = run(&mut tool, &args);
    let exit = tool.close("crm_resource", result);
    let said = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
    let after = xml::parse(std::fs::read(&file).unwrap(), &Limits::CIB).unwrap();
    (exit.0, said, after)
}

#[test]
fn a_move_replaces_the_wish_before_it() {
    let (exit, said, after) = crm_resource("-M -r a -N n2");
    assert_eq!((exit, said.as_str()), (0, ""));
    let wish = after.find_id("cli-prefer-a").unwrap();
    assert_eq!(wish.get("node"), Some("n2"));
    // One change takes the old wish away, another makes the new one.
    assert_eq!(after.get("epoch"), Some("3"));
    assert_eq!(crm_resource("-M -r a -N nowhere").0, 105);
    assert_eq!(crm_resource("-M -r m:0 -N n1").0, 2);
    assert_eq!(crm_resource("-M -r a").0, 64);
}

#[test]
fn a_ban_says_what_it_means() {
    let (exit, said, after) = crm_resource("-B -r c -N n1");
    assert_eq!(exit, 0);
    assert!(
        said.starts_with("WARNING: Creating rsc_location constraint 'cli-ban-c-on-n1'"),
        "{said}"
    );
    assert!(after.find_id("cli-ban-c-on-n1").is_some());
    let (_, said, after) = crm_resource("-B -r c -N n1 -Q --promoted");
    assert_eq!(said, "");
    let ban = after.find_id("cli-ban-c-on-n1").unwrap();
    assert_eq!(ban.get("role"), Some("Promoted"));
}

#[test]
fn only_what_has_expired_is_cleared() {
    let (_, said, after) = crm_resource("-U -r b --expired");
    assert_eq!(said, "Removing constraint: cli-ban-b-on-n2\n");
    assert!(after.find_id("b1").is_some());
    let (_, said, _) = crm_resource("-U -r a --expired");
    assert_eq!(said, "");
    let (_, said, _) = crm_resource("-U -r a");
    assert_eq!(said, "Removing constraint: cli-prefer-a\n");
}

#[test]
fn a_meta_attribute_is_that_of_the_clone() {
    let (_, said, after) = crm_resource("-r m --meta -p is-managed -v false");
    assert!(
        said.starts_with("Performing update of 'is-managed' on 'c', the parent of 'm'"),
        "{said}"
    );
    assert_eq!(after.find_id("cm").unwrap().get("value"), Some("false"));
    let (_, said, after) = crm_resource("-r m --meta -p is-managed -v false --force");
    assert_eq!(
        said,
        "Set 'm' option: id=m-meta_attributes-is-managed set=m-meta_attributes name=is-managed value=false\n"
    );
    assert_eq!(after.find_id("cm").unwrap().get("value"), Some("true"));
    let (_, said, after) = crm_resource("-r c --meta -d is-managed");
    assert_eq!(said, "Deleted 'c' option: id=cm name=is-managed\n");
    assert!(after.find_id("cm").is_none() && after.find_id("c-meta_attributes").is_some());
}

#[test]
fn followers_get_the_same_value() {
    let (_, said, after) = crm_resource("-r b --meta -p target-role -v Stopped --recursive");
    assert_eq!(said.lines().count(), 2, "{said}");
    for id in [
        "a-meta_attributes-target-role",
        "b-meta_attributes-target-role",
    ] {
        assert_eq!(after.find_id(id).unwrap().get("value"), Some("Stopped"));
    }
}

#[test]
fn constraints_go_from_resource_to_resource() {
    let (_, said, _) = crm_resource("-a -r a");
    assert_eq!(
        said,
        "Locations:\n  * Node n1 (score=INFINITY, id=cli-prefer-a, rsc=a)\n\
         Resources a is colocated with:\n  * b (score=INFINITY, id=ab)\n    * Locations:\n      \
         * Node n1 (score=5, id=b1, rsc=b)\n"
    );
}

#[test]
fn an_attribute_that_is_missing_is_no_failure_but_a_resource_is() {
    assert_eq!(crm_resource("-r a -g nothing").0, 0);
    assert_eq!(crm_resource("-r z -g nothing").0, 105);
    assert_eq!(crm_resource("-W -r z").0, 105);
    assert_eq!(crm_resource("-W").0, 64);
    assert_eq!(crm_resource("-L extra").0, 64);
    // There is no such group, which is how it shall be.
    let (exit, _, configuration) = crm_resource("-D -r a -t group");
    assert_eq!(exit, 0);
    assert!(configuration.find_id("a").is_some());
    // It is still needed by a constraint.
    assert_ne!(crm_resource("-D -r a -t primitive").0, 0);
}

#[test]
fn what_cannot_be_read_has_no_form_yet() {
    let (exit, said, _) = crm_resource("--output-as=xml --list-options=nonsense");
    assert_eq!((exit, said.as_str()), (64, ""));
    let (_, said, _) = crm_resource("--output-as=xml -W -r a");
    assert!(
        said.contains("<nodes resource=\"a\"/>") && said.contains("code=\"0\""),
        "{said}"
    );
}

#[test]
fn instances_are_told_from_the_last_to_the_first_and_moved_from_where_one_is() {
    let running = running();
    let (_, said, _) = crm_resource_on(&running, "-W -r c");
    assert_eq!(
        said,
        "resource c is running on: n2\nresource c is running on: n1\n"
    );
    // The name that instances share means the first one where there must be one.
    let (exit, _, configuration) = crm_resource_on(&running, "-B -r m");
    assert_eq!(exit, 0);
    assert!(configuration.find_id("cli-ban-m-on-n1").is_some());
    assert_eq!(crm_resource_on(&running, "-B -r c").0, 64);
    let (exit, said, configuration) = crm_resource_on(&running, "-M -r c -N n1 --force");
    assert_eq!(exit, 0);
    assert!(said.contains("active in 2 locations"), "{said}");
    assert!(configuration.find_id("cli-prefer-c").is_some());
    let (_, said, _) = crm_resource_on(&running, "-Y -r m");
    assert_eq!(said, "Resource m:0 is running\n");
}
