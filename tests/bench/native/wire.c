#define _GNU_SOURCE
#include "wire.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

int64_t now_ns(void) {
    struct timespec moment;
    clock_gettime(CLOCK_MONOTONIC, &moment);
    return moment.tv_sec * INT64_C(1000000000) + moment.tv_nsec;
}

void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(2);
}

long parse_number(const char *name, const char *text, long low, long high) {
    char *end = NULL;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < low || value > high) {
        die("%s must be a whole number from %ld to %ld, not '%s'.", name, low, high, text);
    }
    return value;
}

void buffer_reserve(Buffer *buffer, size_t extra) {
    size_t wanted = buffer->length + extra;
    if (wanted <= buffer->capacity) {
        return;
    }
    size_t capacity = buffer->capacity ? buffer->capacity : 4096;
    while (capacity < wanted) {
        capacity *= 2;
    }
    char *data = realloc(buffer->data, capacity);
    if (data == NULL) {
        die("Out of memory.");
    }
    buffer->data = data;
    buffer->capacity = capacity;
}

void buffer_append(Buffer *buffer, const char *bytes, size_t length) {
    buffer_reserve(buffer, length);
    memcpy(buffer->data + buffer->length, bytes, length);
    buffer->length += length;
}

void buffer_printf(Buffer *buffer, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    int needed = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    buffer_reserve(buffer, (size_t)needed + 1); /* vsnprintf writes a closing zero byte, which is not counted */
    vsnprintf(buffer->data + buffer->length, (size_t)needed + 1, format, again);
    va_end(again);
    buffer->length += (size_t)needed;
}

void buffer_consume(Buffer *buffer, size_t length) {
    memmove(buffer->data, buffer->data + length, buffer->length - length);
    buffer->length -= length;
}

void buffer_free(Buffer *buffer) {
    free(buffer->data);
    *buffer = (Buffer){0};
}

size_t head_length(const char *bytes, size_t length) {
    const char *end = length < 4 ? NULL : memmem(bytes, length, "\r\n\r\n", 4);
    return end == NULL ? 0 : (size_t)(end - bytes) + 4;
}

Slice header_value(const char *head, size_t length, const char *name) {
    size_t name_length = strlen(name);
    const char *stop = head + length;
    const char *line = memchr(head, '\n', length); /* the first line is the request or status line */
    while (line != NULL && ++line < stop) {
        const char *end = memchr(line, '\r', (size_t)(stop - line));
        if (end == NULL) {
            break;
        }
        if ((size_t)(end - line) > name_length && line[name_length] == ':' &&
            strncasecmp(line, name, name_length) == 0) {
            const char *start = line + name_length + 1;
            while (start < end && isblank((unsigned char)*start)) {
                start++;
            }
            while (end > start && isblank((unsigned char)end[-1])) {
                end--;
            }
            return (Slice){start, (size_t)(end - start)};
        }
        line = memchr(end, '\n', (size_t)(stop - end));
    }
    return (Slice){0};
}

bool slice_has(Slice slice, const char *word) {
    size_t word_length = strlen(word);
    for (size_t i = 0; slice.start != NULL && i + word_length <= slice.length; i++) {
        if (strncasecmp(slice.start + i, word, word_length) == 0) {
            return true;
        }
    }
    return false;
}

long slice_number(Slice slice) {
    if (slice.start == NULL || slice.length == 0 || slice.length > 18) {
        return -1;
    }
    long value = 0;
    for (size_t i = 0; i < slice.length; i++) {
        if (!isdigit((unsigned char)slice.start[i])) {
            return -1;
        }
        value = value * 10 + (slice.start[i] - '0');
    }
    return value;
}
