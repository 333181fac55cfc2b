#!/usr/bin/env bash
# Runs a command, says before and after what it is, and how long it took.
#
# usage: scripts/timed.sh TITLE COMMAND...
set -euo pipefail
title=$1
shift
echo "==> $title" >&2
status=0
"$@" || status=$?
if [ "$status" = 0 ]; then
    echo "==> $title: done after $SECONDS s" >&2
else
    echo "==> $title: FAILED after $SECONDS s" >&2
fi
exit "$status"
