//! One thing of the configuration shown or changed: an option, an attribute, an operation, the schema.

use std::time::Duration;

use super::{change, configure, resource};
use crate::{
    cib::{Cib, Command, Op, Target, config::options},
    cli::{
        failure::Failure,
        language::{Document, Mode, parse_all},
        shell::Shell,
        tools,
    },
    process::{self, How, Spec},
    terms::{CrmExit, span},
    xml::{self, Element, Limits},
};

/// How long a program may take that rewrites objects.
const FILTER_TIME: Duration = Duration::from_secs(60);

/// Values in force: set by somebody, or the default.
pub(super) fn get_properties(shell: &mut Shell, names: &[String]) -> Result<(), Failure> {
    let cib = Cib::new(shell.session()?.changed());
    for name in names {
        let value = options::value(&cib, name).ok_or_else(|| {
            let known = options::find(name).is_some();
            let text = match known {
                true => format!("{name} is not set and has no default"),
                false => format!("there is no cluster option {name:?}, and nobody set one"),
            };
            Failure::new(CrmExit::NO_SUCH, text)
                .cure("crm_attribute --list-options=cluster --all lists them")
        })?;
        shell.say(value)?;
    }
    Ok(())
}

/// Change the pending configuration as a tree.
fn edit(
    shell: &mut Shell,
    work: impl FnOnce(&mut Element) -> Result<(), Failure>,
) -> Result<(), Failure> {
    configure::change(shell, |session| {
        let mut root = session.changed();
        work(&mut root)?;
        let configuration = root.child("configuration").cloned();
        session.document =
            Document::new(configuration.unwrap_or_else(|| Element::new("configuration")));
        Ok(())
    })
}

fn with<T>(element: &mut Element, id: &str, work: &mut dyn FnMut(&mut Element) -> T) -> Option<T> {
    if element.id() == Some(id) {
        return Some(work(element));
    }
    element
        .children_mut()
        .find_map(|child| with(child, id, work))
}

/// `ID.NAME` or `ID.OPERATION.NAME`.
pub(super) fn set(shell: &mut Shell, path: &str, value: &str) -> Result<(), Failure> {
    let parts: Vec<&str> = path.split('.').collect();
    let (id, op, name) = match parts.as_slice() {
        [id, name] => (*id, None, *name),
        [id, op, name] => (*id, Some(*op), *name),
        _ => {
            return Err(Failure::usage(format!("{path:?} names nothing"))
                .cure("ID.NAME, or RESOURCE.OPERATION.NAME"));
        }
    };
    edit(shell, |root| {
        let configuration = root.child_or_new("configuration");
        let done = with(configuration, id, &mut |element| match op {
            None => set_in(element, name, value),
            Some(op) => {
                let ops = element
                    .children_mut()
                    .filter(|child| child.is("operations"));
                let mut ops = ops.flat_map(Element::children_mut);
                ops.find(|found| found.get("name") == Some(op))
                    .is_some_and(|found| {
                        found.set(name, value);
                        true
                    })
            }
        });
        match done {
            Some(true) => Ok(()),
            Some(false) => Err(
                Failure::new(CrmExit::NO_SUCH, format!("{id} has no {name}"))
                    .cure("set changes what is there; crm resource param and meta add something"),
            ),
            None => Err(
                Failure::new(CrmExit::NO_SUCH, format!("there is no object {id:?}"))
                    .cure("crm configure show lists all objects"),
            ),
        }
    })
}

/// An attribute in a set of the object's own, or of the object itself.
fn set_in(element: &mut Element, name: &str, value: &str) -> bool {
    let sets = ["instance_attributes", "meta_attributes", "utilization"];
    let own = element
        .children_mut()
        .filter(|set| sets.contains(&set.tag()))
        .flat_map(Element::children_mut);
    let mut pairs = own.filter(|pair| pair.is("nvpair") && pair.get("name") == Some(name));
    if let Some(pair) = pairs.next() {
        pair.set("value", value);
        return true;
    }
    drop(pairs);
    let there = name != "id" && element.has(name);
    if there {
        element.set(name, value);
    }
    there
}

/// `RESOURCE[:ROLE] INTERVAL[:TIMEOUT]`
pub(super) fn monitor(shell: &mut Shell, rsc: &str, times: &str) -> Result<(), Failure> {
    let (id, role) = rsc
        .split_once(':')
        .map_or((rsc, None), |(id, role)| (id, Some(role)));
    let (interval, timeout) = times
        .split_once(':')
        .map_or((times, None), |(interval, timeout)| {
            (interval, Some(timeout))
        });
    for time in std::iter::once(interval).chain(timeout) {
        span::parse_ms(time).map_err(|_| {
            Failure::usage(format!("{time:?} is no time")).cure("write for example 10s:20s")
        })?;
    }
    edit(shell, |root| {
        let (element, _) =
            change::resource(root, id).ok_or_else(|| resource::no_resource(root, id))?;
        if !element.is("primitive") {
            return Err(Failure::usage(format!("{id} is a {}", element.tag()))
                .cure("only primitives are monitored"));
        }
        let mut own = format!("{id}-monitor-{interval}");
        own.extend(role.map(|role| format!("-{role}")));
        let op = Element::new("op")
            .with("id", own)
            .with("name", "monitor")
            .with("interval", interval)
            .with_some("timeout", timeout)
            .with_some("role", role);
        let mut twice = false;
        change::with_resource(root, id, &mut |element| {
            let operations = element.child_or_new("operations");
            twice = operations.children().any(|known| {
                known.get("name") == Some("monitor")
                    && known.get("role") == role
                    && span::ms_or_zero(known.get("interval")) == span::ms_or_zero(Some(interval))
            });
            if !twice {
                operations.push(op.clone());
            }
        });
        match twice {
            false => Ok(()),
            true => Err(Failure::new(
                CrmExit::EXISTS,
                format!("{id} is monitored every {interval} already"),
            )
            .cure(format!("crm configure edit {id}"))),
        }
    })
}

/// At least what the agents ask for.
pub(super) fn default_timeouts(shell: &mut Shell, ids: &[String]) -> Result<(), Failure> {
    let root = shell.session()?.changed();
    let mut wanted = Vec::new();
    for id in ids {
        let (element, _) =
            change::resource(&root, id).ok_or_else(|| resource::no_resource(&root, id))?;
        let part = |name: &str| element.get(name).map(str::to_owned);
        let name: Vec<String> = ["class", "provider", "type"]
            .into_iter()
            .filter_map(part)
            .collect();
        let text = tools::captured(shell, "crm_resource", &["--show-metadata", &name.join(":")])?;
        let metadata = xml::parse(text.as_bytes(), &Limits::METADATA)
            .map_err(|error| Failure::new(CrmExit::DATA, format!("{}: {error}", name.join(":"))))?;
        let actions = metadata
            .child("actions")
            .into_iter()
            .flat_map(Element::children);
        for action in actions {
            let op = action.get("name").unwrap_or_default();
            if let (Some(timeout), "start" | "stop" | "monitor" | "promote" | "demote" | "notify") =
                (action.get("timeout"), op)
            {
                let role = action.get("role").map(str::to_owned);
                wanted.push((id.clone(), op.to_owned(), role, timeout.to_owned()));
            }
        }
    }
    edit(shell, |root| {
        for (id, name, role, timeout) in &wanted {
            change::with_resource(root, id, &mut |element| {
                let there = element
                    .children_mut()
                    .filter(|child| child.is("operations"));
                for op in there.flat_map(Element::children_mut) {
                    let same = op.get("name") == Some(name.as_str())
                        && (role.is_none() || op.get("role") == role.as_deref());
                    if same
                        && span::ms_or_zero(op.get("timeout"))
                            < span::ms_or_zero(Some(timeout.as_str()))
                    {
                        op.set("timeout", timeout);
                    }
                }
            });
        }
        Ok(())
    })
}

/// Show it, or go over to another one.
pub(super) fn schema(shell: &mut Shell, name: Option<String>) -> Result<(), Failure> {
    let root = shell.cib()?.into_root();
    let now = root.get("validate-with").unwrap_or("none").to_owned();
    let Some(name) = name else {
        return shell.say(&now);
    };
    let input = Element::new("cib").with("validate-with", &name);
    let command = Command::new(Op::Modify, Target::Whole, Some(input));
    shell.access.write(command).map(|_| ())?;
    shell.session = None;
    Ok(())
}

/// What a program makes of objects takes their place.
pub(super) fn filter(shell: &mut Shell, program: &str, ids: &[String]) -> Result<(), Failure> {
    let session = shell.session()?;
    if let Some(missing) = ids.iter().find(|id| session.document.find(id).is_none()) {
        return Err(
            Failure::new(CrmExit::NO_SUCH, format!("there is no object {missing:?}"))
                .cure("crm configure show lists all objects"),
        );
    }
    let text = match ids {
        [] => session.document.show(|_, _| true),
        ids => ids
            .iter()
            .filter_map(|id| session.document.text(id))
            .map(|text| text + "\n")
            .collect(),
    };
    let new = filtered(program, text)?;
    let whole = ids.is_empty();
    configure::change(shell, |session| {
        if !whole {
            return configure::put(&mut session.document, &new, Mode::Define);
        }
        let wrong = |error| Failure::syntax(error, &new, CrmExit::CONFIG);
        let objects = parse_all(&new).map_err(wrong)?;
        let mut changed = session.document.clone();
        changed.replace_all(objects).map_err(wrong)?;
        session.document = changed;
        Ok(())
    })
}

/// What a program writes that is given a text.
fn filtered(program: &str, text: String) -> Result<String, Failure> {
    let failed = |why: String| {
        Failure::new(CrmExit::ERROR, format!("{program:?}: {why}")).cure("nothing was changed")
    };
    let mut spec = Spec::new("/bin/sh")
        .arg("-c")
        .arg(program)
        .timeout(FILTER_TIME);
    for name in ["PATH", "HOME", "LANG"] {
        if let Some(value) = std::env::var_os(name) {
            spec = spec.env(name, value);
        }
    }
    spec.stdin = Some(text.into_bytes());
    spec.output_limit = Limits::STORED.bytes;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let ended = runtime.block_on(process::run(spec, std::future::pending()));
    match ended.how {
        How::Exited(0) if ended.stdout.truncated() => Err(failed("it writes too much".into())),
        How::Exited(0) => Ok(ended.stdout.text()),
        How::Exited(code) => {
            let said = ended.stderr.text();
            Err(failed(format!("exit code {code}: {}", said.trim())))
        }
        how => Err(failed(format!("it did not end well: {how:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_rewrites_a_text() {
        let new = filtered("sed s/a/b/", "primitive a\n".to_owned()).expect("it runs");
        assert_eq!(new, "primitive b\n");
        assert!(filtered("exit 3", String::new()).is_err());
    }

    #[test]
    fn an_attribute_is_set_where_it_is() {
        let text = "<primitive id='a' class='ocf'><instance_attributes id='s'>\
            <nvpair id='p' name='ip' value='1'/></instance_attributes></primitive>";
        let mut element = xml::parse(text.as_bytes(), &Limits::CIB).expect("well-formed");
        assert!(set_in(&mut element, "ip", "2"));
        assert_eq!(
            element.find_id("p").and_then(|pair| pair.get("value")),
            Some("2")
        );
        assert!(set_in(&mut element, "class", "lsb"));
        assert!(!set_in(&mut element, "id", "b") && !set_in(&mut element, "nothing", "x"));
    }
}
