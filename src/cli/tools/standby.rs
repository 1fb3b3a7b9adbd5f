//! `crm_standby` and `crm_failcount`: the two attributes of nodes that people ask for most, by names of their own.

use crate::{
    cli::{
        cmd::{change, node::no_node},
        failure::Failure,
    },
    rpc::AdminRequest,
    terms::{CrmExit, span},
    xml::Element,
};

use super::{Options, Tool, attribute, local_node};

const STANDBY: &[(char, &str, bool)] = &[
    ('?', "help", false),
    ('h', "help", false),
    ('$', "version", false),
    ('V', "verbose", false),
    ('q', "quiet", false),
    ('Q', "quiet", false),
    ('G', "query", false),
    ('v', "update", true),
    ('D', "delete", false),
    ('N', "node", true),
    ('U', "uname", true),
    ('l', "lifetime", true),
    ('i', "id", true),
];

/// `crm_standby`.
pub fn run(tool: &mut Tool, args: &[String]) -> Result<(), Failure> {
    let mut options = Options::new(STANDBY, args);
    let (mut node, mut lifetime, mut value, mut id) = (None, None, None, None);
    let (mut delete, mut quiet) = (false, false);
    while let Some((option, given)) = options.next()? {
        match option {
            "help" => {
                let what = "query, set or end the standby mode of a node";
                return super::help(tool, "crm_standby", what, STANDBY);
            }
            "version" => return super::version(tool),
            "quiet" => quiet = true,
            "update" => value = Some(given),
            "delete" => delete = true,
            "node" | "uname" => node = Some(given),
            "lifetime" => lifetime = Some(given),
            "id" => id = Some(given),
            _ => {}
        }
    }
    let node = match node {
        Some(node) => node,
        None => local_node(tool)?,
    };
    let query = value.is_none() && !delete;
    let anywhere = lifetime.is_none();
    let lifetime = match lifetime {
        Some(lifetime) => lifetime,
        // Standby for good hides what is set until the node leaves.
        None if query && !has_own(tool, &node)? => "reboot".to_owned(),
        None => "forever".to_owned(),
    };
    let mut words = vec!["-n", "standby", "-N", &node, "-l", &lifetime];
    if let Some(id) = &id {
        words.extend(["-i", id]);
    }
    if quiet {
        words.push("-q");
    }
    match &value {
        Some(value) => words.extend(["-v", value]),
        None if delete => words.push("-D"),
        // Quirk: whoever asks for one of the two is told when it is not set.
        None if anywhere => words.extend(["-G", "-d", "off"]),
        None => words.push("-G"),
    }
    let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
    attribute::run(tool, &words)
}

/// Whether standby is set with the node itself, not with its status.
fn has_own(tool: &mut Tool, node: &str) -> Result<bool, Failure> {
    let root = tool.access.cib()?.into_root();
    let entry = change::node(&root, node).ok_or_else(|| no_node(&root, node))?;
    Ok(change::get(entry, change::Set::Params, "standby").is_some())
}

const FAILCOUNT: &[(char, &str, bool)] = &[
    ('?', "help", false),
    ('h', "help", false),
    ('$', "version", false),
    ('V', "verbose", false),
    ('q', "quiet", false),
    ('Q', "quiet", false),
    ('G', "query", false),
    ('v', "update", true),
    ('D', "delete", false),
    ('r', "resource", true),
    ('n', "operation", true),
    ('I', "interval", true),
    ('N', "node", true),
    ('U', "uname", true),
    ('i', "id", true),
    ('l', "lifetime", true),
];

/// `crm_failcount`: how often a resource failed on a node, all operations together or one.
pub fn failcount(tool: &mut Tool, args: &[String]) -> Result<(), Failure> {
    let mut options = Options::new(FAILCOUNT, args);
    let (mut rsc, mut operation, mut interval, mut node) = (None, None, None, None);
    let (mut query, mut delete, mut quiet, mut value) = (false, false, false, None);
    while let Some((option, given)) = options.next()? {
        match option {
            "help" => {
                let what = "query or forget how often a resource failed";
                return super::help(tool, "crm_failcount", what, FAILCOUNT);
            }
            "version" => return super::version(tool),
            "quiet" => quiet = true,
            "query" => query = true,
            "delete" => delete = true,
            "update" => value = Some(given),
            "resource" => rsc = Some(given),
            "operation" => operation = Some(given),
            "interval" => interval = Some(given),
            "node" | "uname" => node = Some(given),
            _ => {}
        }
    }
    let rsc = rsc.ok_or_else(|| Failure::usage("which resource?").cure("say -r RESOURCE"))?;
    if interval.is_some() && operation.is_none() {
        return Err(Failure::usage("an interval needs an operation").cure("say -n OPERATION"));
    }
    if !query && !delete && value.is_none() {
        return Err(Failure::usage("nothing is asked")
            .cure("--query shows the fail count, --delete forgets the failures"));
    }
    if value.is_some_and(|value| value != "0") {
        // A failure is counted where it happens; only forgetting is for people.
        return Err(Failure::usage("a count can only be set to 0"));
    }
    let node = match node {
        Some(node) => node,
        None => local_node(tool)?,
    };
    let asked = Asked {
        rsc,
        operation: operation.map(|name| (name, interval_ms(interval.as_deref()))),
        node,
    };
    if delete {
        return asked.forget(tool);
    }
    asked.query(tool, quiet)
}

fn interval_ms(text: Option<&str>) -> u64 {
    span::ms_or_zero(text)
}

struct Asked {
    rsc: String,
    operation: Option<(String, u64)>,
    node: String,
}

impl Asked {
    /// What is counted, as the attribute is called.
    fn shown_name(&self) -> String {
        match &self.operation {
            Some((name, ms)) => format!("{}#{name}_{ms}", self.rsc),
            None => self.rsc.clone(),
        }
    }

    fn counts(&self, name: &str, prefix: &str) -> bool {
        let Some(rest) = name
            .strip_prefix(prefix)
            .and_then(|rest| rest.strip_prefix('-'))
            .and_then(|rest| rest.strip_prefix(self.rsc.as_str()))
        else {
            return false;
        };
        match (&self.operation, rest) {
            (_, "") => true,
            (None, rest) => rest.starts_with('#'),
            (Some((name, ms)), rest) => rest == format!("#{name}_{ms}"),
        }
    }

    /// Names and values of the attributes that count, and the node's name and id.
    fn found(&self, root: &Element) -> Result<(String, Vec<(String, String)>), Failure> {
        let entry = change::node(root, &self.node).ok_or_else(|| no_node(root, &self.node))?;
        let id = entry.id().unwrap_or(&self.node).to_owned();
        let sets: Vec<&Element> = root
            .child("status")
            .and_then(|status| status.child_by_id("node_state", &id))
            .and_then(|state| state.child("transient_attributes"))
            .map(|owner| owner.children_named("instance_attributes").collect())
            .unwrap_or_default();
        let pairs = sets
            .into_iter()
            .flat_map(Element::children)
            .filter_map(|pair| Some((pair.get("name")?.to_owned(), pair.get("value")?.to_owned())));
        Ok((id, pairs.collect()))
    }

    fn query(&self, tool: &mut Tool, quiet: bool) -> Result<(), Failure> {
        let root = tool.access.cib()?.into_root();
        let (_, pairs) = self.found(&root)?;
        let counts = pairs
            .iter()
            .filter(|(name, _)| self.counts(name, "fail-count"))
            .map(|(_, value)| crate::terms::Score::parse(value).unwrap_or_default());
        let sum = counts.fold(crate::terms::Score::default(), |sum, count| sum + count);
        if quiet {
            tool.line(&sum.to_string())
        } else {
            let name = self.shown_name();
            tool.line(&format!("scope=status  name=fail-count-{name} value={sum}"))
        }
    }

    fn forget(&self, tool: &mut Tool) -> Result<(), Failure> {
        let root = tool.access.cib()?.into_root();
        if change::resource(&root, &self.rsc).is_none() {
            return Err(Failure::new(
                CrmExit::NO_SUCH,
                format!("Resource '{}' not found", self.rsc),
            ));
        }
        let (id, pairs) = self.found(&root)?;
        let uname = self.node.clone();
        // The history of what failed goes with the count, or the failure would be counted again.
        if tool.access.live() && self.operation.is_none() {
            let request = AdminRequest::Cleanup {
                rsc: Some(self.rsc.clone()),
                node: Some(uname.clone()),
                refresh: false,
            };
            tool.access.ask(request)?;
        }
        // A count that somebody set goes, too, although nothing failed.
        let root = tool.access.cib()?.into_root();
        let (_, left) = self.found(&root).unwrap_or((id.clone(), pairs));
        for (name, _) in left {
            if self.counts(&name, "fail-count") || self.counts(&name, "last-failure") {
                attribute::transient(tool, &uname, &id, &name, None)?;
            }
        }
        Ok(())
    }
}
