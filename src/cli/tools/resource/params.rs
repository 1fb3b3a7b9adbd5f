//! `--get-parameter`, `--set-parameter`, `--delete-parameter`: one attribute of a resource, in a set or of the element.
//! A meta attribute that a clone and its member could both hold is looked for in both, so that one value rules.

use crate::{
    cib::{self, Cib, Command, Op, Target},
    cli::{
        cmd::{change, change::Set, facts_of, resource::no_resource},
        failure::Failure,
        show::xml::text_element,
        tools::Tool,
    },
    policy::constraints,
    terms::text,
    xml::Element,
};

use super::{Asked, Kind, constraints::followers, find, found, look::item_list};

/// Show the value in effect.
pub(super) fn get(tool: &mut Tool, asked: &Asked) -> Result<(), Failure> {
    let (id, name) = (asked.need_rsc()?, asked.given.as_str());
    let cib = tool.access.cib()?;
    let facts = facts_of(&cib);
    let rsc = found(&facts, &cib, id)?;
    let it = &facts.rscs[rsc];
    let value = match asked.kind {
        Kind::Element => it.element.get(name).map(str::to_owned),
        Kind::Pairs(Set::Params) => {
            // Parameters may differ from node to node; those where it runs are meant.
            let node = facts.current_node(rsc);
            facts.params(rsc, node).get(name).map(str::to_owned)
        }
        Kind::Pairs(Set::Meta) => it.meta.get(name).map(str::to_owned),
        Kind::Pairs(Set::Utilization) => it.utilization.get(name).map(str::to_owned),
    };
    let Some(value) = value else {
        // Quirk: what is not there is no failure of this tool.
        tool.error(&format!("Attribute '{name}' not found for '{}'", it.id));
        return Ok(());
    };
    tool.line(&value)?;
    tool.element(item_list("attributes", &[value], |value| {
        text_element("item", value).with("name", name)
    }));
    Ok(())
}

/// Set it.
pub(super) fn set(tool: &mut Tool, asked: &Asked) -> Result<(), Failure> {
    let id = asked.need_rsc()?;
    let value = asked
        .value
        .as_deref()
        .ok_or_else(|| Failure::usage("You need to supply a value with the -v option"))?;
    let cib = tool.access.cib()?;
    let xml_id = xml_id(&cib, id)?;
    let kind = match asked.kind {
        Kind::Element => return set_on_element(tool, &cib, &xml_id, &asked.given, Some(value)),
        Kind::Pairs(kind) => kind,
    };
    let owner = owner(tool, &cib, asked, kind, &xml_id, "update")?;
    let mut owners = vec![owner];
    if asked.recursive && kind == Set::Meta {
        let facts = facts_of(&cib);
        let constraints = constraints::read(&facts, cib.root());
        if let Some(rsc) = find(&facts, &owners[0]) {
            owners = followers(&facts, &constraints, rsc)
                .into_iter()
                .map(|rsc| facts.rscs[rsc].xml_id.to_string())
                .collect();
        }
    }
    let mut settings = Element::new("resource-settings");
    for owner in owners {
        let root = tool.access.cib()?.into_root();
        settings.push(set_pair(tool, &root, asked, kind, &owner, value)?);
    }
    if asked.recursive {
        tool.element(settings);
    }
    Ok(())
}

/// Remove it.
pub(super) fn delete(tool: &mut Tool, asked: &Asked) -> Result<(), Failure> {
    let id = asked.need_rsc()?;
    let name = asked.given.as_str();
    let cib = tool.access.cib()?;
    let xml_id = xml_id(&cib, id)?;
    let kind = match asked.kind {
        Kind::Element => return set_on_element(tool, &cib, &xml_id, name, None),
        Kind::Pairs(kind) => kind,
    };
    let owner = owner(tool, &cib, asked, kind, &xml_id, "delete")?;
    let root = cib.root();
    let (element, _) = change::resource(root, &owner).ok_or_else(|| no_resource(root, &owner))?;
    let Some(pair) = pair(element, asked, kind).and_then(Element::id) else {
        return Ok(());
    };
    let pair = pair.to_owned();
    let mut new = root.clone();
    change::with_resource(&mut new, &owner, &mut |element| {
        for set in element.children_mut().filter(|set| set.is(kind.tag())) {
            set.retain_children(|other| other.id() != Some(&pair));
        }
    });
    tool.access.apply_patch(root, &new)?;
    tool.line(&format!("Deleted '{owner}' option: id={pair} name={name}"))
}

/// The id in the configuration of a resource or of one of its instances.
fn xml_id(cib: &Cib, id: &str) -> Result<String, Failure> {
    if change::resource(cib.root(), id).is_some() {
        return Ok(id.to_owned());
    }
    let facts = facts_of(cib);
    let rsc = found(&facts, cib, id)?;
    Ok(facts.rscs[rsc].xml_id.to_string())
}

/// The pair that the command line means, in a resource.
fn pair<'a>(element: &'a Element, asked: &Asked, kind: Set) -> Option<&'a Element> {
    let mut sets = element.children_named(kind.tag()).filter(|set| {
        asked
            .set_id
            .as_deref()
            .is_none_or(|id| set.id() == Some(id))
    });
    sets.find_map(|set| {
        set.children_named("nvpair").find(|pair| {
            let named = pair.get("name") == Some(&asked.given);
            named
                && asked
                    .pair_id
                    .as_deref()
                    .is_none_or(|id| pair.id() == Some(id))
        })
    })
}

/// Whose attribute it is: without `--force`, a meta attribute of a clone or its member is that of whoever has it.
fn owner(
    tool: &mut Tool,
    cib: &Cib,
    asked: &Asked,
    kind: Set,
    id: &str,
    verb: &str,
) -> Result<String, Failure> {
    if asked.force {
        return Ok(id.to_owned());
    }
    let root = cib.root();
    let (element, parent) = change::resource(root, id).ok_or_else(|| no_resource(root, id))?;
    if asked.pair_id.is_none() {
        tell_doubles(tool, parent.unwrap_or(element), asked, kind)?;
    }
    if kind != Set::Meta {
        return Ok(id.to_owned());
    }
    let name = &asked.given;
    let is_clone = |element: &Element| matches!(element.tag(), "clone" | "master");
    if is_clone(element) {
        let mut members = element
            .children()
            .filter(|child| change::is_resource(child.tag()));
        if let Some(member) = members.find(|member| pair(member, asked, kind).is_some()) {
            let member = member.id().unwrap_or_default().to_owned();
            tool.line(&format!(
                "A value for '{name}' already exists in child '{member}', performing {verb} on that instead of '{id}'"
            ))?;
            return Ok(member);
        }
    }
    if let Some(parent) = parent.filter(|parent| is_clone(parent))
        && pair(element, asked, kind).is_none()
    {
        let parent = parent.id().unwrap_or_default().to_owned();
        tool.line(&format!(
            "Performing {verb} of '{name}' on '{parent}', the parent of '{id}'"
        ))?;
        return Ok(parent);
    }
    Ok(id.to_owned())
}

/// Say so when more than one value could be meant.
fn tell_doubles(tool: &mut Tool, whole: &Element, asked: &Asked, kind: Set) -> Result<(), Failure> {
    let name = &asked.given;
    let sets = whole.descendants().filter(|set| set.is(kind.tag()));
    let pairs: Vec<&Element> = sets
        .flat_map(|set| set.children_named("nvpair"))
        .filter(|pair| pair.get("name") == Some(name))
        .collect();
    if pairs.len() < 2 {
        return Ok(());
    }
    tool.line(&format!("Multiple attributes match name={name}"))?;
    for pair in pairs {
        let (value, id) = (pair.get("value").unwrap_or_default(), pair.id());
        let id = id.unwrap_or_default();
        tool.line(&format!("  Value: {value} \t(id={id})"))?;
    }
    tool.line("")
}

/// Write one pair; returns what was changed, for programs.
fn set_pair(
    tool: &mut Tool,
    root: &Element,
    asked: &Asked,
    kind: Set,
    owner: &str,
    value: &str,
) -> Result<Element, Failure> {
    let name = asked.given.as_str();
    let (element, _) = change::resource(root, owner).ok_or_else(|| no_resource(root, owner))?;
    let known = pair(element, asked, kind).and_then(Element::id);
    let set_id = match &asked.set_id {
        Some(id) => id.clone(),
        None => format!("{owner}-{}", kind.tag()),
    };
    let pair_id = match (known, &asked.pair_id) {
        (Some(id), _) => id.to_owned(),
        (None, Some(id)) => id.clone(),
        (None, None) => format!("{set_id}-{name}"),
    };
    let mut new = root.clone();
    let exists = known.is_some();
    change::with_resource(&mut new, owner, &mut |element| {
        put(element, kind, exists, &set_id, &pair_id, name, value);
    });
    tool.access.apply_patch(root, &new)?;
    let place = if exists {
        String::new()
    } else {
        format!(" set={set_id}")
    };
    tool.line(&format!(
        "Set '{owner}' option: id={pair_id}{place} name={name} value={value}"
    ))?;
    let pair = Element::new("nvpair")
        .with("id", &pair_id)
        .with("value", value)
        .with("name", name);
    let set = Element::new(kind.tag())
        .with("id", &set_id)
        .with_child(pair);
    Ok(Element::new(element.tag())
        .with("id", owner)
        .with_child(set))
}

fn put(
    element: &mut Element,
    kind: Set,
    exists: bool,
    set_id: &str,
    pair_id: &str,
    name: &str,
    value: &str,
) {
    if exists {
        let sets = element.children_mut().filter(|set| set.is(kind.tag()));
        let mut pairs = sets.flat_map(Element::children_mut);
        if let Some(pair) = pairs.find(|pair| pair.id() == Some(pair_id)) {
            pair.set("value", value);
        }
        return;
    }
    let is_set = |set: &Element| set.is(kind.tag()) && set.id() == Some(set_id);
    if !element.children().any(is_set) {
        element.push(Element::new(kind.tag()).with("id", set_id));
    }
    if let Some(set) = element.children_mut().find(|set| is_set(set)) {
        set.push(
            Element::new("nvpair")
                .with("id", pair_id)
                .with("name", name)
                .with("value", value),
        );
    }
}

/// `--element`: an attribute of the resource's own element.
fn set_on_element(
    tool: &mut Tool,
    cib: &Cib,
    id: &str,
    name: &str,
    value: Option<&str>,
) -> Result<(), Failure> {
    let root = cib.root();
    change::resource(root, id).ok_or_else(|| no_resource(root, id))?;
    let mut new = root.clone();
    change::with_resource(&mut new, id, &mut |element| match value {
        Some(value) => element.set(name, value),
        None => {
            element.unset(name);
        }
    });
    let changed = tool.access.apply_patch(root, &new)?;
    if !changed && !tool.access.live() {
        write_again(tool, root)?;
    }
    match value {
        Some(value) => tool.line(&format!("Set attribute: name={name} value={value}")),
        None => tool.line(&format!("Deleted attribute: {name}")),
    }
}

// Quirk: in a file, an attribute that is written as it is already counts as a change of the configuration.
fn write_again(tool: &mut Tool, root: &Element) -> Result<(), Failure> {
    let mut new = root.clone();
    let epoch = root.get("epoch").and_then(text::integer).unwrap_or(0);
    new.set("epoch", &epoch.saturating_add(1).to_string());
    new.set("num_updates", "0");
    let patch = cib::patch::diff(root, &new);
    let command = Command::new(Op::Patch, Target::Whole, Some(patch.to_element()));
    tool.access.write(command).map(|_| ())
}
