//! What an agent says of itself, read from the XML that its `meta-data` action prints. Agents are careless with
//! it: a value may carry blanks, a flag may be missing, a `DOCTYPE` is usual.

use crate::executor::vocab::{Metadata, Parameter};
use crate::terms::text;
use crate::xml::{self, Element, Limits, ReadError};

/// Reads metadata.
pub fn parse(output: &str) -> Result<Metadata, ReadError> {
    Ok(read(&root(output)?))
}

/// The document of an agent; noise before it is skipped, since some agents log to standard output.
pub fn root(output: &str) -> Result<Element, ReadError> {
    let start = output
        .find("<?xml")
        .or_else(|| output.find("<resource-agent"))
        .unwrap_or(0);
    xml::parse(&output[start..], &Limits::METADATA)
}

fn read(root: &Element) -> Metadata {
    let list = |tag: &str| root.child(tag).into_iter().flat_map(|list| list.children());
    let flag = |element: &Element, name: &str| {
        element
            .get(name)
            .is_some_and(|value| text::is_true(Some(value.trim())))
    };
    let parameter = |element: &Element| {
        Some(Parameter {
            name: element.get("name")?.trim().to_owned(),
            unique: flag(element, "unique"),
            reloadable: flag(element, "reloadable"),
            private: flag(element, "private"),
            required: flag(element, "required"),
        })
    };
    let action = |element: &Element| Some(element.get("name")?.trim().to_owned());
    Metadata {
        parameters: list("parameters")
            .filter(|e| e.is("parameter"))
            .filter_map(parameter)
            .collect(),
        actions: list("actions")
            .filter(|e| e.is("action"))
            .filter_map(action)
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_is_read() {
        let text = r#"<?xml version="1.0"?>
<!DOCTYPE resource-agent SYSTEM "ra-api-1.dtd">
<resource-agent name="x" version="1.0"><version>1.1</version>
<parameters><parameter name="ip " unique="1" required="1"><content type="string"/></parameter>
<parameter name="pw" private="1" reloadable="1"/></parameters>
<actions><action name="start" timeout=" 20"/><action name="reload-agent"/></actions></resource-agent>"#;
        let metadata = parse(text).expect("agents print such text");
        let [ip, pw] = metadata.parameters.as_slice() else {
            panic!("{metadata:?}")
        };
        assert_eq!(
            (ip.name.as_str(), ip.unique, ip.required, ip.reloadable),
            ("ip", true, true, false)
        );
        assert!(pw.private && pw.reloadable);
        assert_eq!(metadata.actions, ["start", "reload-agent"]);
    }
}
