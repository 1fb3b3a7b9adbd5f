//! The real services of the examples: nginx and PostgreSQL, prepared so that they run in namespaces as root or as an
//! ordinary user, and asked by the client before and after the fault.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::lab::{CLIENT, Lab, LabError};
use crate::clock::Mono;

const VIP: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 100);
const LIMIT: Duration = Duration::from_secs(20);

/// A service is missing, or does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// Not on this machine.
    #[error("failed to find {what}: install it ({how}), or choose another --example")]
    Missing {
        /// Which program.
        what: &'static str,
        /// The cure.
        how: &'static str,
    },
    /// The laboratory broke.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// Preparing it failed.
    #[error("failed to prepare the example: {0}")]
    Prepare(#[from] io::Error),
    /// The client got a wrong answer.
    #[error("failed to use the service through {VIP}: {0}")]
    Wrong(String),
}

/// Whether this machine has what an example needs.
pub fn check(example: &str) -> Result<(), ServiceError> {
    match example {
        "web" if !Path::new("/usr/sbin/nginx").exists() => Err(ServiceError::Missing {
            what: "nginx",
            how: "apt-get install nginx-light",
        }),
        "postgres" if postgres_bin("postgres").is_none() || postgres_bin("psql").is_none() => {
            Err(ServiceError::Missing {
                what: "PostgreSQL",
                how: "apt-get install postgresql",
            })
        }
        _ => Ok(()),
    }
}

/// Files that the example needs, on storage that all hosts share.
pub fn prepare(lab: &Lab, example: &str) -> Result<(), ServiceError> {
    match example {
        "web" => prepare_web(lab)?,
        "postgres" => {
            std::os::unix::fs::symlink(lab.program(), lab.bin().join("lab-database"))?;
            let shared = lab.dir().join("shared");
            fs::create_dir_all(&shared)?;
            fs::set_permissions(&shared, fs::Permissions::from_mode(0o777))?;
        }
        _ => {}
    }
    Ok(())
}

fn prepare_web(lab: &Lab) -> io::Result<()> {
    let dir = lab.dir().join("www");
    fs::create_dir_all(&dir)?;
    fs::write(
        dir.join("index.html"),
        "served through the virtual address\n",
    )?;
    let conf = format!(
        "daemon off;\nmaster_process off;\nuser root root;\npid /run/nginx.pid;\nerror_log /run/nginx.log;\n\
         events {{ worker_connections 64; }}\nhttp {{\n  access_log off;\n  \
         client_body_temp_path /run/nginx-body;\n  proxy_temp_path /run/nginx-proxy;\n  \
         fastcgi_temp_path /run/nginx-fastcgi;\n  uwsgi_temp_path /run/nginx-uwsgi;\n  \
         scgi_temp_path /run/nginx-scgi;\n  server {{ listen 80; root {}; }}\n}}\n",
        dir.display()
    );
    fs::write(lab.dir().join("nginx.conf"), conf)
}

/// What the client does before the fault: it commits rows.
pub fn before_fault(lab: &Lab, example: &str) -> Result<(), ServiceError> {
    match example {
        "web" => fetch(lab).map(drop),
        "postgres" => {
            sql(
                lab,
                "create table if not exists beats (n serial primary key)",
            )?;
            for _ in 0..20 {
                sql(lab, "insert into beats default values")?;
                let counter = lab.dir().join("committed");
                let committed = committed(lab) + 1;
                fs::write(counter, committed.to_string())?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// What the client sees after the fault.
pub fn after_fault(lab: &Lab, example: &str) -> Result<Option<String>, ServiceError> {
    match example {
        "web" => fetch(lab).map(|text| Some(format!("The client fetched: {}", text.trim()))),
        "postgres" => {
            let rows: u64 = sql(lab, "select count(*) from beats")?
                .trim()
                .parse()
                .unwrap_or(0);
            let committed = committed(lab);
            if rows != committed {
                return Err(ServiceError::Wrong(format!(
                    "{committed} rows were committed, {rows} are there"
                )));
            }
            sql(lab, "insert into beats default values")?;
            fs::write(lab.dir().join("committed"), (committed + 1).to_string())?;
            Ok(Some(format!(
                "All {rows} committed rows are there, and one more was written."
            )))
        }
        _ => Ok(None),
    }
}

fn committed(lab: &Lab) -> u64 {
    let text = fs::read_to_string(lab.dir().join("committed")).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

/// One statement from the client through the virtual address, tried until the server is there.
fn sql(lab: &Lab, statement: &str) -> Result<String, ServiceError> {
    let psql = postgres_bin("psql").unwrap_or_else(|| PathBuf::from("psql"));
    let psql = psql.to_string_lossy();
    let address = format!("host={VIP} user=demo dbname=postgres connect_timeout=2");
    let argv = [
        psql.as_ref(),
        "-XqAt",
        "-v",
        "ON_ERROR_STOP=1",
        "-c",
        statement,
        &address,
    ];
    // Reading and creating may be repeated; a lost answer to an insert is an unknown outcome, so inserts are not.
    let again = !statement.starts_with("insert");
    let until = Mono::now().plus(20_000);
    loop {
        let output = lab.run(CLIENT, &argv, &[], LIMIT)?;
        if output.code == 0 {
            return Ok(output.out);
        }
        if !again || Mono::now() >= until {
            return Err(ServiceError::Wrong(output.err));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn fetch(lab: &Lab) -> Result<String, ServiceError> {
    let program = lab.bin().join("systole");
    let program = program.to_string_lossy();
    let output = lab.run(
        CLIENT,
        &[&program, "lab-fetch", &VIP.to_string()],
        &[],
        LIMIT,
    )?;
    if output.code == 0 {
        Ok(output.out)
    } else {
        Err(ServiceError::Wrong(output.err))
    }
}

/// `lab-fetch ADDRESS`: the body of the first page.
pub(super) fn fetch_main(args: &[&str]) -> u8 {
    let fetched = || -> io::Result<String> {
        let address = args.first().copied().unwrap_or_default();
        let mut stream = TcpStream::connect((address, 80))?;
        stream.set_read_timeout(Some(LIMIT))?;
        write!(stream, "GET / HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
        let mut page = String::new();
        stream.read_to_string(&mut page)?;
        let (head, body) = page.split_once("\r\n\r\n").unwrap_or((&page, ""));
        let status = head.lines().next().unwrap_or_default();
        if status.contains(" 200 ") {
            Ok(body.to_owned())
        } else {
            Err(io::Error::other(status.to_owned()))
        }
    };
    match fetched().and_then(|body| io::stdout().write_all(body.as_bytes())) {
        Ok(()) => 0,
        Err(e) => {
            drop(writeln!(io::stderr(), "lab-fetch: {e}"));
            1
        }
    }
}

/// `lab-database DIR`: becomes a PostgreSQL server on the data in DIR, which is made when it is not there. The server
/// refuses to be root, so it gets a user namespace in which it isn't.
pub(super) fn database_main(args: &[&str]) -> u8 {
    let Some(dir) = args.first() else { return 64 };
    let e = match become_database(Path::new(dir)) {
        Ok(never) => match never {},
        Err(e) => e,
    };
    drop(writeln!(io::stderr(), "lab-database: {e}"));
    1
}

fn become_database(dir: &Path) -> io::Result<std::convert::Infallible> {
    let missing = || io::Error::other("PostgreSQL is not installed");
    let (initdb, postgres) = (
        postgres_bin("initdb").ok_or_else(missing)?,
        postgres_bin("postgres").ok_or_else(missing)?,
    );
    if rustix::process::geteuid().is_root() {
        let uid = somebody();
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER)?;
        fs::write("/proc/self/setgroups", "deny")?;
        fs::write("/proc/self/uid_map", format!("{uid} 0 1"))?;
        fs::write("/proc/self/gid_map", format!("{uid} 0 1"))?;
    }
    if !dir.join("PG_VERSION").exists() {
        #[expect(
            clippy::disallowed_methods,
            reason = "this process becomes the server; it has no runtime"
        )]
        let mut make = Command::new(initdb);
        make.arg("-D")
            .arg(dir)
            .args(["-U", "demo", "-A", "trust", "--no-locale", "-E", "UTF8"]);
        if !make.status()?.success() {
            return Err(io::Error::other("initdb failed"));
        }
        fs::write(
            dir.join("pg_hba.conf"),
            "host all all 10.77.0.0/24 trust\nlocal all all trust\n",
        )?;
    }
    // Who is fenced can't clean up; who starts here was told by the cluster that nobody else runs it.
    drop(fs::remove_file(dir.join("postmaster.pid")));
    #[expect(clippy::disallowed_methods, reason = "this process becomes the server")]
    let mut server = Command::new(postgres);
    server.arg("-D").arg(dir).args([
        "-c",
        "listen_addresses=*",
        "-c",
        "unix_socket_directories=/run",
    ]);
    server.args([
        "-c",
        "shared_buffers=16MB",
        "-c",
        "wal_sync_method=fdatasync",
    ]);
    Err(server.exec())
}

/// The id of a user that this machine knows and that isn't root.
fn somebody() -> u32 {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let id_of = |wanted: &str| {
        users.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            (fields.first() == Some(&wanted))
                .then(|| fields.get(2)?.parse().ok())
                .flatten()
        })
    };
    id_of("postgres")
        .or_else(|| id_of("nobody"))
        .unwrap_or(65534)
}

/// The newest installed program of PostgreSQL.
fn postgres_bin(name: &str) -> Option<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_string_lossy().parse().ok()?;
            Some((version, entry.path().join("bin").join(name)))
        })
        .filter(|(_, path)| path.exists())
        .collect();
    versions.sort();
    versions.pop().map(|(_, path)| path)
}
