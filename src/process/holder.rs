//! Who has a TCP port: what a daemon that can't listen tells the person who has to make room for it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Why an address can't be listened on, who may be the cause, and what helps.
pub fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> String {
    use std::io::ErrorKind::{AddrInUse, AddrNotAvailable, PermissionDenied};
    let port = address.port();
    match error.kind() {
        AddrInUse => match holder(address) {
            Some((pid, name)) if name == "systole" => format!(
                "{address}: in use by systole (process {pid}): this node is running already, or another one has the same port"
            ),
            Some((pid, name)) => format!(
                "{address}: in use by {name} (process {pid}): stop it, or let this node use another port"
            ),
            None => format!(
                "{address}: in use: `ss -ltnp 'sport = :{port}'` as root tells by whom; stop it, or let this node use \
                 another port"
            ),
        },
        AddrNotAvailable => format!(
            "{address}: no interface of this machine has this address (`ip address` lists what there is)"
        ),
        PermissionDenied if port < 1024 => {
            format!("{address}: ports below 1024 are for root: run it as root, or use another port")
        }
        _ => format!("{address}: {error}"),
    }
}

/// The process that listens there, if it can be seen from here.
fn holder(address: SocketAddr) -> Option<(i32, String)> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .find_map(|table| listening(&table, address))?;
    let socket = format!("socket:[{inode}]");
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.into_iter().find_map(|pid| {
        let files = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten();
        let mut targets = files.filter_map(|file| std::fs::read_link(file.path()).ok());
        targets.find(|target| target.as_os_str() == socket.as_str())?;
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        Some((pid, name.trim().to_owned()))
    })
}

/// The inode of the socket that listens at this address, or at all.
fn listening(table: &str, address: SocketAddr) -> Option<u64> {
    table.lines().skip(1).find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (ip, port) = words.get(1)?.split_once(':')?;
        let ip = read_ip(ip)?;
        let here = ip.is_unspecified() || ip == address.ip();
        let listens = *words.get(3)? == "0A";
        let port = u16::from_str_radix(port, 16).ok()?;
        (here && listens && port == address.port())
            .then(|| words.get(9)?.parse().ok())
            .flatten()
    })
}

/// An address as the kernel writes it: words of 32 bits, each in the machine's own order.
fn read_ip(hex: &str) -> Option<IpAddr> {
    let words: Option<Vec<u8>> = (0..hex.len())
        .step_by(8)
        .map(|at| u32::from_str_radix(hex.get(at..at + 8)?, 16).ok())
        .flat_map(|word| match word {
            Some(word) => word.to_ne_bytes().map(Some),
            None => [None; 4],
        })
        .collect();
    let words = words?;
    if let Ok(four) = <[u8; 4]>::try_from(words.as_slice()) {
        return Some(IpAddr::V4(Ipv4Addr::from(four)));
    }
    let sixteen = <[u8; 16]>::try_from(words.as_slice()).ok()?;
    Some(IpAddr::V6(Ipv6Addr::from(sixteen)).to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_a_port_is_named() {
        for at in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0"] {
            let Ok(held) = std::net::TcpListener::bind(at) else {
                eprintln!("skipped: {at} can't be listened on here");
                continue;
            };
            let mut address = held.local_addr().expect("it has one");
            let (pid, _) = holder(address).expect("it is this process");
            assert_eq!(u32::try_from(pid), Ok(std::process::id()), "{at}");
            // Whoever listens everywhere is in the way of one address, too.
            if address.ip().is_unspecified() {
                address.set_ip(Ipv4Addr::LOCALHOST.into());
            }
            let error = std::net::TcpListener::bind(address).expect_err("it is in use");
            let said = cannot_listen(address, &error);
            assert!(said.contains(&format!("(process {pid})")), "{said}");
        }
    }

    #[test]
    fn an_address_that_is_not_here_is_told_from_one_in_use() {
        let address: SocketAddr = "192.0.2.1:5405".parse().expect("an address");
        let error = std::net::TcpListener::bind(address).expect_err("nobody has it");
        let said = cannot_listen(address, &error);
        assert!(said.contains("no interface"), "{said}");
    }
}
