//! The loop around the machine. The policy thinks on a thread of its own; everything else is a
//! message to the daemon, which knows the nodes.

use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;

use super::machine::{Machine, Settings};
use super::vocab::{Effect, Event, Picture};
use crate::cib::Cib;
use crate::clock::{Mono, wall_s};
use crate::graph::Graph;

/// Asks the policy: a CIB and the number of the transition before in, a graph out.
pub type Planner = Arc<dyn Fn(&Cib, i64) -> Graph + Send + Sync>;

/// The daemon's end of the coordinator.
#[derive(Clone)]
pub struct Handle {
    events: mpsc::UnboundedSender<Event>,
    picture: Arc<Mutex<Picture>>,
}

impl Handle {
    /// Tells the coordinator what happened. Its queue is bounded by what it asks for itself, and
    /// by the writes of the cluster.
    pub fn tell(&self, event: Event) {
        // A coordinator that is gone means that the daemon is going, too.
        let _ = self.events.send(event);
    }

    /// What status shows.
    pub fn picture(&self) -> Picture {
        self.picture.lock().expect("no panic while held").clone()
    }
}

/// Starts the loop; what it wants done arrives on the returned channel.
pub fn spawn(settings: Settings, planner: Planner) -> (Handle, mpsc::UnboundedReceiver<Effect>) {
    let (events, mut events_in) = mpsc::unbounded_channel();
    let (effects_out, effects) = mpsc::unbounded_channel();
    let picture = Arc::new(Mutex::new(Picture::default()));
    let handle = Handle {
        events: events.clone(),
        picture: Arc::clone(&picture),
    };
    tokio::spawn(async move {
        let mut machine = Machine::new(settings);
        let mut effects = Vec::new();
        loop {
            let wake = machine.wake_at(Mono::now());
            let event = tokio::select! {
                biased;
                event = events_in.recv() => match event {
                    Some(event) => event,
                    None => return,
                },
                () = until(wake) => Event::Tick,
            };
            machine.step(Mono::now(), wall_s(), event, &mut effects);
            for effect in effects.drain(..) {
                if let Effect::Plan {
                    plan,
                    cib,
                    transition,
                } = effect
                {
                    let (planner, events) = (Arc::clone(&planner), events.clone());
                    tokio::task::spawn_blocking(move || {
                        let graph = Box::new(planner(&cib, transition));
                        let _ = events.send(Event::Planned { plan, graph });
                    });
                } else if effects_out.send(effect).is_err() {
                    return;
                }
            }
            *picture.lock().expect("no panic while held") = machine.picture();
        }
    });
    (handle, effects)
}

async fn until(at: Option<Mono>) {
    match at {
        Some(at) => tokio::time::sleep(at.wait_from(Mono::now())).await,
        None => std::future::pending().await,
    }
}
