/* Reads one HTTP/1.1 request out of a buffer, and answers the few questions the mock upstream has about its body. */
#ifndef SLUICE_BENCH_REQUEST_H
#define SLUICE_BENCH_REQUEST_H

#include "wire.h"

#define MAX_REQUEST (16 * 1024 * 1024)

typedef struct {
    bool post;
    Slice target;
    const char *body; /* points into the buffer, or into `joined` when the body came in chunks */
    size_t body_length;
    size_t total; /* bytes of the buffer that this request takes */
    Buffer joined;
} Request;

typedef enum { REQUEST_MALFORMED = -1, REQUEST_INCOMPLETE = 0, REQUEST_WHOLE = 1 } RequestState;

/* Reads the request at the start of `bytes`; a whole one has to be freed. */
RequestState request_read(Request *request, const char *bytes, size_t length);
void request_free(Request *request);

/* True when the path (without its query) is exactly this one. */
bool request_path_is(const Request *request, const char *path);

/* Reads a number from the query into `value`, when it is there and within [low, high]; `name` ends with "=". */
void request_query_number(const Request *request, const char *name, long *value, long low, long high);

/* True when the body's JSON member is `true`; `quoted` is the member's name with its quotes. */
bool request_json_true(const Request *request, const char *quoted);

/* How many texts an embeddings request holds. */
long request_count_inputs(const Request *request);

#endif
