/* A binary heap of due times: which connection has to be served next, and when. */
#ifndef SLUICE_BENCH_TIMERS_H
#define SLUICE_BENCH_TIMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    int64_t due_ns;
    int descriptor;
    uint64_t generation; /* tells a connection from a later one that got the same descriptor */
} Timer;

typedef struct {
    Timer *items;
    size_t count;
    size_t capacity;
} TimerHeap;

void timers_add(TimerHeap *heap, Timer timer);

/* Takes out the earliest timer when it is due at `now_ns`; false when none is. */
bool timers_take_due(TimerHeap *heap, int64_t now_ns, Timer *taken);

/* When the earliest timer is due; 0 when there is none. */
int64_t timers_next_due(const TimerHeap *heap);

#endif
