/* The OpenAI-shaped answers of the mock upstream, built once per setting so that serving one is a single send. */
#ifndef SLUICE_BENCH_REPLIES_H
#define SLUICE_BENCH_REPLIES_H

#include "wire.h"

/* Stands once in front of every generated word, and nowhere else: the load generator counts these bytes, and so
   notices a word that a gateway lost, doubled or answered from a cache of another length. */
#define WORD_MARK '~'

typedef enum { API_CHAT, API_TEXT, API_COUNT } Api;

typedef struct {
    Buffer json;         /* a whole HTTP response */
    Buffer stream_head;  /* the HTTP head of a stream */
    Buffer first_word;   /* the first event (chat: with the role), in HTTP chunk framing */
    Buffer next_word;    /* every later word */
    Buffer finish;       /* the event with the finish reason */
    Buffer finish_usage; /* the same, followed by the usage event that stream_options.include_usage asks for */
} Replies;

/* Builds the answers of one API for `words` generated words; what the structure held before is replaced. */
void replies_build(Replies *replies, Api api, long words);

/* Appends a whole HTTP response with a JSON body. */
void append_json_response(Buffer *out, const char *status, const Buffer *body);

/* Appends the body of an embeddings answer: `inputs` equal unit vectors of `dimensions` numbers. */
void append_embeddings(Buffer *out, long inputs, long dimensions);

/* Appends the body of GET /v1/models. */
void append_models(Buffer *out);

#endif
