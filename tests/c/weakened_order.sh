#!/bin/sh
# Shows that the thread sanitizer sees a memory order that is too weak: builds the ring's test with
# release stores made relaxed, all of them and that of the marks alone, and succeeds when the
# sanitizer reports a data race in both.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

weakened() {
    sed "$1" "$here/../../csrc/rc_ring.c" > "$work/rc_ring.c"
    ! cmp -s "$work/rc_ring.c" "$here/../../csrc/rc_ring.c" || { echo "nothing to weaken: $1" >&2; exit 1; }
    ${CC:-cc} -std=c11 -O1 -g -fsanitize=thread -I "$here/../../csrc" -I "$here" \
        "$here/test_ring.c" "$work/rc_ring.c" -o "$work/test_ring" -lpthread
    if "$work/test_ring" > "$work/log" 2>&1; then
        echo "the weakened order was not noticed: $1" >&2
        exit 1
    fi
    grep -m 1 'WARNING: ThreadSanitizer: data race' "$work/log"
}

weakened 's/memory_order_release/memory_order_relaxed/'
weakened 's/publish(&ring->marked, \(.*\));/atomic_store_explicit(\&ring->marked, \1, memory_order_relaxed);/'
