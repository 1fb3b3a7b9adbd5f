//! Orders of one coordinator and of the next: what is taken, what waits for its record, what never begins.

use super::*;

#[test]
fn an_order_waits_until_it_is_recorded() {
    let mut play = Play::new();
    let start = play.announced(1, "a_start_0");
    assert_eq!(play.at(0, start), "pending a_start_0 #1");
    assert_eq!(play.at(5, Event::PendingWritten(1)), "run 1 a start");
    play.end(6, 1, 0);
    let stop = play.announced(1, "b_stop_0");
    assert_eq!(
        play.at(7, stop),
        "pending b_stop_0 #2; run 2 b stop",
        "a stop waits for nobody"
    );
    let start = play.announced(1, "c_start_0");
    assert_eq!(play.at(8, start.clone()), "pending c_start_0 #3");
    assert!(
        play.at(9, Event::PendingLost(3))
            .starts_with("refused c_start_0: the operation could")
    );
    assert_eq!(
        play.at(10, start),
        "pending c_start_0 #4",
        "and may be ordered again"
    );
}

#[test]
fn what_begins_is_told_when_all_before_it_has_ended() {
    let mut play = Play::new();
    let agent = "ocf:heartbeat:Dummy".parse().expect("agent");
    play.at(0, Event::Metadata(agent, None));
    assert_eq!(play.go(0, "a_monitor_0", ""), "run 1 a monitor");
    // The result of the probe has the id of the pending start, and would take it away from whoever coordinates next.
    let start = play.announced(1, "a_start_0");
    assert_eq!(play.at(10, start), "");
    assert_eq!(
        play.end(50, 1, 7),
        "result a_monitor_0 #1 0:7 @1000; pending a_start_0 #2"
    );
    assert_eq!(play.at(51, Event::PendingWritten(2)), "run 2 a start");
    let stop = play.announced(1, "a_stop_0");
    assert_eq!(play.at(52, stop), "");
    assert_eq!(
        play.end(60, 2, 0),
        "result a_start_0 #2 0:0 @1000; pending a_stop_0 #3; run 3 a stop"
    );
}

#[test]
fn orders_of_a_deposed_coordinator_never_begin() {
    let mut play = Play::new();
    play.go(0, "a_start_0", "");
    assert_eq!(play.go(1, "a_promote_0", ""), "");
    assert_eq!(
        play.at(2, Event::TermSeen(Term(2))),
        "refused a_promote_0: order of term 1, but term 2 is known: its coordinator is deposed; \
         withdrawn a_promote_0 2"
    );
    let old = play.order(1, "b_start_0", "");
    assert!(
        play.at(3, old)
            .starts_with("refused b_start_0: order of term 1")
    );
    let new = play.order(2, "b_start_0", "");
    assert_eq!(play.at(4, new), "run 2 b start");
}

#[test]
fn what_was_decided_before_a_stop_was_recorded_is_decided_again() {
    let mut play = Play::new();
    let agent = "ocf:heartbeat:Dummy".parse().expect("agent");
    play.at(0, Event::Metadata(agent, None));
    play.go(0, "web_start_0", "");
    play.end(0, 1, 0);
    let stop = play.announced(1, "web_stop_0");
    assert_eq!(play.at(1, stop), "pending web_stop_0 #2; run 2 web stop");
    play.end(1, 2, 0);
    let probe = play.order(2, "db_monitor_0", "");
    assert_eq!(play.at(2, probe), "run 3 db monitor", "it changes nothing");
    play.end(2, 3, 7);
    let start = play.announced(2, "vip_start_0");
    assert_eq!(play.at(2, start), "", "it may need web");
    assert_eq!(
        play.at(3, Event::PendingWritten(2)),
        "refused vip_start_0: it was decided without knowing of web_stop_0, which an earlier coordinator had ordered here; \
         withdrawn vip_start_0 4; not done 4: vip_start_0: it was decided without knowing of web_stop_0, which an earlier \
         coordinator had ordered here"
    );
    let start = play.announced(2, "vip_start_0");
    assert_eq!(play.at(4, start), "pending vip_start_0 #5");
    assert_eq!(play.at(4, Event::PendingWritten(5)), "run 4 vip start");

    let stop = play.announced(2, "vip_stop_0");
    play.end(5, 4, 0);
    play.at(5, stop);
    let start = play.announced(2, "other_start_0");
    play.at(5, start);
    let begun = play.at(5, Event::PendingWritten(7));
    assert_eq!(begun, "run 6 other start", "who ordered a stop knows it");
}

#[test]
fn a_repeated_order_is_taken_once() {
    let mut play = Play::new();
    let order = play.order(1, "a_start_0", "");
    assert_eq!(play.at(0, order.clone()), "run 1 a start");
    assert_eq!(play.at(1, order.clone()), "");
    play.end(2, 1, 0);
    assert_eq!(play.at(3, order), "");
}

fn account(term: u64, op: &str, action: i64) -> Event {
    Event::Command(Box::new(Command::Account {
        term: Term(term),
        op: op.parse().expect("an operation key"),
        key: TransitionKey {
            action,
            transition: 1,
            target_rc: 0,
            uuid: "u".into(),
        },
    }))
}

#[test]
fn a_node_accounts_for_what_it_was_ordered() {
    let mut play = Play::new();
    play.go(0, "a_start_0", "");
    let agent = "ocf:heartbeat:Dummy".parse().expect("an agent");
    play.at(0, Event::Metadata(agent, None));
    assert_eq!(
        play.at(1, account(1, "a_start_0", 1)),
        "",
        "its end will tell"
    );
    let ended = play.end(2, 1, 0);
    assert_eq!(play.at(3, account(1, "a_start_0", 1)), ended, "told again");

    play.go(4, "a_monitor_10000", "");
    play.end(4, 2, 7);
    let again = play.at(4, account(1, "a_monitor_10000", 2));
    assert_eq!(again, "", "it failed, was counted, and goes on");

    let late = play.order(1, "b_start_0", "");
    assert_eq!(
        play.at(4, account(1, "b_start_0", 3)),
        "withdrawn b_start_0 3; not done 3: b_start_0: nothing is under way here on that order, and nothing will be"
    );
    assert_eq!(play.at(5, late), "", "it has said that it will not");
}

#[test]
fn what_ended_is_not_told_again_over_what_was_announced_since() {
    let mut play = Play::new();
    let agent = "ocf:heartbeat:Dummy".parse().expect("an agent");
    play.at(0, Event::Metadata(agent, None));
    play.go(0, "a_start_0", "");
    let started = play.end(1, 1, 0);
    assert_eq!(play.at(2, account(2, "a_start_0", 1)), started);
    let promote = play.announced(2, "a_promote_0");
    assert_eq!(play.at(3, promote), "pending a_promote_0 #2");
    // Whoever asks has an answer, and finds in the CIB what it came to.
    let over = "withdrawn a_start_0 1; not done 1: a_start_0: nothing is under way here on that order, and nothing will be";
    assert_eq!(play.at(4, account(2, "a_start_0", 1)), over);
    assert_eq!(play.at(5, Event::PendingWritten(2)), "run 2 a promote");
    assert_eq!(play.at(6, account(2, "a_start_0", 1)), over);
    let promoted = play.end(7, 2, 0);
    assert_eq!(play.at(8, account(2, "a_promote_0", 2)), promoted);
}

#[test]
fn what_never_begins_under_an_older_term_is_withdrawn() {
    let mut play = Play::new();
    play.go(0, "a_stop_0", "");
    play.go(0, "a_start_0", "");
    let dropped = play.at(1, Event::TermSeen(Term(2)));
    assert!(dropped.ends_with("withdrawn a_start_0 2"), "{dropped}");
}
