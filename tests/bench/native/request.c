#define _GNU_SOURCE
#include "request.h"

#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

/* Joins a body in chunked framing into `body`; returns the bytes it took, 0 while incomplete, -1 when malformed. */
static ssize_t join_chunks(const char *bytes, size_t length, Buffer *body) {
    size_t at = 0;
    for (;;) {
        const char *line_end = memmem(bytes + at, length - at, "\r\n", 2);
        if (line_end == NULL) {
            return 0;
        }
        char *size_end = NULL;
        unsigned long size = strtoul(bytes + at, &size_end, 16);
        if (size_end == bytes + at || size > MAX_REQUEST) {
            return -1;
        }
        at = (size_t)(line_end - bytes) + 2;
        if (length - at < size + 2) {
            return 0;
        }
        buffer_append(body, bytes + at, size);
        at += size + 2;
        if (size == 0) {
            return (ssize_t)at;
        }
    }
}

RequestState request_read(Request *request, const char *bytes, size_t length) {
    *request = (Request){0};
    size_t head = head_length(bytes, length);
    if (head == 0) {
        return REQUEST_INCOMPLETE;
    }
    const char *space = memchr(bytes, ' ', head);
    const char *target_end = space == NULL ? NULL : memchr(space + 1, ' ', head - (size_t)(space + 1 - bytes));
    if (target_end == NULL) {
        return REQUEST_MALFORMED;
    }
    request->post = strncmp(bytes, "POST ", 5) == 0;
    request->target = (Slice){space + 1, (size_t)(target_end - space) - 1};
    if (slice_has(header_value(bytes, head, "transfer-encoding"), "chunked")) {
        ssize_t taken = join_chunks(bytes + head, length - head, &request->joined);
        if (taken <= 0) {
            request_free(request);
            return taken < 0 ? REQUEST_MALFORMED : REQUEST_INCOMPLETE;
        }
        request->body = request->joined.data;
        request->body_length = request->joined.length;
        request->total = head + (size_t)taken;
        return REQUEST_WHOLE;
    }
    long declared = slice_number(header_value(bytes, head, "content-length"));
    request->body = bytes + head;
    request->body_length = declared < 0 ? 0 : (size_t)declared;
    request->total = head + request->body_length;
    return length < request->total ? REQUEST_INCOMPLETE : REQUEST_WHOLE;
}

void request_free(Request *request) {
    buffer_free(&request->joined);
}

bool request_path_is(const Request *request, const char *path) {
    const char *query = memchr(request->target.start, '?', request->target.length);
    size_t length = query == NULL ? request->target.length : (size_t)(query - request->target.start);
    return length == strlen(path) && memcmp(request->target.start, path, length) == 0;
}

void request_query_number(const Request *request, const char *name, long *value, long low, long high) {
    const char *found = memmem(request->target.start, request->target.length, name, strlen(name));
    if (found == NULL) {
        return;
    }
    long number = strtol(found + strlen(name), NULL, 10); /* the target is followed by a blank, which ends the number */
    if (number >= low && number <= high) {
        *value = number;
    }
}

/* Where the value of a JSON member starts; NULL when the body has no such member. `quoted` is the name with its quotes:
   the same text inside a string value has its quotes escaped, so it does not match. */
static const char *json_value(const Request *request, const char *quoted) {
    const char *found = memmem(request->body, request->body_length, quoted, strlen(quoted));
    if (found == NULL) {
        return NULL;
    }
    const char *end = request->body + request->body_length;
    const char *value = found + strlen(quoted);
    while (value < end && strchr(" \t\r\n:", *value) != NULL) {
        value++;
    }
    return value < end ? value : NULL;
}

bool request_json_true(const Request *request, const char *quoted) {
    const char *value = json_value(request, quoted);
    return value != NULL && request->body + request->body_length - value >= 4 && memcmp(value, "true", 4) == 0;
}

/* A list of texts, or of token lists, has one per element; a flat list of tokens is one text. */
long request_count_inputs(const Request *request) {
    const char *at = json_value(request, "\"input\"");
    if (at == NULL || *at != '[') {
        return 1;
    }
    const char *end = request->body + request->body_length;
    const char *first = at + 1;
    while (first < end && strchr(" \t\r\n", *first) != NULL) {
        first++;
    }
    if (first == end || (*first != '"' && *first != '[')) {
        return 1;
    }
    long inputs = 1;
    int depth = 0;
    bool in_string = false;
    for (; at < end; at++) {
        if (in_string && *at == '\\') {
            at++; /* whatever is escaped does not end the string */
            continue;
        }
        if (*at == '"') {
            in_string = !in_string;
        }
        if (in_string) {
            continue;
        }
        depth += (*at == '[') - (*at == ']');
        inputs += *at == ',' && depth == 1;
        if (depth == 0) {
            break;
        }
    }
    return inputs;
}
