#define _GNU_SOURCE
#include "response.h"

#include <stdlib.h>
#include <string.h>

#include "replies.h"

/* Counts the word marks in a piece of the body and keeps the start of a refusal for the report. */
static void take_body(Response *response, const char *bytes, size_t length) {
    for (const char *mark = bytes, *end = bytes + length; mark < end; mark++) {
        mark = memchr(mark, WORD_MARK, (size_t)(end - mark));
        if (mark == NULL) {
            break;
        }
        response->words++;
    }
    if (response->status != 200 && response->sample[0] == '\0') {
        size_t kept = length < BODY_SAMPLE ? length : BODY_SAMPLE;
        memcpy(response->sample, bytes, kept);
        response->sample[kept] = 0;
    }
}

/* Reads the status and how the body is framed; returns true when the answer ends with its head. */
static bool read_head(Response *response) {
    const char *head = response->head;
    size_t length = response->head_filled;
    response->status = length > 12 ? atoi(head + 9) : 0;
    response->closes = slice_has(header_value(head, length, "connection"), "close");
    long declared = slice_number(header_value(head, length, "content-length"));
    if (slice_has(header_value(head, length, "transfer-encoding"), "chunked")) {
        response->phase = IN_CHUNK_SIZE;
        response->remaining = 0;
    } else if (declared >= 0) {
        response->phase = IN_LENGTH_BODY;
        response->remaining = (size_t)declared;
        return declared == 0;
    } else {
        response->phase = IN_BODY_TO_CLOSE;
        response->closes = true;
    }
    return false;
}

/* Feeds one byte of chunk framing; returns true at the end of the answer. */
static bool take_framing(Response *response, char byte) {
    switch (response->phase) {
    case IN_CHUNK_SIZE:
        if (byte == '\n') {
            response->phase = response->remaining > 0 ? IN_CHUNK_DATA : IN_TRAILER;
            response->line_empty = true;
        } else if (byte >= '0' && byte <= '9') {
            response->remaining = response->remaining * 16 + (size_t)(byte - '0');
        } else if ((byte | 32) >= 'a' && (byte | 32) <= 'f') {
            response->remaining = response->remaining * 16 + (size_t)((byte | 32) - 'a' + 10);
        }
        return false;
    case IN_CHUNK_END:
        if (byte == '\n') {
            response->phase = IN_CHUNK_SIZE;
        }
        return false;
    default: /* IN_TRAILER: an empty line ends the answer */
        if (byte == '\n') {
            bool ended = response->line_empty;
            response->line_empty = true;
            return ended;
        }
        response->line_empty = response->line_empty && byte == '\r';
        return false;
    }
}

bool response_take(Response *response, const char *bytes, size_t length) {
    size_t at = 0;
    while (at < length) {
        size_t left = length - at;
        switch (response->phase) {
        case IN_HEAD:
            if (response->head_filled == MAX_HEAD) {
                die("The answer's head is longer than %d bytes.", MAX_HEAD);
            }
            response->head[response->head_filled++] = bytes[at++];
            if (bytes[at - 1] == '\n' && response->head_filled >= 4 &&
                memcmp(response->head + response->head_filled - 4, "\r\n\r\n", 4) == 0 && read_head(response)) {
                return true;
            }
            break;
        case IN_BODY_TO_CLOSE:
            take_body(response, bytes + at, left);
            at = length;
            break;
        case IN_LENGTH_BODY:
        case IN_CHUNK_DATA: {
            size_t taken = left < response->remaining ? left : response->remaining;
            take_body(response, bytes + at, taken);
            at += taken;
            response->remaining -= taken;
            if (response->remaining == 0 && response->phase == IN_LENGTH_BODY) {
                return true;
            }
            if (response->remaining == 0) {
                response->phase = IN_CHUNK_END;
            }
            break;
        }
        default:
            if (take_framing(response, bytes[at++])) {
                return true;
            }
        }
    }
    return false;
}

void response_reset(Response *response) {
    response->phase = IN_HEAD;
    response->head_filled = 0;
    response->status = 0;
    response->closes = false;
    response->words = 0;
    response->sample[0] = '\0';
}

bool response_ends_with_connection(const Response *response) {
    return response->phase == IN_BODY_TO_CLOSE;
}
