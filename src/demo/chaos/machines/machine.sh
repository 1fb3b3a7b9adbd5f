# What `systole lab chaos --on HOST,...` does on a machine; the first word says what. It arrives on standard input of `sh`.
# Whatever lasts ends by itself after the given milliseconds, whether anybody still reaches this machine or not.
set -u
dir=${SYSTOLE_DIR:-/var/lib/systole}
tools=$dir/tools
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
table=systole_chaos

fail() {
    echo "$1" >&2
    exit 1
}

status() {
    "$tools/crm" cluster status --json
}

# The daemon's process.
pid() {
    status | sed -n 's/^ *"pid": *\([0-9][0-9]*\).*/\1/p' | head -n 1
}

seconds() {
    echo "$(($1 / 1000)).$(printf %03d $(($1 % 1000)))"
}

# later MS COMMAND...: after that time, even if this shell is gone.
later() {
    for_s=$(seconds "$1")
    shift
    setsid sh -c 'sleep "$1"; shift; exec "$@"' sh "$for_s" "$@" \
        >/dev/null 2>&1 </dev/null &
}

# cut MS PORT,... [HOOK...]: what goes to or comes from these ports is dropped.
cut_ports() {
    ms=$1
    ports=$2
    shift 2
    nft delete table inet "$table" 2>/dev/null
    {
        echo "table inet $table {"
        for hook; do
            echo "chain $hook {"
            echo "type filter hook $hook priority -300; policy accept;"
            echo "meta l4proto { tcp, udp } th dport { $ports } drop"
            echo "meta l4proto { tcp, udp } th sport { $ports } drop"
            echo "}"
        done
        echo "}"
    } | nft -f - || fail "nft refuses: is the package nftables there, and is this root?"
    later "$ms" nft delete table inet "$table"
}

what=$1
shift
case $what in
look) # Can this machine do what is asked?
    [ "$(id -u)" = 0 ] || fail "this is not root"
    [ -x "$tools/crm" ] || fail "there is no $tools/crm: is a node set up here? (SYSTOLE_DIR says where it is)"
    [ -n "$(pid)" ] || fail "no daemon answers: systemctl start systole"
    for program; do
        command -v "$program" >/dev/null || fail "there is no program $program: install it, or leave out with --only what takes it"
    done
    ;;
status) status ;;
kill-daemon)
    pid=$(pid)
    [ -n "$pid" ] || fail "no daemon answers"
    kill -KILL "$pid"
    ;;
pause) # MS
    pid=$(pid)
    [ -n "$pid" ] || fail "no daemon answers"
    later "$1" kill -CONT "$pid"
    kill -STOP "$pid"
    ;;
cut) cut_ports "$1" "$2" input output ;; # MS PORTS
deaf) cut_ports "$1" "$2" input ;;       # MS PORTS
shape) # MS PEER WORD...: in the words of tc, on the device that leads to a peer
    ms=$1
    device=$(ip route get "$2" | sed -n 's/.* dev \([^ ]*\).*/\1/p')
    shift 2
    [ -n "$device" ] && [ "$device" != lo ] || fail "no device leads to the other hosts"
    tc qdisc replace dev "$device" root "$@" || fail "tc refuses: is there a sch_$1 in this kernel?"
    later "$ms" tc qdisc del dev "$device" root
    ;;
disk-full) # MS
    later "$1" rm -f "$dir/filler"
    # A large disk is not full in that time, and the rest of this must not fill it afterwards.
    timeout "$(seconds "$1")" cat /dev/zero >"$dir/filler" 2>/dev/null
    true
    ;;
power-off) # As if somebody pulled the plug; it has to start again by itself.
    echo 1 >/proc/sys/kernel/sysrq
    (sleep 0.2; echo b >/proc/sysrq-trigger) >/dev/null 2>&1 </dev/null &
    ;;
fail-resource) "$tools/crm_resource" --force-stop -r "$1" ;;
active) # RESOURCE: does it run here, by its agent's own word?
    "$tools/crm_resource" --force-check -r "$1" >/dev/null 2>&1
    echo "$?"
    ;;
crm) "$tools/crm" "$@" ;;
mon) "$tools/crm_mon" -1 --output-as=xml ;;
settled) "$tools/crm_resource" --wait --timeout=20 ;;
cib) "$tools/cibadmin" --query --local ;;
count) # One more, written through this machine.
    "$tools/cibadmin" --modify --score -o crm_config -X '<cluster_property_set id="systole-chaos"><nvpair id="systole-chaos-count" name="chaos-count" value="value++"/></cluster_property_set>'
    ;;
begin)
    "$tools/cibadmin" --modify --allow-create -o crm_config -X '<cluster_property_set id="systole-chaos"><nvpair id="systole-chaos-count" name="chaos-count" value="0"/></cluster_property_set>'
    ;;
end) "$tools/cibadmin" --delete -o crm_config -X '<cluster_property_set id="systole-chaos"/>' ;;
sample) # Memory, files and threads of the daemon
    pid=$(pid)
    [ -n "$pid" ] || fail "no daemon answers"
    ls "/proc/$pid/fd" | wc -l
    cat "/proc/$pid/status"
    ;;
*) fail "there is no fault $what" ;;
esac
