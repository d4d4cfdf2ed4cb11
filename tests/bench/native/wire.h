/* What the mock upstream and the load generator share: a clock, a growable byte buffer, and HTTP/1.1 header look-up. */
#ifndef SLUICE_BENCH_WIRE_H
#define SLUICE_BENCH_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    char *data;
    size_t length;
    size_t capacity;
} Buffer;

typedef struct {
    const char *start; /* NULL when the header is absent */
    size_t length;
} Slice;

/* Nanoseconds of the monotonic clock. */
int64_t now_ns(void);

/* Prints one sentence to standard error and ends the program with status 2. */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Reads a whole decimal number within [low, high]; dies with a sentence that names the option when it is not one. */
long parse_number(const char *name, const char *text, long low, long high);

/* Makes room for at least `extra` more bytes after the buffer's end. */
void buffer_reserve(Buffer *buffer, size_t extra);
void buffer_append(Buffer *buffer, const char *bytes, size_t length);
void buffer_printf(Buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Drops `length` bytes from the front. */
void buffer_consume(Buffer *buffer, size_t length);
void buffer_free(Buffer *buffer);

/* Length of an HTTP head including its blank line, or 0 while it is not complete. */
size_t head_length(const char *bytes, size_t length);

/* The value of a header (name compared without case) in a head of `length` bytes; blanks around the value are cut. */
Slice header_value(const char *head, size_t length, const char *name);

/* True when the slice contains the word, compared without case. */
bool slice_has(Slice slice, const char *word);

/* A content-length value; -1 when the slice is absent or not a number. */
long slice_number(Slice slice);

#endif
