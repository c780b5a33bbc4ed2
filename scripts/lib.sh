# shellcheck shell=bash
# What the scripts share; source it. It says nothing and starts nothing by itself.
# The variables are for the scripts that source this file.
# shellcheck disable=SC2034

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=$root/bin

# Where `make up` keeps things: the defaults of cisd.
data=/var/lib/cis
run=/run/cis
logs=/var/log/cis

die() {
    echo "error: $1" >&2
    [[ $# -lt 2 ]] || echo "  → $2" >&2
    exit 1
}

need_root() { [[ $EUID -eq 0 ]] || die "this needs root" "run it with sudo"; }

# step TEXT COMMAND... runs a long command: a running clock on a terminal, a plain line
# elsewhere, then how long it took. What the command says is shown if it fails.
step() {
    local text=$1 out start clock='' failed=0
    shift
    out=$(mktemp)
    start=$(date +%s%N)
    if [[ -t 1 ]]; then
        (for ((s = 0; ; s++)); do printf '\r%s … %ds ' "$text" "$s" && sleep 1; done) &
        clock=$!
    else
        echo "$text …"
    fi
    "$@" >"$out" 2>&1 </dev/null || failed=1
    if [[ -n $clock ]]; then
        kill "$clock"
        wait "$clock" 2>/dev/null || true
        printf '\r\033[K'
    fi
    printf '%s: %s after %s\n' "$text" "$([[ $failed = 0 ]] && echo "done" || echo FAILED)" "$(since "$start")"
    [[ $failed = 0 ]] || cat "$out" >&2
    rm -f "$out"
    [[ $failed = 0 ]]
}

# since NANOSECONDS is the time that has gone since then, in seconds.
since() { printf '%d.%d s' $((($(date +%s%N) - $1) / 1000000000)) $((($(date +%s%N) - $1) / 100000000 % 10)); }

# A program in the background is known by a file with its pid and its start time, which
# together no other process ever has.
start_time() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    # The second field, the program's name, may hold spaces: count from behind it.
    awk '{print $20}' <<<"${stat##*) }"
}

# alive NAME prints the pid of a program that background started and that still runs.
alive() {
    local pid start
    read -r pid start 2>/dev/null <"$run/$1.pid" || return 1
    [[ $(start_time "$pid") == "$start" ]] && echo "$pid"
}

# background NAME COMMAND... starts a program that outlives this script and its terminal.
background() {
    local name=$1 pid
    shift
    mkdir -p "$run" "$logs"
    setsid "$@" >>"$logs/$name.log" 2>&1 </dev/null &
    pid=$!
    echo "$pid $(start_time "$pid")" >"$run/$name.pid"
}

# end NAME asks a program to end and waits for it; after 15 seconds it is killed.
end() {
    local pid
    if pid=$(alive "$1"); then
        kill "$pid"
        if ! timeout 15 tail --pid="$pid" -s 0.05 -f /dev/null; then
            kill -9 "$pid" && tail --pid="$pid" -s 0.05 -f /dev/null
        fi
    fi
    rm -f "$run/$1.pid"
}

# leaving_nothing COMMAND... runs tests, and fails too if they leave something on the machine.
leaving_nothing() {
    local before failed=0
    before=$(mktemp)
    "$root/scripts/leftovers" >"$before"
    "$@" || failed=1
    "$root/scripts/leftovers" "$before" || failed=1
    rm -f "$before"
    return $failed
}

# wait_for NAME SECONDS COMMAND... waits until the command succeeds, as long as the
# program NAME runs.
wait_for() {
    local name=$1 deadline=$((SECONDS + $2))
    shift 2
    until "$@" >/dev/null 2>&1; do
        if ! alive "$name" >/dev/null; then
            tail -n 20 "$logs/$name.log" >&2
            die "$name ended; above is the end of its log" "see $logs/$name.log"
        elif ((SECONDS >= deadline)); then
            tail -n 20 "$logs/$name.log" >&2
            die "$name does not answer; above is the end of its log" "see $logs/$name.log"
        fi
        sleep 0.05
    done
}
