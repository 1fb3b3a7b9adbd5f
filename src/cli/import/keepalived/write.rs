//! The model as statements of the crm shell's language.
//!
//! ```text
//! instance, sync group   a primitive, or a group of several; a location with the priority of each host
//! script, interface      a clone that keeps a node attribute; a location rule about it
//! notify, mail           alerts
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::cli::import::draft::Draft;
use crate::cli::import::note::{Broken, Place};
use crate::cli::language::{is_id, value_text};

use super::model::{Address, Announcing, Instance, Model, Notify, Script, Test, Track};

/// Write all of it.
pub(super) fn write(model: &Model, alerts: &str, draft: &mut Draft) -> Result<(), Broken> {
    let mut tests: BTreeSet<Test> = BTreeSet::new();
    let mut in_group: BTreeSet<&str> = BTreeSet::new();
    let mut targets = Vec::new();
    for group in &model.groups {
        let mut instances = Vec::new();
        for (at, name) in &group.members {
            let found = model.instances.iter().find(|it| it.name == *name);
            let Some(instance) = found else {
                return Err(Broken::at(at, format!("there is no vrrp_instance {name}"))
                    .cure("correct the name, or remove it from the group"));
            };
            in_group.insert(name);
            instances.push(instance);
        }
        targets.push(Target {
            at: &group.at,
            name: &group.name,
            kind: "GROUP",
            tracks: &group.tracks,
            notify: &group.notify,
            instances,
        });
    }
    for instance in model
        .instances
        .iter()
        .filter(|it| !in_group.contains(it.name.as_str()))
    {
        targets.push(Target {
            at: &instance.at,
            name: &instance.name,
            kind: "INSTANCE",
            tracks: &[],
            notify: &instance.notify,
            instances: vec![instance],
        });
    }
    for target in &targets {
        self::target(target, model, alerts, &mut tests, draft)?;
    }
    for test in &tests {
        match test {
            Test::Link(nic) => link(nic, draft)?,
            Test::Script(name) => {
                if let Some(script) = model.scripts.iter().find(|script| script.name == *name) {
                    check(script, draft)?;
                }
            }
        }
    }
    for script in &model.scripts {
        if !tests.contains(&Test::Script(script.name.clone())) {
            draft.not_needed(
                &script.at,
                format!("vrrp_script {}", script.name),
                "no instance tracks it",
            );
        }
    }
    mail(model, alerts, draft)?;
    if let Some(target) = targets.first() {
        unfenced(target.at, draft)?;
    }
    Ok(())
}

/// What moves as one.
struct Target<'m> {
    at: &'m Place,
    name: &'m str,
    /// As notified programs are told.
    kind: &'static str,
    tracks: &'m [Track],
    notify: &'m Notify,
    instances: Vec<&'m Instance>,
}

/// A name that can be an id, and is not one yet.
fn id(name: &str, draft: &Draft) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || "-_.".contains(c) {
            c
        } else {
            '-'
        }
    };
    let mut id: String = name.chars().map(plain).collect();
    if !is_id(&id) {
        id.insert_str(0, "vrrp-");
    }
    let free = |id: &String| !draft.is_taken(id);
    if free(&id) {
        return id;
    }
    let numbered = (2..).map(|number: u32| format!("{id}-{number}"));
    numbered.into_iter().find(free).unwrap_or(id)
}

fn target(
    target: &Target<'_>,
    model: &Model,
    alerts: &str,
    tests: &mut BTreeSet<Test>,
    draft: &mut Draft,
) -> Result<(), Broken> {
    let name = id(target.name, draft);
    let mut parts: Vec<(&Place, String, String)> = Vec::new();
    for instance in &target.instances {
        let several = target.instances.len() > 1;
        let base = if several {
            id(&format!("{name}-{}", instance.name), draft)
        } else {
            name.clone()
        };
        let nic = nic(instance, draft);
        for (number, address) in (1..).zip(&instance.addresses) {
            let body = vip(address, nic.as_deref(), instance, &model.globals.announcing);
            parts.push((&address.at, format!("{base}-ip-{number}"), body));
        }
        for (number, route) in (1..).zip(&instance.routes) {
            parts.push((
                &route.at,
                format!("{base}-route-{number}"),
                self::route(route, nic.as_deref()),
            ));
        }
    }
    if parts.is_empty() {
        draft.became(
            target.at,
            target.name,
            format!("{name}, a resource that runs nothing: it has no address, and its place alone is what counts"),
        );
        let body = "ocf:systole:Dummy op monitor interval=10s timeout=20s".to_owned();
        parts.push((target.at, format!("{name}-place"), body));
    }
    let nopreempt = target.instances.iter().any(|it| it.nopreempt);
    let stickiness = if nopreempt { "INFINITY" } else { "0" };
    let meta = format!("meta resource-stickiness={stickiness}");
    let single = parts.len() == 1;
    let ids: Vec<String> = match single {
        true => vec![name.clone()],
        false => parts.iter().map(|(_, id, _)| id.clone()).collect(),
    };
    for ((at, _, body), id) in parts.iter().zip(&ids) {
        let meta = if single { meta.as_str() } else { "" };
        draft.statement(at, &format!("primitive {id} {body} {meta}"))?;
    }
    if !single {
        draft.statement(target.at, &format!("group {name} {} {meta}", ids.join(" ")))?;
    }
    priorities(target, &name, draft)?;
    let own = target.tracks.iter();
    let tracks = own.chain(target.instances.iter().flat_map(|it| &it.tracks));
    let mut seen = BTreeSet::new();
    for track in tracks {
        if seen.insert(&track.test) {
            self::track(track, &name, model, draft)?;
            tests.insert(track.test.clone());
        }
    }
    notify(target, &name, &ids, alerts, draft)?;
    if target.kind == "GROUP" {
        for instance in &target.instances {
            for (word, (at, _)) in &instance.notify.commands {
                if target.notify.commands.contains_key(word) {
                    draft.not_needed(at, *word, "its group calls a program of its own");
                } else {
                    draft.nothing(
                        at,
                        *word,
                        "write it for the group: its instances change together",
                    );
                }
            }
        }
    }
    Ok(())
}

/// The interface, if it is the same on all hosts.
fn nic(instance: &Instance, draft: &mut Draft) -> Option<String> {
    let names: BTreeSet<&String> = instance.nics.values().collect();
    if names.len() > 1 {
        draft.not_needed(
            &instance.at,
            format!("interface of {}", instance.name),
            "it has another name on other hosts; the address finds the interface of its network on each",
        );
        return None;
    }
    names.into_iter().next().cloned()
}

fn vip(address: &Address, nic: Option<&str>, instance: &Instance, globals: &Announcing) -> String {
    let mut params = vec![
        ("ip", address.ip.to_string()),
        ("cidr_netmask", address.prefix.to_string()),
    ];
    let mut add = |name, value: Option<String>| params.extend(value.map(|value| (name, value)));
    add("nic", address.dev.clone().or(nic.map(str::to_owned)));
    add("iflabel", address.label.clone());
    add("broadcast", address.broadcast.clone());
    add(
        "noprefixroute",
        address.noprefixroute.then(|| "true".to_owned()),
    );
    add("preferred_lft", address.preferred_lft.clone());
    add(
        "check_link_status",
        instance.dont_track_primary.then(|| "false".to_owned()),
    );
    let own = &instance.announcing;
    let again_s = own.again_s.or(globals.again_s);
    add(
        "arp_again",
        again_s.map(|s| (u64::from(s) * 1000).to_string()),
    );
    add(
        "arp_count",
        own.count.or(globals.count).map(|count| count.to_string()),
    );
    add(
        "arp_refresh",
        own.refresh_s.or(globals.refresh_s).map(|s| s.to_string()),
    );
    format!(
        "ocf:systole:IPaddr2 params {} op start interval=0 timeout=20s op stop interval=0 timeout=20s op monitor \
         interval=10s timeout=20s",
        pairs(&params)
    )
}

fn route(route: &super::model::Route, nic: Option<&str>) -> String {
    let mut params = vec![("destination", destination(&route.destination))];
    let mut add = |name, value: Option<String>| params.extend(value.map(|value| (name, value)));
    add("gateway", route.via.clone());
    let dev = route.dev.clone();
    add(
        "device",
        dev.or_else(|| {
            route
                .via
                .is_none()
                .then(|| nic.map(str::to_owned))
                .flatten()
        }),
    );
    add("source", route.src.clone());
    add("table", route.table.clone());
    format!(
        "ocf:heartbeat:Route params {} op start interval=0 timeout=20s op stop interval=0 timeout=20s op monitor \
         interval=20s timeout=20s",
        pairs(&params)
    )
}

/// The agent wants a length of the prefix.
fn destination(text: &str) -> String {
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => format!("{text}/32"),
        Ok(IpAddr::V6(_)) => format!("{text}/128"),
        Err(_) => text.to_owned(),
    }
}

fn pairs(params: &[(&str, String)]) -> String {
    let pair = |(name, value): &(&str, String)| format!("{name}={}", value_text(value));
    params.iter().map(pair).collect::<Vec<_>>().join(" ")
}

/// The lowest priority of its instances is that of a group, which can't be better than its weakest member.
fn priorities(target: &Target<'_>, name: &str, draft: &mut Draft) -> Result<(), Broken> {
    let mut lowest: BTreeMap<&str, (&Place, i32)> = BTreeMap::new();
    for (host, (at, priority)) in target.instances.iter().flat_map(|it| &it.priorities) {
        let known = lowest.entry(host).or_insert((at, *priority));
        if *priority < known.1 {
            *known = (at, *priority);
        }
    }
    for (host, (at, priority)) in lowest {
        let location = id(&format!("{name}-on-{host}"), draft);
        let line = format!(
            "location {location} {name} {priority}: {}",
            value_text(host)
        );
        draft.statement(at, &line)?;
    }
    Ok(())
}

fn track(track: &Track, name: &str, model: &Model, draft: &mut Draft) -> Result<(), Broken> {
    let (attribute, usual) = match &track.test {
        Test::Link(nic) => (format!("ethmonitor-{}", plain(nic)), 0),
        Test::Script(script) => {
            let Some(found) = model.scripts.iter().find(|it| it.name == *script) else {
                return Err(
                    Broken::at(&track.at, format!("there is no vrrp_script {script}"))
                        .cure("correct the name, or add the script"),
                );
            };
            (format!("check-{}", plain(script)), found.weight)
        }
    };
    let weight = track.weight.unwrap_or(usual);
    // Good adds a positive weight, bad a negative one, and `reverse` turns the sign. Without a weight, bad is a fault.
    let (score, value) = match (weight, track.reverse) {
        (0, reverse) => ("-inf".to_owned(), u8::from(reverse)),
        (weight, true) => ((-weight).to_string(), u8::from(weight > 0)),
        (weight, false) => (weight.to_string(), u8::from(weight > 0)),
    };
    let location = id(&format!("{name}-if-{attribute}"), draft);
    let line = format!("location {location} {name} rule {score}: {attribute} eq {value}");
    draft.statement(&track.at, &line)
}

fn plain(name: &str) -> String {
    name.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "-_.".contains(c) {
                c
            } else {
                '-'
            }
        })
        .collect()
}

fn check(script: &Script, draft: &mut Draft) -> Result<(), Broken> {
    let attribute = format!("check-{}", plain(&script.name));
    let name = id(&attribute, draft);
    let limit = script.timeout.as_ref().unwrap_or(&script.interval);
    let mut params = vec![
        ("command", script.command.clone()),
        ("attribute", attribute),
        ("rise", script.rise.to_string()),
        ("fall", script.fall.to_string()),
        ("limit", limit.clone()),
    ];
    if script.init_fail {
        params.push(("first", "bad".to_owned()));
    }
    // keepalived counts in fractions of a second; the cluster's intervals are whole milliseconds.
    let ms = |seconds: &str| {
        seconds
            .parse::<f64>()
            .map_or(1000.0, |s| (s * 1000.0).max(100.0))
            .round()
    };
    let timeout_s = (ms(limit) / 1000.0).ceil() + 10.0;
    let body = format!(
        "ocf:systole:check params {} op start interval=0 timeout=20s op stop interval=0 timeout=20s op monitor \
         interval={}ms timeout={timeout_s}s",
        pairs(&params),
        ms(&script.interval),
    );
    draft.statement(&script.at, &format!("primitive {name} {body}"))?;
    draft.statement(&script.at, &format!("clone {name}-clone {name}"))
}

fn link(nic: &str, draft: &mut Draft) -> Result<(), Broken> {
    let at = Place::new("track_interface", 0);
    let name = id(&format!("link-{nic}"), draft);
    let params = [
        ("interface", nic.to_owned()),
        ("name", format!("ethmonitor-{}", plain(nic))),
    ];
    let body = format!(
        "ocf:heartbeat:ethmonitor params {} op start interval=0 timeout=60s op stop interval=0 timeout=20s op monitor \
         interval=10s timeout=60s",
        pairs(&params)
    );
    draft.statement(&at, &format!("primitive {name} {body}"))?;
    draft.statement(&at, &format!("clone {name}-clone {name}"))
}

fn notify(
    target: &Target<'_>,
    name: &str,
    ids: &[String],
    alerts: &str,
    draft: &mut Draft,
) -> Result<(), Broken> {
    if target.notify.commands.is_empty() {
        return Ok(());
    }
    let mut params = vec![
        ("resources", ids.join(" ")),
        ("instance", target.name.to_owned()),
        ("kind", target.kind.to_owned()),
    ];
    for (parameter, (_, command)) in &target.notify.commands {
        params.push((parameter, command.clone()));
    }
    let alert = id(&format!("{name}-notify"), draft);
    let path = value_text(&format!("{alerts}/alert_notify"));
    let line = format!(
        "alert {alert} {path} attributes {} select resources",
        pairs(&params)
    );
    draft.statement(target.at, &line)
}

fn mail(model: &Model, alerts: &str, draft: &mut Draft) -> Result<(), Broken> {
    let Some((at, _)) = model.globals.mails.first() else {
        return Ok(());
    };
    let name = id("mail", draft);
    let mut line = format!(
        "alert {name} {}",
        value_text(&format!("{alerts}/alert_mail"))
    );
    if let Some(from) = &model.globals.mail_from {
        line.push_str(&format!(
            " attributes {}",
            pairs(&[("email_sender", from.clone())])
        ));
    }
    for (_, address) in &model.globals.mails {
        line.push_str(&format!(" to {}", value_text(address)));
    }
    draft.statement(at, &line)
}

/// keepalived fences nobody; without devices our default would start nothing.
fn unfenced(at: &Place, draft: &mut Draft) -> Result<(), Broken> {
    if draft.has_option(&["stonith-enabled", "fencing-enabled"]) || draft.has_device() {
        return Ok(());
    }
    draft.nothing(
        at,
        "fencing",
        "keepalived has none, so it is switched off: a lost host's addresses move when its lease has run out and it has \
         dropped them by itself. With a fence device they move sooner: crm configure primitive ... stonith:..., then \
         crm configure property stonith-enabled=true",
    );
    draft.statement(at, "property stonith-enabled=false")
}
