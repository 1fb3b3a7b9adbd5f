//! The table: `ELEMENT | ATTRIBUTES | CHILDREN`. Behind a name, `!` is "must be there, once", `?` is "at most once", `:`
//! begins the kind of a value, and `<N` or `>N.M` say that only schemas before or from a version on have it.

use std::sync::LazyLock;

use foldhash::fast::FixedState;
use indexmap::IndexMap;

use super::Referent;

/// What an element may have.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) attributes: Vec<Attribute>,
    pub(super) children: Vec<Child>,
}

#[derive(Debug)]
pub(super) struct Attribute {
    pub(super) name: &'static str,
    pub(super) required: bool,
    pub(super) kind: Kind,
    span: Versions,
}

#[derive(Debug)]
pub(super) struct Child {
    pub(super) name: &'static str,
    pub(super) required: bool,
    /// Whether there may be only one.
    pub(super) once: bool,
    span: Versions,
}

/// From this version on, and before that one.
#[derive(Debug, Clone, Copy)]
struct Versions {
    from: (u32, u32),
    before: (u32, u32),
}

impl Versions {
    fn contains(self, version: (u32, u32)) -> bool {
        self.from <= version && version < self.before
    }
}

impl Attribute {
    pub(super) fn holds(&self, version: (u32, u32)) -> bool {
        self.span.contains(version)
    }
}

impl Child {
    pub(super) fn holds(&self, version: (u32, u32)) -> bool {
        self.span.contains(version)
    }
}

/// What a value must be.
#[derive(Debug)]
pub(super) enum Kind {
    Text,
    Id,
    Reference(Referent),
    Boolean,
    Number,
    Score,
    Span,
    Role,
    Choice(Vec<&'static str>),
}

/// What a constraint can be about.
pub(super) const RESOURCES: [&str; 7] = [
    "primitive",
    "group",
    "clone",
    "bundle",
    "master",
    "template",
    "tag",
];

const TABLE: &str = "
cib | validate-with admin_epoch:number epoch:number num_updates:number crm_feature_set have-quorum dc-uuid \
      cib-last-written update-origin update-client update-user execution-date no-quorum-panic remote-tls-port \
      remote-clear-port cib_feature_revision ccm_transition num_peers generated ignore_dtd dc_uuid \
    | configuration! status!
status ||
configuration || crm_config! nodes! resources! constraints! rsc_defaults? op_defaults? acls? \
      fencing-topology?>1.2 tags?>1.3 alerts?>2.5
crm_config || cluster_property_set
rsc_defaults || meta_attributes
op_defaults || meta_attributes
cluster_property_set | id:id id-ref:same score:score | rule nvpair
meta_attributes | id:id id-ref:same score:score | rule nvpair
instance_attributes | id:id id-ref:same score:score | rule nvpair
utilization | id:id id-ref:same score:score | rule nvpair
nvpair | id:id id-ref:same name value |
nodes || node
node | id! uname! type:choice(normal,member,ping,remote) description score:score | instance_attributes utilization
resources || primitive template group clone bundle master<4.0
template | id:id! class! provider type! description | instance_attributes meta_attributes utilization operations?
primitive | id:id! class provider type template:template description \
    | instance_attributes meta_attributes utilization operations?
operations | id:id id-ref:same | op
op | id:id! name! interval:span! timeout:span description start-delay:span interval-origin enabled:boolean \
     record-pending:boolean role:role requires<3.0 \
     on-fail:choice(ignore,block,demote,stop,restart,standby,fence,restart-container) \
   | meta_attributes instance_attributes
group | id:id! description | primitive instance_attributes meta_attributes
clone | id:id! description | primitive group instance_attributes meta_attributes
master | id:id! description | primitive group instance_attributes meta_attributes
bundle | id:id! description | docker? podman? rkt?<4.0 network? storage? primitive? \
  meta_attributes
docker | image! replicas:number replicas-per-host:number masters:number<4.0 promoted-max:number network \
         run-command options |
podman | image! replicas:number replicas-per-host:number masters:number<4.0 promoted-max:number network \
         run-command options |
rkt | image! replicas:number replicas-per-host:number masters:number promoted-max:number network run-command options |
network | ip-range-start control-port host-interface host-netmask add-host:boolean | port-mapping
port-mapping | id:id! port internal-port range |
storage || storage-mapping
storage-mapping | id:id! source-dir source-dir-root target-dir! options |
constraints || rsc_location rsc_colocation rsc_order rsc_ticket
rsc_location | id:id! rsc:resource rsc-pattern role:role node score:score description \
               resource-discovery:choice(always,never,exclusive) | rule resource_set lifetime<4.0
rsc_colocation | id:id! rsc:resource with-rsc:resource score:score score-attribute<3.0 score-attribute-mangle<3.0 \
                 node-attribute rsc-role:role with-rsc-role:role rsc-instance:number with-rsc-instance:number \
                 influence description | resource_set lifetime<4.0
rsc_order | id:id! first:resource then:resource first-action:choice(start,stop,promote,demote) \
            then-action:choice(start,stop,promote,demote) first-instance:number then-instance:number \
            kind:choice(Optional,Mandatory,Serialize) score:score symmetrical:boolean require-all:boolean description \
          | resource_set lifetime<4.0
rsc_ticket | id:id! ticket! rsc:resource rsc-role:role loss-policy:choice(stop,demote,fence,freeze) description \
           | resource_set
resource_set | id:id id-ref:same sequential:boolean require-all:boolean ordering:choice(group,listed) \
               action:choice(start,stop,promote,demote) role:role score:score kind:choice(Optional,Mandatory,Serialize) \
             | resource_ref
resource_ref | id:resource! |
lifetime || rule
rule | id:id id-ref:same score:score score-attribute boolean-op:choice(and,or) role:role \
     | rule expression date_expression rsc_expression op_expression
expression | id:id! attribute! operation:choice(lt,gt,lte,gte,eq,ne,defined,not_defined)! value \
             type:choice(string,integer,number,version) value-source:choice(literal,param,meta) |
date_expression | id:id! operation:choice(in_range,gt,lt,date_spec,eq,neq) start end | date_spec duration
date_spec | id:id years months monthdays hours minutes seconds yeardays weekyears weeks weekdays yearsdays moon<4.0 |
duration | id:id years months weeks days hours minutes seconds monthdays yeardays weekdays weekyears |
rsc_expression | id:id! class provider type |
op_expression | id:id! name! interval:span |
fencing-topology || fencing-level
fencing-level | id:id! target target-pattern target-attribute target-value index:number! devices! |
acls || acl_target>2.0 acl_group>2.0 acl_role acl_user<2.0
acl_user | id | role_ref read write deny
role_ref | id |
read | id ref tag xpath attribute |
write | id ref tag xpath attribute |
deny | id ref tag xpath attribute |
acl_target | id! name | role
acl_group | id! name | role
role | id:role_id! |
acl_role | id:id! description | acl_permission read<2.0 write<2.0 deny<2.0
acl_permission | id:id! kind:choice(read,write,deny)! xpath reference object-type attribute description |
tags || tag
tag | id:id! description | obj_ref
obj_ref | id:anything! |
alerts || alert
alert | id:id! path! description | meta_attributes instance_attributes select? recipient
recipient | id:id! value! description | meta_attributes instance_attributes
select || select_nodes? select_fencing? select_resources? select_attributes?
select_nodes ||
select_fencing ||
select_resources ||
select_attributes || attribute
attribute | id:id! name! |
";

/// Rules by element, in order of their names.
pub(super) type Table = IndexMap<&'static str, Rules, FixedState>;

pub(super) fn rules() -> &'static Table {
    static RULES: LazyLock<Table> = LazyLock::new(|| {
        let lines = TABLE.lines().filter(|line| !line.is_empty());
        let mut rules: Table = lines.map(read_line).collect();
        rules.sort_unstable_keys();
        rules
    });
    &RULES
}

fn read_line(line: &'static str) -> (&'static str, Rules) {
    let mut columns = line.split('|');
    let mut column = || columns.next().unwrap_or_default();
    let name = column().trim();
    let attributes = column().split_whitespace().map(|word| {
        let (word, span) = read_versions(word);
        let (word, required) = read_required(word);
        let (name, kind) = word.split_once(':').unwrap_or((word, "text"));
        Attribute {
            name,
            required,
            kind: read_kind(kind),
            span,
        }
    });
    let attributes = attributes.collect();
    let children = column().split_whitespace().map(|word| {
        let (word, span) = read_versions(word);
        let (name, required) = read_required(word);
        let (name, once) = match name.strip_suffix('?') {
            Some(name) => (name, true),
            None => (name, required),
        };
        Child {
            name,
            required,
            once,
            span,
        }
    });
    (
        name,
        Rules {
            attributes,
            children: children.collect(),
        },
    )
}

fn read_required(word: &'static str) -> (&'static str, bool) {
    word.strip_suffix('!')
        .map_or((word, false), |word| (word, true))
}

fn read_versions(word: &'static str) -> (&'static str, Versions) {
    let always = Versions {
        from: (0, 0),
        before: (u32::MAX, 0),
    };
    let version = |text: &str| {
        let (major, minor) = text.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    if let Some((word, text)) = word.split_once('<') {
        let before = version(text).expect("the table is well-formed");
        return (word, Versions { before, ..always });
    }
    if let Some((word, text)) = word.split_once('>') {
        let from = version(text).expect("the table is well-formed");
        return (word, Versions { from, ..always });
    }
    (word, always)
}

fn read_kind(kind: &'static str) -> Kind {
    if let Some(words) = kind
        .strip_prefix("choice(")
        .and_then(|rest| rest.strip_suffix(')'))
    {
        return Kind::Choice(words.split(',').collect());
    }
    match kind {
        "id" => Kind::Id,
        "same" => Kind::Reference(Referent::SameTag),
        "resource" => Kind::Reference(Referent::Resource),
        "template" => Kind::Reference(Referent::Template),
        "role_id" => Kind::Reference(Referent::Role),
        "anything" => Kind::Reference(Referent::Anything),
        "boolean" => Kind::Boolean,
        "number" => Kind::Number,
        "score" => Kind::Score,
        "span" => Kind::Span,
        "role" => Kind::Role,
        _ => Kind::Text,
    }
}
