/* Memory whose parts may claim cache lines of their own. */
#ifndef RC_MEMORY_H
#define RC_MEMORY_H

#include <stdlib.h>
#include <string.h>

#define RC_CACHE_LINE 64

/* Zeroed memory on a cache line, or NULL; given back by rc_lines_free. */
static inline void *rc_lines_new(size_t size)
{
    size_t lines = (size + RC_CACHE_LINE - 1) / RC_CACHE_LINE * RC_CACHE_LINE;
#ifdef _MSC_VER
    void *memory = _aligned_malloc(lines, RC_CACHE_LINE);
#else
    void *memory = aligned_alloc(RC_CACHE_LINE, lines);
#endif
    if (memory != NULL)
        memset(memory, 0, lines);
    return memory;
}

static inline void rc_lines_free(void *memory)
{
#ifdef _MSC_VER
    _aligned_free(memory);
#else
    free(memory);
#endif
}

#endif
