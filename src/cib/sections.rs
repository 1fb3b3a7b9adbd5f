//! The sections of a CIB and where they are. // spec cluster §1.1

const SECTIONS: [(&str, &[&str]); 12] = [
    ("configuration", &["configuration"]),
    ("status", &["status"]),
    ("crm_config", &["configuration", "crm_config"]),
    ("nodes", &["configuration", "nodes"]),
    ("resources", &["configuration", "resources"]),
    ("constraints", &["configuration", "constraints"]),
    ("op_defaults", &["configuration", "op_defaults"]),
    ("rsc_defaults", &["configuration", "rsc_defaults"]),
    ("acls", &["configuration", "acls"]),
    ("fencing-topology", &["configuration", "fencing-topology"]),
    ("tags", &["configuration", "tags"]),
    ("alerts", &["configuration", "alerts"]),
];

/// Names from the root to the section; none for names that mean the whole document.
pub(super) fn path(name: &str) -> Option<&'static [&'static str]> {
    SECTIONS
        .iter()
        .find(|(section, _)| *section == name)
        .map(|(_, path)| *path)
}
