//! `global_defs`: mail, names, and what is about the program keepalived itself.

use crate::cli::import::draft::Draft;
use crate::cli::import::keepalived::{model::Model, tree::Item};
use crate::cli::import::note::Broken;

pub(super) fn read(lines: &[Item], model: &mut Model, draft: &mut Draft) -> Result<(), Broken> {
    for line in lines {
        let word = line.words.first().map_or("", String::as_str);
        let globals = &mut model.globals;
        if super::announced(line, &mut globals.announcing, draft)? {
            continue;
        }
        match word {
            "notification_email" => {
                for mail in super::block(line)? {
                    for address in &mail.words {
                        draft.became(&mail.at, address.as_str(), "a recipient of the alert with alert_mail");
                        if !globals.mails.iter().any(|(_, known)| known == address) {
                            globals.mails.push((mail.at.clone(), address.clone()));
                        }
                    }
                }
            }
            "notification_email_from" => {
                globals.mail_from = Some(super::value(line)?.to_owned());
                draft.became(&line.at, line.text(), "email_sender of the alert");
            }
            "smtp_server" | "smtp_connect_timeout" | "smtp_helo_name" => draft.nothing(
                &line.at,
                line.text(),
                "mail goes to the sendmail of the machine; let its mail transfer agent use that server as a relay",
            ),
            "smtp_alert" | "smtp_alert_vrrp" | "smtp_alert_checker" | "no_email_faults" | "email_faults" => {
                draft.became(&line.at, line.text(), "the alert with alert_mail, if there is a notification_email");
            }
            "router_id" => draft.not_needed(&line.at, line.text(), "a node's name is given with systole init or join"),
            "script_user" | "enable_script_security" => draft.not_needed(
                &line.at,
                line.text(),
                "agents run as root; a check may change the user itself: runuser -u USER -- COMMAND",
            ),
            "notify_fifo" | "notify_fifo_script" | "vrrp_notify_fifo" | "vrrp_notify_fifo_script"
            | "notify_priority_changes" => draft.nothing(
                &line.at,
                line.text(),
                "write an alert agent: each event calls it with CRM_alert_... in its environment",
            ),
            "startup_script" | "shutdown_script" | "startup_script_timeout" | "shutdown_script_timeout" => draft.nothing(
                &line.at,
                line.text(),
                "put it into the unit of the daemon: ExecStartPre= and ExecStopPost= of systole.service",
            ),
            _ if word.starts_with("lvs_") || word.starts_with("checker_") => draft.nothing(
                &line.at,
                line.text(),
                "load balancing is a resource of its own: ocf:heartbeat:ldirectord",
            ),
            _ if word.starts_with("vrrp_") || word.starts_with("bfd_") || word.starts_with("snmp_")
                || word.starts_with("enable_snmp") || word.starts_with("dbus_") || word.starts_with("nftables")
                || word.starts_with("enable_") || word.starts_with("dynamic_") || word.starts_with("default_interface")
                || word.starts_with("process_") || word.starts_with("reload_") || word.starts_with("umask")
                || word.starts_with("use_") || word.starts_with("log_") || word.starts_with("max_auto_priority")
                || word.starts_with("fifo_") || word.starts_with("iptables") || word.starts_with("shutdown_") =>
            {
                draft.not_needed(&line.at, line.text(), "it is about the program keepalived and its protocol");
            }
            _ => super::unknown(line, draft),
        }
    }
    Ok(())
}
