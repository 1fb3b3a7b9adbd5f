//! The network: a bridge as switch, in the laboratory's own namespace, and a cable (veth pair) to each host.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use futures_util::TryStreamExt;
use netlink_packet_route::link::LinkMessage;
use rtnetlink::{Handle, LinkBridge, LinkUnspec, LinkVeth};

/// A netlink connection in the namespace of the calling thread.
pub(super) struct Wires {
    handle: Handle,
}

impl Wires {
    /// Must be called inside a tokio runtime.
    pub(super) fn connect() -> io::Result<Self> {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    pub(super) async fn bridge(&self, name: &str) -> io::Result<()> {
        let bridge = LinkBridge::new(name).forward_delay(0).up().build();
        told(
            "make bridge",
            name,
            self.handle.link().add(bridge).execute().await,
        )
    }

    /// A cable from `port` at the bridge into the network namespace of process `pid`, where it ends as `inner`.
    pub(super) async fn cable(
        &self,
        bridge: &str,
        port: &str,
        inner: &str,
        mac: [u8; 6],
        pid: i32,
    ) -> io::Result<()> {
        // The kernel tears a dead host's namespace down in its own time, perhaps between the look and the removal.
        if let Ok(old) = self.index(port).await {
            let removed = self.handle.link().del(old).execute().await;
            if self.index(port).await.is_ok() {
                told("remove cable", port, removed)?;
            }
        }
        let far = format!("{port}.far");
        let pair = LinkVeth::new(port, &far).build();
        told(
            "make cable",
            port,
            self.handle.link().add(pair).execute().await,
        )?;
        let far_end = LinkUnspec::new_with_index(self.index(&far).await?)
            .address(mac.to_vec())
            .name(inner.to_owned())
            .setns_by_pid(pid.cast_unsigned())
            .build();
        told(
            "move cable",
            port,
            self.handle.link().set(far_end).execute().await,
        )?;
        self.plug_into(bridge, port).await
    }

    /// Plugs a link into a bridge, out of the one where it is.
    pub(super) async fn plug_into(&self, bridge: &str, port: &str) -> io::Result<()> {
        self.lay_to(bridge, port).await?;
        self.plug(port, true).await
    }

    /// The same for a cable that stays pulled if it is: the kernel of a host without power lives on for a while.
    pub(super) async fn lay_to(&self, bridge: &str, port: &str) -> io::Result<()> {
        let bridge = self.index(bridge).await?;
        let near = LinkUnspec::new_with_index(self.index(port).await?).controller(bridge);
        told(
            "plug in cable",
            port,
            self.handle.link().set(near.build()).execute().await,
        )
    }

    /// Takes a link away.
    pub(super) async fn remove(&self, link: &str) -> io::Result<()> {
        let index = self.index(link).await?;
        told(
            "remove",
            link,
            self.handle.link().del(index).execute().await,
        )
    }

    /// Pulls the plug at the switch, or puts it back.
    pub(super) async fn plug(&self, port: &str, up: bool) -> io::Result<()> {
        let link = LinkUnspec::new_with_index(self.index(port).await?);
        let link = if up { link.up() } else { link.down() };
        told(
            "switch cable",
            port,
            self.handle.link().set(link.build()).execute().await,
        )
    }

    /// An address and the link up; waits until the far end is there.
    pub(super) async fn address(&self, link: &str, ip: Ipv4Addr, prefix: u8) -> io::Result<()> {
        let mut index = self.index(link).await;
        for _ in 0..200 {
            if index.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
            index = self.index(link).await;
        }
        let index = index?;
        let up = LinkUnspec::new_with_index(index).up().build();
        told("bring up", link, self.handle.link().set(up).execute().await)?;
        if ip.is_loopback() {
            return Ok(());
        }
        let add = self.handle.address().add(index, ip.into(), prefix);
        told("address", link, add.execute().await)
    }

    async fn index(&self, name: &str) -> io::Result<u32> {
        let mut links = self
            .handle
            .link()
            .get()
            .match_name(name.to_owned())
            .execute();
        let link: Option<LinkMessage> = links.try_next().await.map_err(|e| match e {
            // The kernel takes the cable of a dead host away in its own time.
            rtnetlink::Error::NetlinkError(no) if no.raw_code() == -nix::libc::ENODEV => {
                io::Error::new(io::ErrorKind::NotFound, format!("no link {name}"))
            }
            e => io::Error::other(format!("link {name}: {e}")),
        })?;
        link.map(|l| l.header.index)
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no link {name}")))
    }
}

fn told(what: &str, name: &str, done: Result<(), rtnetlink::Error>) -> io::Result<()> {
    done.map_err(|e| io::Error::other(format!("failed to {what} {name}: {e}")))
}
