#!/usr/bin/env bash
# Fetches Apache Kafka (broker, command line tools, Connect worker, file connector) from Maven
# Central. Tests and benches run against it; Tidegate itself needs none of it.
#
# usage: scripts/kafka-fetch.sh [--with-jdbc] [DIR]
#   --with-jdbc: Debezium's JDBC sink too, a peer that benches measure
#   DIR defaults to ${XDG_CACHE_HOME:-$HOME/.cache}/tidegate/kafka-VERSION. Prints DIR on stdout.
#   DIR/libs          one class path: broker, tools, Connect worker
#   DIR/plugins/file  the file connector, for plugin.path=DIR/plugins
#   DIR/jdbc-plugins  the same for Debezium's JDBC sink, if asked for
#   DIR/log4j2.yaml   logs to stdout
set -euo pipefail

# 4.4.0 is announced, but several of its Connect modules are not published everywhere.
version=4.3.1
log4j=2.25.3
# 3.6.0 is announced, but a part of it is not published everywhere.
debezium=3.5.0.Final
with_jdbc=false
if [ "${1:-}" = --with-jdbc ]; then
    with_jdbc=true
    shift
fi
dir=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/tidegate/kafka-$version}

# The stamp names what is inside, so that a changed list below is fetched anew.
stamp="kafka $version, log4j $log4j, layout 1"
has_kafka() { [ "$(cat "$dir/stamp" 2>/dev/null || true)" = "$stamp" ]; }
has_jdbc() { [ "$with_jdbc" = false ] || [ "$(cat "$dir/jdbc-plugins/debezium/stamp" 2>/dev/null || true)" = "$debezium" ]; }
if has_kafka && has_jdbc; then
    echo "$dir"
    exit 0
fi

say() { echo "kafka-fetch: $*" >&2; }
missing=0
need() {
    command -v "$1" >/dev/null 2>&1 && return
    say "$1 is missing. Install it with: $2"
    missing=1
}
need java "apt-get install openjdk-17-jre-headless"
need mvn "apt-get install maven"
[ "$missing" = 0 ] || exit 1
java_major=$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -1)
if [ "${java_major:-0}" -lt 17 ]; then
    say "java ${java_major:-of an unknown version} found, Kafka $version needs 17 or newer: apt-get install openjdk-17-jre-headless"
    exit 1
fi

mkdir -p "$(dirname "$dir")"
# Beside the destination, so that the rename at the end stays within one file system.
work=$(mktemp -d "$(dirname "$dir")/.kafka-fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/none" "$work/kafka/libs" "$work/kafka/plugins/file"

# Some of the poms name repositories of their own. Those that cannot be reached would end the
# resolution, so an empty folder answers for all of them; what is needed is on Maven Central.
# A mirror for central in the user's own settings keeps working: those settings come in as the
# global ones, and of two mirrors that match, the one named here claims everything else.
cat > "$work/settings.xml" <<XML
<settings><mirrors><mirror>
  <id>none</id><mirrorOf>*,!central</mirrorOf><url>file://$work/none</url>
</mirror></mirrors></settings>
XML
global=()
[ -f "$HOME/.m2/settings.xml" ] && global=(-gs "$HOME/.m2/settings.xml")

# fetch OUT GROUP:ARTIFACT:VERSION...
fetch() {
    local out=$1 coordinate group artifact number
    shift
    {
        echo '<project><modelVersion>4.0.0</modelVersion><groupId>fetch</groupId>'
        echo '<artifactId>fetch</artifactId><version>1</version><packaging>pom</packaging><dependencies>'
        for coordinate in "$@"; do
            IFS=: read -r group artifact number <<< "$coordinate"
            echo "<dependency><groupId>$group</groupId><artifactId>$artifact</artifactId><version>$number</version></dependency>"
        done
        echo '</dependencies></project>'
    } > "$work/pom.xml"
    mvn -B -q -ntp -s "$work/settings.xml" "${global[@]}" -f "$work/pom.xml" \
        org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
        -DoutputDirectory="$out" -DincludeScope=runtime >&2
}

# Maven is told to be quiet, because it prints the address of every repository; so count files.
watch_files() {
    local count
    while sleep 5; do
        count=$(find "$work/kafka" -name '*.jar' | wc -l)
        say "$count jars after $SECONDS s"
    done
}
watch_files &
watcher=$!
trap 'kill "$watcher" 2>/dev/null || true; rm -rf "$work"' EXIT

fetch_kafka() {
    say "Apache Kafka $version from Maven Central into $dir (about 60 MB, a minute)"
    fetch "$work/kafka/libs" \
        org.apache.kafka:kafka_2.13:$version org.apache.kafka:kafka-tools:$version \
        org.apache.kafka:connect-runtime:$version org.apache.kafka:connect-api:$version \
        org.apache.kafka:connect-json:$version org.apache.kafka:connect-transforms:$version \
        org.apache.logging.log4j:log4j-core:$log4j org.apache.logging.log4j:log4j-slf4j-impl:$log4j
    fetch "$work/kafka/plugins/file" org.apache.kafka:connect-file:$version
    # The worker has the dependencies on its own class path; copies beside the plugin are scanned in vain.
    find "$work/kafka/plugins/file" -name '*.jar' ! -name 'connect-file-*' -delete

    cat > "$work/kafka/log4j2.yaml" <<'YAML'
Configuration:
  Appenders:
    Console:
      name: STDOUT
      PatternLayout: { pattern: "[%d{ISO8601}] %p %m (%c)%n" }
  Loggers:
    Root: { level: INFO, AppenderRef: { ref: STDOUT } }
YAML

    echo "$stamp" > "$work/kafka/stamp"
    chmod 755 "$work/kafka"
    rm -rf "$dir"
    mv -T "$work/kafka" "$dir" 2>/dev/null || {
        # Someone else was faster; theirs is as good if its stamp is the same.
        has_kafka || { say "cannot move the files to $dir"; exit 1; }
    }
}

fetch_jdbc() {
    say "Debezium's JDBC sink $debezium from Maven Central (about 40 MB, a minute)"
    mkdir -p "$work/kafka/debezium"
    fetch "$work/kafka/debezium" "io.debezium:debezium-connector-jdbc:$debezium"
    # What the worker has itself: a second Jackson would even keep the connector from starting.
    for jar in kafka-clients connect-api lz4-java snappy-java zstd-jni slf4j-api jakarta.ws.rs-api \
        jackson-core jackson-databind jackson-annotations; do
        rm -f "$work/kafka/debezium/$jar"-*.jar
    done
    echo "$debezium" > "$work/kafka/debezium/stamp"
    rm -rf "$dir/jdbc-plugins/debezium"
    mkdir -p "$dir/jdbc-plugins"
    mv -T "$work/kafka/debezium" "$dir/jdbc-plugins/debezium"
}

has_kafka || fetch_kafka
has_jdbc || fetch_jdbc
say "done: $(find "$dir" -name '*.jar' | wc -l) jars in $SECONDS s"
echo "$dir"
