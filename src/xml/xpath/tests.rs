use proptest::prelude::*;

use super::*;
use crate::xml::{Limits, parse};

const DOCUMENT: &str = r#"
<cib epoch="5">
  <configuration>
    <resources>
      <group id="g"><primitive id="a" class="ocf"><meta_attributes id="m">
        <nvpair id="n1" name="target-role" value="Stopped"/><nvpair id="n2" name="priority" value="5"/>
      </meta_attributes></primitive><primitive id="b" class="systemd"/></group>
      <primitive id="c" class="ocf"/>
    </resources>
  </configuration>
  <status><node_state id="1" uname="n1"/><node_state id="2" uname="n2"/></status>
</cib>"#;

fn find(xpath: &str) -> String {
    let root = parse(DOCUMENT, &Limits::CIB).unwrap();
    let found = match XPath::parse(xpath).and_then(|xpath| {
        xpath.select(&root).map(|found| {
            found
                .iter()
                .for_each(|m| assert!(m.element.ptr_eq(root.at(&m.path).unwrap())));
            found
                .iter()
                .map(|m| match m.attribute {
                    Some((name, value)) => format!("@{name}={value}"),
                    None => format!(
                        "{}{}",
                        m.element.tag(),
                        m.element
                            .id()
                            .map(|id| format!("#{id}"))
                            .unwrap_or_default()
                    ),
                })
                .collect::<Vec<_>>()
        })
    }) {
        Ok(found) => found,
        Err(error) => return error.to_string(),
    };
    found.join(" ")
}

#[test]
fn what_tools_ask() {
    for (xpath, expected) in [
        ("/cib", "cib"),
        ("/", "cib"),
        ("//primitive", "primitive#a primitive#b primitive#c"),
        ("//primitive[@id='b']", "primitive#b"),
        ("/cib/configuration/resources/primitive", "primitive#c"),
        ("//node_state[@uname='n2']/@id", "@id=2"),
        ("/cib/@epoch", "@epoch=5"),
        ("//*[@id='n1']", "nvpair#n1"),
        (
            "//primitive[meta_attributes/nvpair[@name='target-role' and @value='Stopped']]",
            "primitive#a",
        ),
        (
            "//primitive[.//nvpair[@name='priority']/@value > 4]",
            "primitive#a",
        ),
        ("//primitive[not(@class='ocf')]", "primitive#b"),
        ("//nvpair/../..", "primitive#a"),
        ("//nvpair/ancestor::group", "group#g"),
        ("//primitive[1]", "primitive#a primitive#c"),
        ("(//primitive)[2]", "primitive#b"),
        ("//primitive[last()]", "primitive#b primitive#c"),
        ("//group/primitive[position()=2]", "primitive#b"),
        ("//group | //node_state[@id='1']", "group#g node_state#1"),
        ("//*[starts-with(@id,'n')]", "nvpair#n1 nvpair#n2"),
        ("//*[contains(@uname,'2')]", "node_state#2"),
        ("//primitive[@id='a']/following-sibling::*", "primitive#b"),
        ("//*[name()='group']", "group#g"),
        ("//resources/*[count(primitive)=2]", "group#g"),
        ("descendant::node_state[@id!='1']", "node_state#2"),
        (
            "//node_state[@id = //cib/status/node_state[2]/@id]",
            "node_state#2",
        ),
        (
            "//primitive[@class]/@*",
            "@id=a @class=ocf @id=b @class=systemd @id=c @class=ocf",
        ),
        ("//nothing", ""),
        ("/cib/status/node_state[@id='2']", "node_state#2"),
        (
            "/cib/status/node_state[@id='2' and @uname='n2'][@id]",
            "node_state#2",
        ),
        ("/cib/status/node_state[@id='2' and @uname='n1']", ""),
        ("/other/status", ""),
        ("/cib/status/*", "node_state#1 node_state#2"),
    ] {
        assert_eq!(find(xpath), expected, "{xpath}");
    }
}

#[test]
fn what_is_wrong_is_said() {
    for (xpath, expected) in [
        (
            "",
            "an element, `*` or `@attribute` expected at character 1",
        ),
        ("//a[", "an element"),
        ("//a[@b='x]", "a quote that is not closed at character 8"),
        (
            "//a]",
            "something that does not belong there at character 4",
        ),
        ("foo()", "function `foo` is not supported at character 1"),
        ("//a[count()]", "`count` with 0 arguments"),
        ("1+1", "it gives a value, not elements"),
        ("following::a", "no axis `following`"),
    ] {
        let found = find(xpath);
        assert!(found.contains(expected), "{xpath}: {found}");
    }
    assert!(find(&"(".repeat(100)).contains("nested too deep"));
}

#[test]
fn any_text_can_be_a_literal() {
    let root = Element::new("a").with("b", "it's \"so\"");
    for text in ["it's \"so\"", "x", "it's", "\""] {
        let xpath = XPath::parse(&format!("/a[@b={}]", literal(text))).unwrap();
        assert_eq!(
            xpath.select(&root).unwrap().len(),
            usize::from(text.contains("so")),
            "{text}"
        );
    }
}

#[test]
fn an_expensive_expression_is_stopped() {
    let wide = (0..3000).fold(Element::new("r"), |e, _| e.with_child(Element::new("a")));
    let xpath = XPath::parse("//a[count(//a[count(//a) > 1]) > 1]").unwrap();
    assert!(matches!(
        xpath.select(&wide),
        Err(XPathError::TooExpensive { .. })
    ));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[a-c/@*.\\[\\]()='0-9 :|<>!,é-]{0,30}") {
        find(&text);
    }
}

#[test]
fn what_is_walked_directly_comes_to_the_same_as_what_is_not() {
    for path in [
        "/cib/status/node_state[@id='1' and not(@uname='n2')]",
        "/cib/status/node_state[@id='2' and not(@uname='n2')]",
        "/cib/status/node_state[not(@crmd)]",
        "/cib/status/node_state[not(@uname)]",
    ] {
        assert_eq!(find(path), find(&format!("({path})")), "{path}");
    }
    assert_eq!(
        find("/cib/status/node_state[@id='1' and not(@uname='n2')]"),
        "node_state#1"
    );
}
