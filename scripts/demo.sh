#!/usr/bin/env bash
# Shows Tidegate at work: lines of a file go through Kafka (embedded, in memory) into a second
# file and into a table of a SQLite database.
#
# usage: scripts/demo.sh [--port N] [--lines N] [--keep]
#   --port   where the worker's REST API listens on 127.0.0.1 (8083)
#   --lines  how many lines (200000)
#   --keep   leave the worker running and its files in place
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
port=8083
lines=200000
keep=
while [ $# -gt 0 ]; do
    case $1 in
        --port) port=${2:?--port needs a number} && shift 2 ;;
        --lines) lines=${2:?--lines needs a number} && shift 2 ;;
        --keep) keep=yes && shift ;;
        *) sed -n '2,8s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
    esac
done

say() { printf '%s\n' "$*"; }
die() { say "demo: $*" >&2; exit 1; }
# Prints a command so that it can be typed again, and runs it.
show() {
    printf '\n$'
    printf ' %q' "$@"
    printf '\n'
    "$@"
}

url=http://127.0.0.1:$port
if curl -s -o /dev/null "$url/"; then
    die "somebody listens on port $port already: end that, or choose another with --port"
fi

# Setting up: the binary, the connectors, the data.
cd "$root"
bin=${CARGO_TARGET_DIR:-target}/release
scripts/timed.sh "build tidegate (the first time takes minutes)" cargo build --release --locked --workspace
scripts/timed.sh "build the connectors" scripts/build-guests.sh connectors-wasm
tidegate=$(realpath "$bin/tidegate")
data=$(realpath "$bin/demo-data")

dir=$(mktemp -d "${TMPDIR:-/tmp}/tidegate-demo.XXXXXX")
worker=
finish() {
    status=$?
    if [ -n "$worker" ] && [ "$status" != 0 ] && [ -f "$dir/worker.log" ]; then
        say "the end of the worker's log:" >&2
        tail -n 20 "$dir/worker.log" >&2
    fi
    if [ -n "$keep" ] && [ -n "$worker" ] && kill -0 "$worker" 2> /dev/null; then
        say "left running: REST at $url, files in $dir; end it with: kill $worker"
        return
    fi
    if [ -n "$worker" ]; then
        kill "$worker" 2> /dev/null || true
        wait "$worker" 2> /dev/null || true
    fi
    [ -n "$keep" ] || rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT TERM

"$data" write "$dir/lines.txt" "$lines"
for example in file-source file-sink sql-sink; do
    sed "s|@DIR@|$dir|g" "examples/$example.json" > "$dir/$example.json"
done

# The worker may use the files below the directory it is started in.
printf '\n$ cd %q && %q dev --port %q &\n' "$dir" "$tidegate" "$port"
(cd "$dir" && exec "$tidegate" dev --port "$port") > "$dir/worker.log" 2>&1 &
worker=$!
for ((i = 0; i < 600; i++)); do
    curl -s -f -o /dev/null "$url/health" && break
    kill -0 "$worker" 2> /dev/null || die "the worker ended"
    sleep 0.1
done
curl -s -f -o /dev/null "$url/health" || die "the worker is not healthy after 60 s"

post() {
    show curl -sS --fail-with-body -o "$dir/answer" -H "Content-Type: $1" --data-binary "@$2" "$url/$3" ||
        die "refused: $(cat "$dir/answer")"
}
for plugin in file-source file-sink sql-sink; do
    post application/wasm "$root/target/guests/$plugin.wasm" plugins
done
say
say "demo: set up after $SECONDS s"

started=$(date +%s.%N)
# The sinks come first: they are waiting when the first line arrives.
post application/json "$dir/file-sink.json" connectors
post application/json "$dir/sql-sink.json" connectors
post application/json "$dir/file-source.json" connectors
say

count_lines() { if [ -f "$1" ]; then wc -l < "$1"; else echo 0; fi; }
progress() {
    local text="file $1 / $lines, table $2 / $lines"
    if [ -t 1 ]; then
        local width=$((40 * ($1 + $2) / (2 * lines)))
        [ "$width" -le 40 ] || width=40
        printf '\r[%-40s] %s' "$(printf '%*s' "$width" '' | tr ' ' '#')" "$text"
    else
        say "demo: $text"
    fi
}
deadline=$((SECONDS + 300))
while true; do
    in_file=$(count_lines "$dir/copy.txt")
    in_table=$("$data" rows "$dir/copy.db" lines)
    progress "$in_file" "$in_table"
    [ "$in_file" -lt "$lines" ] || [ "$in_table" -lt "$lines" ] || break
    kill -0 "$worker" 2> /dev/null || die "the worker ended"
    for name in demo-source demo-file demo-table; do
        if curl -sS "$url/connectors/$name/status" > "$dir/answer" && grep -q '"FAILED"' "$dir/answer"; then
            die "$name has failed: $(cat "$dir/answer")"
        fi
    done
    [ "$SECONDS" -lt "$deadline" ] || die "not all lines arrived within 300 s"
    sleep 0.3
done
took=$(awk -v from="$started" -v to="$(date +%s.%N)" 'BEGIN { printf "%.1f", to - from }')
[ ! -t 1 ] || say

show curl -sS "$url/connectors/demo-source/status"
say
show "$tidegate" connector list --url "$url"
show "$data" check "$dir/lines.txt" "$dir/copy.txt" "$dir/copy.db" lines
say
say "demo: $lines lines went through Kafka into a file and a table in $took s"
