#!/usr/bin/env bash
# A cluster to play with: three workers and one Kafka on this machine, connectors that have work, and
# a view of who runs what. Ctrl-C ends all of it. Without a terminal it is a test: it kills a worker,
# waits until the others have its tasks and every line has arrived, and ends.
#
# usage: scripts/cluster.sh [--port N] [--seconds N] [--keep]
#   --port     where the first worker's REST API listens on 127.0.0.1, the others behind it (8083)
#   --seconds  kill and end after so long (20 without a terminal; with one, only if it is given)
#   --keep     keep the files: logs, worker configurations, Kafka's data
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
port=8083
seconds=
keep=
while [ $# -gt 0 ]; do
    case $1 in
        --port) port=${2:?--port needs a number} && shift 2 ;;
        --seconds) seconds=${2:?--seconds needs a number} && shift 2 ;;
        --keep) keep=yes && shift ;;
        *) sed -n '2,9s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
    esac
done
[ -n "$seconds" ] || [ -t 1 ] || seconds=20
count=3

say() { printf '%s\n' "$*"; }
die() { say "cluster: $*" >&2; exit 1; }
# Prints a command so that it can be typed again, and runs it.
show() {
    printf '\n$'
    printf ' %q' "$@"
    printf '\n'
    "$@"
}
is_open() { (exec 3<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null; }
free_port() {
    local found
    while found=$((20000 + RANDOM % 12000)); is_open "$found"; do :; done
    echo "$found"
}

command -v java > /dev/null || die "java is missing. Install it with: apt-get install openjdk-17-jre-headless"
ports=()
for ((n = 0; n < count; n++)); do
    ports+=($((port + n)))
    if is_open "${ports[n]}"; then
        die "somebody listens on port ${ports[n]} already: end that, or choose others with --port"
    fi
done

# Setting up: the binary, the connectors, Kafka.
cd "$root"
bin=${CARGO_TARGET_DIR:-target}/release
scripts/timed.sh "build tidegate (the first time takes minutes)" cargo build --release --locked --workspace
scripts/timed.sh "build the connectors" scripts/build-guests.sh connectors-wasm
kafka=$(scripts/timed.sh "fetch Kafka (once, about 60 MB)" scripts/kafka-fetch.sh)
tidegate=$(realpath "$bin/tidegate")

dir=$(mktemp -d "${TMPDIR:-/tmp}/tidegate-cluster.XXXXXX")
workers=()
broker=
writer=
# Waits for a process that was asked to end, and ends it by force if that takes too long.
end() {
    for ((wait = 0; wait < 300; wait++)); do
        kill -0 "$1" 2> /dev/null || return 0
        sleep 0.1
    done
    kill -9 "$1" 2> /dev/null || true
}
finish() {
    status=$?
    trap '' INT TERM HUP
    if [ "$status" != 0 ] && [ "$status" != 130 ]; then
        tail -n 10 "$dir"/*.log >&2 || true
    fi
    say
    say "cluster: ending the workers, then Kafka"
    # Each is asked once: a second signal ends a worker at once.
    for pid in $writer "${workers[@]}"; do kill "$pid" 2> /dev/null || true; done
    for pid in $writer "${workers[@]}"; do end "$pid"; done
    if [ -n "$broker" ]; then
        kill "$broker" 2> /dev/null || true
        end "$broker"
    fi
    wait 2> /dev/null || true
    if [ -n "$keep" ]; then say "cluster: files are in $dir"; else rm -rf "$dir"; fi
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

# In a session of its own, so that Ctrl-C reaches this script only, which ends things in order; but it
# does not outlive the script.
begin() {
    local log=$1
    shift
    setsid setpriv --pdeathsig TERM "$@" > "$log" 2>&1 &
}

# wait_for SECONDS WHAT COMMAND...
wait_for() {
    local until=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        [ "$SECONDS" -lt "$until" ] || die "$what: not so after the time it may take"
        sleep 0.2
    done
}

kafka_port=$(free_port)
controller_port=$(free_port)
cat > "$dir/kafka.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller_port
listeners=PLAINTEXT://127.0.0.1:$kafka_port,CONTROLLER://127.0.0.1:$controller_port
advertised.listeners=PLAINTEXT://127.0.0.1:$kafka_port
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$dir/kafka
offsets.topic.num.partitions=5
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=5
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
PROPERTIES
run_java=(java -Xmx256m "-Dlog4j2.configurationFile=$kafka/log4j2.yaml" -cp "$kafka/libs/*")
"${run_java[@]}" kafka.tools.StorageTool format -t "$(head -c 16 /dev/urandom | base64 | tr '+/' 'AB' | tr -d =)" \
    -c "$dir/kafka.properties" > "$dir/format.log" 2>&1 || die "Kafka cannot format its directory: $(cat "$dir/format.log")"
begin "$dir/kafka.log" "${run_java[@]}" kafka.Kafka "$dir/kafka.properties"
broker=$!
kafka_is_up() {
    kill -0 "$broker" 2> /dev/null || die "Kafka ended"
    grep -q 'Kafka Server started' "$dir/kafka.log"
}
wait_for 120 "Kafka has started" kafka_is_up
say "cluster: Kafka listens on 127.0.0.1:$kafka_port"

# Three files that grow, and one that shall get every line of them.
secret=$(head -c 32 /dev/urandom | base64)
mkdir "$dir/data"
for ((n = 1; n <= count; n++)); do : > "$dir/data/lines-$n.txt"; done

url() { echo "http://127.0.0.1:${ports[$1]}"; }
for ((n = 0; n < count; n++)); do
    cat > "$dir/worker-$n.properties" <<PROPERTIES
bootstrap.servers=127.0.0.1:$kafka_port
listeners=http://127.0.0.1:${ports[n]}
group.id=playground
config.storage.topic=playground-configs
offset.storage.topic=playground-offsets
status.storage.topic=playground-status
# There is one broker; three replicas are the default, and right where there are three.
config.storage.replication.factor=1
offset.storage.replication.factor=1
status.storage.replication.factor=1
# A killed worker is missed sooner than after the 10 s that are the default.
session.timeout.ms=6000
heartbeat.interval.ms=1500
tidegate.secret.key=$secret
tidegate.cache.directory=$dir/cache-$n
tidegate.directories=$dir/data
key.converter=org.apache.kafka.connect.storage.StringConverter
value.converter=org.apache.kafka.connect.storage.StringConverter
offset.flush.interval.ms=1000
PROPERTIES
    begin "$dir/worker-$n.log" "$tidegate" worker "$dir/worker-$n.properties"
    workers+=($!)
done
is_healthy() {
    kill -0 "${workers[$1]}" 2> /dev/null || die "worker $1 ended"
    curl -s -f -o /dev/null "$(url "$1")/health"
}
for ((n = 0; n < count; n++)); do wait_for 60 "worker $n is healthy" is_healthy "$n"; done

# Any worker takes requests: the one that leads answers them.
post() {
    show curl -sS --fail-with-body -o "$dir/answer" -H "Content-Type: $1" --data-binary "@$2" "$3" ||
        die "refused: $(cat "$dir/answer")"
}
for plugin in file-source file-sink; do
    post application/wasm "$root/target/guests/$plugin.wasm" "$(url 0)/plugins"
done
cat > "$dir/copy.json" <<JSON
{"name": "copy", "config": {"connector.class": "FileStreamSink", "topics": "lines", "file": "$dir/data/copy.txt"}}
JSON
for ((n = 1; n <= count; n++)); do
    cat > "$dir/lines-$n.json" <<JSON
{"name": "lines-$n", "config": {"connector.class": "FileStreamSource", "file": "$dir/data/lines-$n.txt", "topic": "lines",
  "topic.creation.default.partitions": "3", "topic.creation.default.replication.factor": "1"}}
JSON
    post application/json "$dir/lines-$n.json" "$(url $((n % count)))/connectors"
done
post application/json "$dir/copy.json" "$(url 1)/connectors"
(
    for ((line = 1; ; line++)); do
        for ((n = 1; n <= count; n++)); do say "line $line of file $n" >> "$dir/data/lines-$n.txt"; done
        sleep 0.2
    done
) &
writer=$!

# The worker that is asked may be the one that was killed.
status() {
    local n
    for ((n = 0; n < count; n++)); do
        if is_open "${ports[n]}"; then
            timeout 20 "$tidegate" cluster status --url "$(url "$n")" 2>&1 || true
            return
        fi
    done
    say "no worker listens; ${#workers[@]} were started"
}
# Tasks that a worker other than $1 has according to the cluster.
tasks_without() { status | awk -v gone="$1" 'NR > 2 && $1 ~ /:/ && $1 != gone { sum += $4 } END { print sum + 0 }'; }
all_run_without() {
    ! status | grep -q "^$1 " && [ "$(tasks_without "$1")" = $((count + 1)) ] && all_running
}
all_running() {
    local n listed
    for ((n = 0; n < count; n++)); do
        if is_open "${ports[n]}"; then
            listed=$(curl -s "$(url "$n")/connectors?expand=status") || return 1
            ! grep -q 'FAILED' <<< "$listed" || die "a task has failed: $listed"
            # Each connector and each task.
            [ "$(grep -o '"state":"RUNNING"' <<< "$listed" | wc -l)" = $((2 * (count + 1))) ]
            return
        fi
    done
    return 1
}
wait_for 60 "every connector is RUNNING" all_running
say
say "cluster: set up after $SECONDS s"

arrived() { if [ -f "$dir/data/copy.txt" ]; then sort -u "$dir/data/copy.txt" | wc -l; else echo 0; fi; }
written() { cat "$dir"/data/lines-*.txt | wc -l; }
view() {
    say "$(status)"
    say "lines: $(arrived) arrived of $(written) written"
}

play() {
    local n text now
    # Here it is how one ends it.
    trap 'exit 0' INT
    text=$(
        for ((n = 0; n < count; n++)); do say "  kill -9 ${workers[n]}    # worker 127.0.0.1:${ports[n]}: where do its tasks go?"; done
        say "  $tidegate worker $dir/worker-0.properties    # the first one again; also with other listeners"
        say "  curl -X PUT $(url 1)/connectors/copy/pause; curl $(url 2)/connectors/copy/status"
        say "  $tidegate cluster remove 127.0.0.1:${ports[2]} --url $(url 0)    # leaves for good"
        say "  $tidegate cluster status --watch --url $(url 1)"
        say "  tail -f $dir/worker-1.log"
    )
    while true; do
        # In one piece, so that nothing flickers.
        now=$(view)
        printf '\033[H\033[2J%s\n\nIn another terminal (Ctrl-C here ends everything):\n%s\n' "$now" "$text"
        sleep 1
    done
}

# Kills the worker with the most tasks; the cluster has to go on without it.
prove() {
    local victim n gone_at lines
    for ((until = SECONDS + seconds / 2; SECONDS < until;)); do
        view
        say
        sleep 3
    done
    victim=$(status | awk 'NR > 2 && $1 ~ /:/ && $4 > most { most = $4; id = $1 } END { print id }')
    [ -n "$victim" ] || die "no worker has tasks"
    for ((n = 0; n < count; n++)); do
        [ "127.0.0.1:${ports[n]}" = "$victim" ] || continue
        show kill -9 "${workers[n]}"
        wait "${workers[n]}" 2> /dev/null || true
    done
    gone_at=$SECONDS
    wait_for 60 "the others run the tasks of $victim" all_run_without "$victim"
    say "cluster: $((SECONDS - gone_at)) s after $victim was killed the others have its tasks"
    for ((until = SECONDS + seconds / 2; SECONDS < until;)); do
        view
        say
        sleep 3
    done
    kill "$writer" && wait "$writer" 2> /dev/null || true
    lines=$(written)
    all_arrived() { [ "$(arrived)" = "$lines" ]; }
    wait_for 60 "all $lines lines have arrived" all_arrived
    view
    say "cluster: all $lines lines arrived, $(($(wc -l < "$dir/data/copy.txt") - lines)) of them twice"
}

if [ -n "$seconds" ]; then prove; else play; fi
