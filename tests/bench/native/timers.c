#include "timers.h"

#include <stdlib.h>

#include "wire.h"

static void swap(Timer *left, Timer *right) {
    Timer kept = *left;
    *left = *right;
    *right = kept;
}

void timers_add(TimerHeap *heap, Timer timer) {
    if (heap->count == heap->capacity) {
        heap->capacity = heap->capacity ? heap->capacity * 2 : 256;
        heap->items = realloc(heap->items, heap->capacity * sizeof(Timer));
        if (heap->items == NULL) {
            die("Out of memory.");
        }
    }
    size_t child = heap->count++;
    heap->items[child] = timer;
    while (child > 0) {
        size_t parent = (child - 1) / 2;
        if (heap->items[parent].due_ns <= heap->items[child].due_ns) {
            break;
        }
        swap(&heap->items[parent], &heap->items[child]);
        child = parent;
    }
}

static void sift_down(TimerHeap *heap) {
    size_t parent = 0;
    for (;;) {
        size_t smallest = parent;
        for (size_t child = 2 * parent + 1; child <= 2 * parent + 2 && child < heap->count; child++) {
            if (heap->items[child].due_ns < heap->items[smallest].due_ns) {
                smallest = child;
            }
        }
        if (smallest == parent) {
            return;
        }
        swap(&heap->items[parent], &heap->items[smallest]);
        parent = smallest;
    }
}

bool timers_take_due(TimerHeap *heap, int64_t now, Timer *taken) {
    if (heap->count == 0 || heap->items[0].due_ns > now) {
        return false;
    }
    *taken = heap->items[0];
    heap->items[0] = heap->items[--heap->count];
    sift_down(heap);
    return true;
}

int64_t timers_next_due(const TimerHeap *heap) {
    return heap->count == 0 ? 0 : heap->items[0].due_ns;
}
