# Everything builds with --release and --workspace: one profile and one set of features, so that
# wasmtime, eleven minutes of CPU time, compiles once.

set shell := ["bash", "-euo", "pipefail", "-c"]

timed := justfile_directory() / "scripts/timed.sh"

# What can be run
[private]
default:
    @just --list --unsorted

# Build the tidegate binary and the connectors
build: guests
    cargo build --release --locked --workspace

# Build the connectors and the hostile guests to WebAssembly (target/guests)
guests:
    scripts/build-guests.sh

# A file through Kafka into a second file and into SQLite, in a minute (--keep, --port N)
demo *ARGS:
    scripts/demo.sh {{ARGS}}

# Three workers and a Kafka to play with; without a terminal, a test (--seconds N, --keep, --port N)
cluster *ARGS:
    scripts/cluster.sh {{ARGS}}

# Everything: format, lints, unit tests, whole-system tests
test:
    "{{timed}}" "format" just fmt-check
    "{{timed}}" "guests" just guests
    "{{timed}}" "lints" just lint
    "{{timed}}" "unit tests" just test-unit
    "{{timed}}" "system tests" just test-system

# Unit tests of all workspaces
test-unit:
    scripts/test-unit.sh
    scripts/each-guest-workspace.sh cargo test --release --locked

# Whole-system tests against a real Kafka (ARGS: names of test files, e.g. delivery)
test-system *ARGS: build kafka
    scripts/test-system.sh {{ARGS}}

# Simulate a cluster's control plane from 100,000 seeds (--seeds N, --first SEED, --seed SEED --trace)
simulate *ARGS:
    cargo build --release --locked --workspace --bin simulate
    target/release/simulate {{ARGS}}

# Random failures of processes, network, disk, topics and files, and every record counted (--minutes N, --seed S)
chaos *ARGS: build kafka
    target/release/chaos {{ARGS}}

# Measure beside Kafka Connect: `just bench files`
bench *ARGS: build
    scripts/kafka-fetch.sh --with-jdbc > /dev/null
    target/release/bench {{ARGS}}

# Fetch the Kafka that tests and benches run against
kafka:
    scripts/kafka-fetch.sh > /dev/null

# Clippy on all workspaces
lint:
    scripts/check-layers.sh
    cargo clippy --release --locked --workspace --all-targets -- -D warnings
    scripts/each-guest-workspace.sh cargo clippy --release --locked --all-targets -- -D warnings

# Format all workspaces
fmt:
    cargo fmt --all
    scripts/each-guest-workspace.sh cargo fmt --all

[private]
fmt-check:
    cargo fmt --all --check
    scripts/each-guest-workspace.sh cargo fmt --all --check

# Remove everything that was built
clean:
    cargo clean
    scripts/each-guest-workspace.sh cargo clean
