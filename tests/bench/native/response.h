/* Reads an HTTP/1.1 answer as it arrives: length, chunked or until close; counts the mock upstream's word marks. */
#ifndef SLUICE_BENCH_RESPONSE_H
#define SLUICE_BENCH_RESPONSE_H

#include "wire.h"

#define MAX_HEAD 16384
#define BODY_SAMPLE 400

/* Where the reader stands inside an answer. */
typedef enum {
    IN_HEAD,
    IN_LENGTH_BODY,
    IN_CHUNK_SIZE,
    IN_CHUNK_DATA,
    IN_CHUNK_END,
    IN_TRAILER,
    IN_BODY_TO_CLOSE
} Phase;

typedef struct {
    Phase phase;
    char head[MAX_HEAD];
    size_t head_filled;
    int status;
    bool closes;      /* the other side ends the connection after this answer */
    size_t remaining; /* bytes of the body or of the chunk that are still to come */
    bool line_empty;  /* in the trailer: nothing on this line yet */
    long words;
    char sample[BODY_SAMPLE + 1]; /* the start of a refusal's body */
} Response;

void response_reset(Response *response);

/* Takes what came; returns true when the answer is complete. */
bool response_take(Response *response, const char *bytes, size_t length);

/* True when the answer has no length and so is complete when the connection ends. */
bool response_ends_with_connection(const Response *response);

#endif
