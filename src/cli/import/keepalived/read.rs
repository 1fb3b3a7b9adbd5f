//! Blocks into the model, a word on every line. What one host's file says is added to what others said.

mod address;
mod global;

use crate::cli::import::draft::Draft;
use crate::cli::import::note::{Broken, Place};

use super::model::{Instance, Model, Notify, Script, SyncGroup, Test, Track};
use super::tree::Item;

/// What one host's file says.
pub(super) fn read(
    items: &[Item],
    host: &str,
    model: &mut Model,
    draft: &mut Draft,
) -> Result<(), Broken> {
    for item in items {
        let word = item.words.first().map_or("", String::as_str);
        match word {
            "global_defs" => global::read(block(item)?, model, draft)?,
            "vrrp_instance" => instance(item, host, model, draft)?,
            "vrrp_sync_group" => sync_group(item, model, draft)?,
            "vrrp_script" => script(item, model, draft)?,
            "virtual_server" | "virtual_server_group" => draft.nothing(
                &item.at,
                item.text(),
                "load balancing is a resource of its own: ipvsadm or ldirectord, run by the agent \
                 ocf:heartbeat:ldirectord (params configfile=/etc/ha.d/ldirectord.cf), in one group with the address",
            ),
            "static_ipaddress" | "static_routes" | "static_rules" | "static_track_group" => draft.nothing(
                &item.at,
                item.text(),
                "what every host has all the time belongs to its network configuration",
            ),
            "vrrp_track_process" | "track_process" | "vrrp_track_file" | "track_file" | "bfd_instance"
            | "garp_group" | "linkbeat_use_polling" | "global_tracking" => draft.nothing(&item.at, item.text(), instead_of(word)),
            "net_namespace" | "net_namespace_ipvs" | "instance" | "use_pid_dir" | "max_auto_priority"
            | "child_wait_time" | "random_seed" | "config_save_dir" | "process_names" => {
                draft.not_needed(&item.at, item.text(), "it is about the program keepalived itself");
            }
            _ => unknown(item, draft),
        }
    }
    Ok(())
}

fn instead_of(word: &str) -> &'static str {
    match word {
        "vrrp_track_process" | "track_process" => {
            "let the cluster run the process as a resource, or look at it: ocf:systole:check params \
             command=\"pidof NAME\", with a location rule"
        }
        "vrrp_track_file" | "track_file" => {
            "write a node attribute where the file is written: attrd_updater -n NAME -U VALUE, with a location rule"
        }
        "bfd_instance" | "track_bfd" => {
            "a lost node is noticed in a fraction of a second by its run lease; for a lost path use ocf:pacemaker:ping"
        }
        "garp_group" => {
            "each address is announced on its own; see arp_count and arp_interval of IPaddr2"
        }
        "linkbeat_use_polling" | "linkbeat_interfaces" => {
            "links are watched by the kernel's messages"
        }
        _ => "write it for each instance",
    }
}

fn unknown(item: &Item, draft: &mut Draft) {
    draft.nothing(
        &item.at,
        item.text(),
        "this word is not known here; leave it out",
    );
}

fn block(item: &Item) -> Result<&[Item], Broken> {
    item.block.as_deref().ok_or_else(|| {
        Broken::at(&item.at, format!("{} has no block", item.text()))
            .cure("write { ... } behind it")
    })
}

fn name(item: &Item) -> Result<&str, Broken> {
    item.words.get(1).map(String::as_str).ok_or_else(|| {
        let word = item.words.first().map_or("", String::as_str);
        Broken::at(&item.at, format!("{word} has no name")).cure(format!("write {word} NAME {{"))
    })
}

/// The value behind the first word.
fn value(item: &Item) -> Result<&str, Broken> {
    item.words.get(1).map(String::as_str).ok_or_else(|| {
        Broken::at(&item.at, format!("{} has no value", item.text()))
            .cure("write the value behind it")
    })
}

fn number(item: &Item, from: i32, to: i32) -> Result<i32, Broken> {
    let text = value(item)?;
    number_of(&item.at, text, from, to)
}

fn number_of(at: &Place, text: &str, from: i32, to: i32) -> Result<i32, Broken> {
    let number = text
        .parse()
        .ok()
        .filter(|number| (from..=to).contains(number));
    number.ok_or_else(|| {
        Broken::at(at, format!("{text:?} is no number from {from} to {to}"))
            .cure(format!("write a number from {from} to {to}"))
    })
}

/// A length of time in seconds, perhaps with a fraction.
fn seconds(item: &Item) -> Result<String, Broken> {
    let text = value(item)?;
    let good = text
        .parse::<f64>()
        .is_ok_and(|s| s.is_finite() && (0.0..=1e6).contains(&s));
    if !good {
        return Err(
            Broken::at(&item.at, format!("{text:?} is no number of seconds"))
                .cure("write a number, for example 2 or 0.5"),
        );
    }
    Ok(text.to_owned())
}

fn announced(
    item: &Item,
    from: &mut super::model::Announcing,
    draft: &mut Draft,
) -> Result<bool, Broken> {
    let count = |item: &Item| Ok::<_, Broken>(number(item, 0, 1_000_000)?.unsigned_abs());
    let word = item.words.first().map_or("", String::as_str);
    let plain = word.strip_prefix("vrrp_").unwrap_or(word);
    match plain {
        "garp_master_delay" => {
            from.again_s = Some(count(item)?);
            draft.became(
                &item.at,
                item.text(),
                "params arp_again of the addresses, in milliseconds",
            );
        }
        "garp_master_repeat" => {
            from.count = Some(count(item)?);
            draft.became(&item.at, item.text(), "params arp_count of the addresses");
        }
        "garp_master_refresh" => {
            from.refresh_s = Some(count(item)?);
            draft.became(&item.at, item.text(), "params arp_refresh of the addresses");
        }
        "garp_master_refresh_repeat"
        | "garp_lower_prio_delay"
        | "garp_lower_prio_repeat"
        | "garp_interval"
        | "gna_interval"
        | "garp_extra_if"
        | "garp_lower_prio_rep"
        | "lower_prio_no_advert"
        | "higher_prio_send_advert" => {
            draft.not_needed(
                &item.at,
                item.text(),
                "addresses are announced at once, again after a delay, and when a link comes back",
            );
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn instance(item: &Item, host: &str, model: &mut Model, draft: &mut Draft) -> Result<(), Broken> {
    let name = name(item)?;
    let lines = block(item)?;
    let id_line = lines.iter().find(|line| line.is("virtual_router_id"));
    let id = id_line
        .map(|line| number(line, 1, 255))
        .transpose()?
        .map(i32::unsigned_abs);
    let same = |known: &Instance| {
        known.name == name
            || id.is_some() && known.router_id == id && !known.priorities.contains_key(host)
    };
    let at = match model.instances.iter().position(same) {
        Some(at) => at,
        None => {
            model.instances.push(Instance::new(&item.at, name));
            model.instances.len() - 1
        }
    };
    let it = &mut model.instances[at];
    it.router_id = it.router_id.or(id);
    let what = match it.name == name {
        true => "its addresses, which move together".to_owned(),
        false => format!("the same as {}, by its virtual_router_id", it.name),
    };
    draft.became(&item.at, item.text(), what);
    for line in lines {
        instance_line(line, host, it, draft)?;
    }
    it.priorities
        .entry(host.to_owned())
        .or_insert_with(|| (item.at.clone(), 100));
    Ok(())
}

fn instance_line(
    line: &Item,
    host: &str,
    it: &mut Instance,
    draft: &mut Draft,
) -> Result<(), Broken> {
    let word = line.words.first().map_or("", String::as_str);
    let text = line.text();
    if announced(line, &mut it.announcing, draft)? || notified(line, &mut it.notify, draft)? {
        return Ok(());
    }
    match word {
        "state" => draft.not_needed(&line.at, text, "the priorities decide who begins"),
        "interface" => {
            let nic = value(line)?;
            it.nics.insert(host.to_owned(), nic.to_owned());
            draft.became(&line.at, text, format!("params nic={nic} of the addresses without a dev"));
        }
        "priority" => {
            let priority = number(line, 0, 255)?;
            draft.became(&line.at, text, format!("a location with score {priority} on {host}"));
            it.priorities.insert(host.to_owned(), (line.at.clone(), priority));
        }
        "nopreempt" => {
            it.nopreempt = true;
            draft.became(&line.at, text, "meta resource-stickiness=INFINITY: it stays where it is");
        }
        "preempt" => draft.became(&line.at, text, "meta resource-stickiness=0: it goes back to the highest priority"),
        "preempt_delay" => draft.nothing(
            &line.at,
            text,
            "what comes back is used at once; to go back later set resource-stickiness=INFINITY and move it when it suits, or \
             let a rule with a time lower the stickiness (rule ... date hours=1-5)",
        ),
        "virtual_router_id" => {
            draft.not_needed(&line.at, text, "nodes know each other by their certificates");
        }
        "advert_int" | "skew_time" | "down_timer_adverts" | "start_delay" => draft.not_needed(
            &line.at,
            text,
            "a lost node is noticed after 0.35 s; profile = \"fast\" or \"wan\" in node.toml changes that",
        ),
        "authentication" | "auth_type" | "auth_pass" => {
            draft.not_needed(&line.at, text, "nodes speak mutual TLS only, with a certificate of their own each");
        }
        "unicast_peer" | "unicast_src_ip" | "mcast_src_ip" | "unicast_fault_no_peer" | "check_unicast_src"
        | "mcast_dst_ip" | "ttl" | "min_ttl" | "max_ttl" | "unicast_ttl" => {
            draft.not_needed(&line.at, text, "nodes find each other by the addresses they joined with (systole join --address)");
        }
        "virtual_ipaddress" | "virtual_ipaddress_excluded" => {
            for line in block(line)? {
                address::address(line, it, draft)?;
            }
        }
        "virtual_routes" => {
            for line in block(line)? {
                address::route(line, it, draft)?;
            }
        }
        "virtual_rules" => draft.nothing(
            &line.at,
            text,
            "let all hosts have the rules all the time; for the source address of what leaves use ocf:heartbeat:IPsrcaddr",
        ),
        "track_interface" | "track_script" => tracks(line, &mut it.tracks, draft)?,
        "track_process" | "track_file" | "track_bfd" => draft.nothing(&line.at, text, instead_of(word)),
        "track_src_ip" => draft.not_needed(&line.at, text, "an address that is gone is seen by the monitor"),
        "dont_track_primary" => {
            it.dont_track_primary = true;
            draft.became(&line.at, text, "params check_link_status=false of the addresses");
        }
        "use_vmac" | "use_vmac_addr" | "use_ipvlan" | "vmac_xmit_base" | "vmac_group" => draft.nothing(
            &line.at,
            text,
            "an address has the MAC of its host; a move is made known by ARP requests and replies",
        ),
        "lvs_sync_daemon_interface" | "lvs_sync_daemon" => draft.nothing(
            &line.at,
            text,
            "run ipvsadm --start-daemon on all hosts, as master and backup both",
        ),
        "native_ipv6" | "version" | "vrrp_version" | "accept" | "no_accept" | "strict_mode" | "promote_secondaries"
        | "debug" | "linkbeat_use_polling" | "checksum_compatibility" | "old_unicast_checksum" | "kernel_rx_buf_size"
        | "owner_ignore_adverts" | "thread_timer_expired" => {
            draft.not_needed(&line.at, text, "it is about the VRRP protocol, which is not spoken");
        }
        _ => unknown(line, draft),
    }
    Ok(())
}

/// Lines of notifications; whether it was one.
fn notified(line: &Item, notify: &mut Notify, draft: &mut Draft) -> Result<bool, Broken> {
    let word = line.words.first().map_or("", String::as_str);
    let parameter = match word {
        "notify_master" => "on_master",
        "notify_backup" => "on_backup",
        "notify_fault" => "on_fault",
        "notify" => "on_any",
        "notify_stop" | "notify_deleted" => {
            draft.nothing(
                &line.at,
                line.text(),
                "a daemon that stops moves everything away first: on_backup of the alert is called then",
            );
            return Ok(true);
        }
        "notify_fifo"
        | "notify_fifo_script"
        | "notify_master_rx_lower_pri"
        | "notify_priority_changes"
        | "vrrp_notify_fifo"
        | "vrrp_notify_fifo_script" => {
            draft.nothing(
                &line.at,
                line.text(),
                "write an alert agent: each event calls it with CRM_alert_... in its environment",
            );
            return Ok(true);
        }
        "smtp_alert" | "smtp_alert_vrrp" => {
            draft.became(
                &line.at,
                line.text(),
                "the alert with alert_mail, if there is a notification_email",
            );
            return Ok(true);
        }
        _ => return Ok(false),
    };
    // keepalived takes the rest of the line, and a user behind a quoted command.
    let command = value(line)?.to_owned();
    let command = match line.words.get(2) {
        Some(user) if command.contains(' ') => {
            draft.nothing(
                &line.at,
                format!("user {user}"),
                "alert agents run as root; let the command change the user: runuser -u USER -- COMMAND",
            );
            command
        }
        _ => line.words[1..].join(" "),
    };
    draft.became(
        &line.at,
        line.text(),
        format!("{parameter} of an alert with alert_notify"),
    );
    notify
        .commands
        .insert(parameter, (line.at.clone(), command));
    Ok(true)
}

fn tracks(item: &Item, tracks: &mut Vec<Track>, draft: &mut Draft) -> Result<(), Broken> {
    let is_script = item.is("track_script");
    for line in block(item)? {
        let Some(name) = line.words.first() else {
            continue;
        };
        let (mut weight, mut reverse) = (None, false);
        let mut words = line.words[1..].iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "weight" => {
                    let text = words.next().map_or("", String::as_str);
                    weight = Some(number_of(&line.at, text, -254, 254)?);
                }
                "reverse" => reverse = true,
                _ => draft.nothing(
                    &line.at,
                    word.as_str(),
                    "this word is not known here; leave it out",
                ),
            }
        }
        let test = if is_script {
            Test::Script(name.clone())
        } else {
            Test::Link(name.clone())
        };
        let what = if is_script {
            format!("a location rule about the node attribute check-{name}")
        } else {
            format!(
                "ocf:heartbeat:ethmonitor on all nodes, and a location rule about ethmonitor-{name}"
            )
        };
        draft.became(&line.at, line.text(), what);
        let track = Track {
            at: line.at.clone(),
            test,
            weight,
            reverse,
        };
        if !tracks.iter().any(|known| known.test == track.test) {
            tracks.push(track);
        }
    }
    Ok(())
}

fn sync_group(item: &Item, model: &mut Model, draft: &mut Draft) -> Result<(), Broken> {
    let name = name(item)?;
    let mut group = SyncGroup {
        at: item.at.clone(),
        name: name.to_owned(),
        members: Vec::new(),
        tracks: Vec::new(),
        notify: Notify::default(),
    };
    draft.became(
        &item.at,
        item.text(),
        "one group: its addresses are on one node, always",
    );
    for line in block(item)? {
        if notified(line, &mut group.notify, draft)? {
            continue;
        }
        match line.words.first().map_or("", String::as_str) {
            "group" => {
                for member in block(line)? {
                    for name in &member.words {
                        draft.became(
                            &member.at,
                            name.as_str(),
                            format!("its addresses are members of the group {}", group.name),
                        );
                        group.members.push((member.at.clone(), name.clone()));
                    }
                }
            }
            "track_interface" | "track_script" => tracks(line, &mut group.tracks, draft)?,
            word @ ("track_process" | "track_file" | "track_bfd") => {
                draft.nothing(&line.at, line.text(), instead_of(word));
            }
            "global_tracking" | "sync_group_tracking_weight" => {
                draft.not_needed(
                    &line.at,
                    line.text(),
                    "what is tracked counts for the group as a whole",
                );
            }
            _ => unknown(line, draft),
        }
    }
    if !model.groups.iter().any(|known| known.name == group.name) {
        model.groups.push(group);
    }
    Ok(())
}

fn script(item: &Item, model: &mut Model, draft: &mut Draft) -> Result<(), Broken> {
    let mut script = Script {
        at: item.at.clone(),
        name: name(item)?.to_owned(),
        command: String::new(),
        interval: "1".to_owned(),
        timeout: None,
        weight: 0,
        rise: 1,
        fall: 1,
        init_fail: false,
    };
    let mut user = None;
    let new = format!("check-{}", script.name);
    for line in block(item)? {
        let became = match line.words.first().map_or("", String::as_str) {
            "script" => {
                script.command = value(line)?.to_owned();
                "params command"
            }
            "interval" => {
                script.interval = seconds(line)?;
                "the interval of its monitor"
            }
            "timeout" => {
                script.timeout = Some(seconds(line)?);
                "params limit"
            }
            "weight" => {
                script.weight = number_of(&line.at, value(line)?, -254, 254)?;
                "the score of location rules about it"
            }
            "rise" => {
                script.rise = number(line, 1, 1_000_000)?.unsigned_abs();
                "params rise"
            }
            "fall" => {
                script.fall = number(line, 1, 1_000_000)?.unsigned_abs();
                "params fall"
            }
            "user" => {
                user = Some(value(line)?.to_owned());
                "runuser in front of the command"
            }
            "init_fail" => {
                script.init_fail = true;
                "params first=bad"
            }
            _ => {
                unknown(line, draft);
                continue;
            }
        };
        draft.became(&line.at, line.text(), format!("{became} of {new}"));
    }
    if script.command.is_empty() {
        return Err(Broken::at(
            &item.at,
            format!("vrrp_script {} has no script", script.name),
        )
        .cure("write script \"/path/to/program\" in its block"));
    }
    if let Some(user) = user {
        script.command = format!("runuser -u {user} -- {}", script.command);
    }
    draft.became(
        &item.at,
        item.text(),
        format!("the resource {new}, on all nodes (ocf:systole:check)"),
    );
    if !model.scripts.iter().any(|known| known.name == script.name) {
        model.scripts.push(script);
    }
    Ok(())
}
