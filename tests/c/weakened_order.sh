#!/bin/sh
# Shows that the thread sanitizer sees a memory order that is too weak: builds the ring's test with
# every release store made relaxed, and succeeds when the sanitizer reports a data race.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sed 's/memory_order_release/memory_order_relaxed/' "$here/../../csrc/rc_ring.c" > "$work/rc_ring.c"
${CC:-cc} -std=c11 -O1 -g -fsanitize=thread -I "$here/../../csrc" -I "$here" \
    "$here/test_ring.c" "$work/rc_ring.c" -o "$work/test_ring" -lpthread
if "$work/test_ring" > "$work/log" 2>&1; then
    echo "the weakened order was not noticed" >&2
    exit 1
fi
grep -m 1 'WARNING: ThreadSanitizer: data race' "$work/log"
