//! Where the daemon's words go: the journal under systemd, otherwise standard error.

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Starts logging. `SYSTOLE_LOG` filters, in tracing's syntax; the default is `info` for our own words.
pub(super) fn init() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("SYSTOLE_LOG")
        .unwrap_or_else(|_| "warn,systole=info,openraft=off".into());
    let registry = tracing_subscriber::registry().with(filter);
    let journal = std::env::var_os("JOURNAL_STREAM").and_then(|_| tracing_journald::layer().ok());
    let done = match journal {
        Some(journal) => registry.with(journal).try_init(),
        None => {
            let layer = tracing_subscriber::fmt::layer()
                .with_writer(std::io::stderr)
                .with_ansi(false)
                .with_target(false)
                .with_timer(Clock);
            registry.with(layer).try_init()
        }
    };
    // Tests start several daemons in one process: the first one's log serves all.
    let _ = done;
}

/// Milliseconds matter when the outage of a failover is looked into.
struct Clock;

impl tracing_subscriber::fmt::time::FormatTime for Clock {
    fn format_time(&self, w: &mut tracing_subscriber::fmt::format::Writer<'_>) -> std::fmt::Result {
        let now = jiff::Timestamp::from_millisecond(crate::clock::wall_ms()).unwrap_or_default();
        write!(w, "{}", now.strftime("%Y-%m-%dT%H:%M:%S%.3fZ"))
    }
}
