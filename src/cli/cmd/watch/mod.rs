//! `systole watch`: runs beside a Pacemaker and says where we would decide otherwise.
//! Enters: CIBs of the other cluster, from its `cibadmin`, a file or a folder.
//! Leaves: differences as text or JSON lines; an exit code.
//! May touch: what it is told to read, a private folder for the copies that the other's `crm_simulate` reads. Nothing is
//! written to the other cluster.

mod peer;
mod source;

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    cib::Version,
    cli::{
        args,
        failure::Failure,
        forecast,
        shell::Shell,
        watch::{Answer, Case, Difference, Memory, News, Seen, in_older_words},
    },
    clock,
    policy::Input,
    terms::CrmExit,
    xml::{self, Element, Limits, write},
};

use peer::{Peer, What};
use source::{Look, Reader};

/// Run it.
pub fn run(shell: &mut Shell, watch: &args::Watch) -> Result<(), Failure> {
    if !(watch.interval.is_finite() && (0.1..=86_400.0).contains(&watch.interval)) {
        return Err(Failure::usage(format!("{} is no interval", watch.interval))
            .cure("write seconds from 0.1 to 86400"));
    }
    let mut watcher = Watcher {
        peer: Peer::find(watch.peer.as_deref(), watch.no_peer)?,
        reader: Reader::new(watch)?,
        memory: Memory::default(),
        seen: Seen::default(),
        scores: watch.scores,
        json: watch.json,
        unexplained: 0,
        explained: 0,
        unread: 0,
    };
    let mut complained = String::new();
    loop {
        match watcher.all_there_is(shell, watch.once) {
            Ok(()) => complained.clear(),
            Err(failure) if watch.once => return Err(failure),
            // It may come back; that it is away is said once.
            Err(failure) if failure.message == complained => {}
            Err(failure) => {
                shell.fail(&failure);
                complained = failure.message;
            }
        }
        if watch.once {
            return watcher.verdict();
        }
        std::thread::sleep(Duration::from_secs_f64(watch.interval));
    }
}

struct Watcher {
    peer: Option<Peer>,
    reader: Reader,
    memory: Memory,
    seen: Seen,
    scores: bool,
    json: bool,
    /// CIBs about which decisions differed.
    unexplained: u64,
    explained: u64,
    /// CIBs that could not be looked at.
    unread: u64,
}

/// What is said about one CIB.
struct Verdict {
    /// Our deeds.
    deeds: Vec<String>,
    differences: Vec<Difference>,
    /// Why they differ, if that is known.
    why: Option<String>,
}

impl Watcher {
    /// Look at all that was not looked at yet.
    fn all_there_is(&mut self, shell: &mut Shell, once: bool) -> Result<(), Failure> {
        while let Some(look) = self.reader.next()? {
            match self.look(shell, &look) {
                Ok(()) => {}
                // One of many that can't be read does not end it.
                Err(failure) if !once || self.reader.is_folder() => {
                    shell.fail(&failure);
                    self.unread += 1;
                }
                Err(failure) => return Err(failure),
            }
            if once && !self.reader.has_more() {
                break;
            }
        }
        Ok(())
    }

    fn look(&mut self, shell: &mut Shell, look: &Look) -> Result<(), Failure> {
        let cib = match super::simulate::prepared(&look.name, &look.text) {
            Ok(cib) => cib,
            Err(why) => {
                return Err(Failure::new(
                    CrmExit::DATA,
                    format!("failed to read {}: {why}", look.name),
                )
                .cure("crm_verify -V tells all that is wrong with it"));
            }
        };
        let input = input(&cib);
        let verdict = match &self.peer {
            Some(peer) => compared(peer, look, &cib, &input, self.scores)?,
            None => self.observed(&cib, &input)?,
        };
        match (&verdict.why, verdict.differences.is_empty()) {
            (_, true) => {}
            (Some(_), false) => self.explained += 1,
            (None, false) => self.unexplained += 1,
        }
        let news = self.memory.learn(verdict.differences);
        let (deeds, why) = (verdict.deeds, verdict.why);
        let version = Version::of(&cib).to_string();
        if self.json {
            let line = as_json(
                look,
                &version,
                &deeds,
                why.as_deref(),
                &news,
                self.memory.count(),
            );
            return say(shell, &line.to_string());
        }
        say(
            shell,
            as_text(
                look,
                &version,
                &deeds,
                why.as_deref(),
                &news,
                self.memory.count(),
            )
            .trim_end(),
        )
    }

    /// Against what it does next.
    fn observed(&mut self, cib: &Element, input: &Input) -> Result<Verdict, Failure> {
        let played = forecast::play(cib, input)
            .map_err(|error| Failure::new(CrmExit::SOFTWARE, format!("failed to {error}")))?;
        let deeds = played
            .rounds
            .first()
            .map(forecast::Round::deeds)
            .unwrap_or_default();
        Ok(Verdict {
            deeds,
            differences: self.seen.next(played.standing, played.ends),
            why: None,
        })
    }

    fn verdict(&self) -> Result<(), Failure> {
        match (self.unexplained, self.explained) {
            (0, 0) if self.unread > 0 => {
                let text = format!("{} could not be compared", self.unread);
                Err(Failure::new(CrmExit::DATA, text))
            }
            (0, 0) => Ok(()),
            (0, _) => Err(Failure::new(
                CrmExit(2),
                "the decisions differ, for known reasons",
            )),
            _ => Err(Failure::new(CrmExit::ERROR, "the decisions differ")),
        }
    }
}

/// As crm_simulate reads it, also about saved inputs: at their own time.
fn input(cib: &Element) -> Input {
    let date = cib.get("execution-date").and_then(|text| text.parse().ok());
    Input {
        sanitized: true,
        causes: false,
        ..Input::at(date.unwrap_or_else(clock::wall_s))
    }
}

/// Against the other program on the same CIB. Scores are asked for when they are wanted, and to find out why something
/// differs.
fn compared(
    peer: &Peer,
    look: &Look,
    cib: &Element,
    input: &Input,
    wants_scores: bool,
) -> Result<Verdict, Failure> {
    let copy = peer.copy(&look.text)?;
    let scores = || -> Result<_, Failure> {
        let theirs = peer.answer(&copy, What::Scores)?;
        Ok((theirs.scores, peer::ours(&copy, What::Scores).scores))
    };
    let mut theirs = peer.answer(&copy, What::Summary)?;
    let mut ours = peer::ours(&copy, What::Summary);
    if wants_scores {
        (theirs.scores, ours.scores) = scores()?;
    }
    let differences = theirs.against(&ours);
    let deeds = ours.summary.iter();
    let deeds = deeds
        .map(|line| line.trim_start_matches("* ").to_owned())
        .collect();
    let mut why = None;
    if !differences.is_empty() && peer.is_older() {
        if !wants_scores {
            (theirs.scores, ours.scores) = scores()?;
        }
        why = match older_words(peer, look, &theirs)? {
            Some(why) => Some(why),
            None => Case::new(cib, input, theirs, ours).explained(),
        };
    }
    Ok(Verdict {
        deeds,
        differences,
        why,
    })
}

/// Whether it decides as we do when it is told options by the names that it knows.
fn older_words(peer: &Peer, look: &Look, before: &Answer) -> Result<Option<String>, Failure> {
    let parsed = xml::parse(&look.text, &Limits::STORED).ok();
    let Some(older) = parsed.as_ref().and_then(in_older_words) else {
        return Ok(None);
    };
    let copy = peer.copy(write::pretty(&older).as_bytes())?;
    let theirs = peer.answer(&copy, What::Summary)?;
    let same = theirs.summary == peer::ours(&copy, What::Summary).summary;
    let helps = same && theirs.summary != before.summary;
    Ok(helps.then(|| {
        "options have names that 2.1 does not know, and count as absent there (spec 1 §33)"
            .to_owned()
    }))
}

/// At once, as somebody may follow it through a pipe.
fn say(shell: &mut Shell, text: &str) -> Result<(), Failure> {
    shell.say(text)?;
    shell.out.flush().map_err(Failure::from)
}

fn as_text(
    look: &Look,
    version: &str,
    deeds: &[String],
    why: Option<&str>,
    news: &News,
    count: usize,
) -> String {
    let todo = match deeds.len() {
        0 => "nothing to do".to_owned(),
        1 => "one thing to do".to_owned(),
        n => format!("{n} things to do"),
    };
    let state = match count {
        0 => "the same".to_owned(),
        1 => "one difference".to_owned(),
        n => format!("{n} differences"),
    };
    let mut out = format!("{} ({version}): {state}, {todo}\n", look.name);
    for it in &news.new {
        out.push_str(&format!("  {}\n", it.about));
        for (who, lines) in [("Pacemaker", &it.theirs), ("Systole", &it.ours)] {
            if lines.is_empty() {
                out.push_str(&format!("    {who:<9}  does nothing else about it\n"));
            }
            for line in lines {
                out.push_str(&format!(
                    "    {who:<9}  {}\n",
                    line.trim_start_matches("* ")
                ));
            }
        }
    }
    if let Some(why) = why.filter(|_| !news.new.is_empty()) {
        out.push_str(&format!("    known change between 2.1 and 3.0: {why}\n"));
    }
    for name in &news.gone {
        out.push_str(&format!("  {name}: no difference any more\n"));
    }
    out
}

fn as_json(
    look: &Look,
    version: &str,
    deeds: &[String],
    why: Option<&str>,
    news: &News,
    count: usize,
) -> Value {
    let difference =
        |it: &Difference| json!({"about": it.about, "pacemaker": it.theirs, "systole": it.ours});
    json!({
        "source": look.name,
        "version": version,
        "same": count == 0,
        "differences": count,
        "new": news.new.iter().map(difference).collect::<Vec<_>>(),
        "gone": news.gone,
        "known_change": why,
        "systole": deeds,
    })
}
