#define _GNU_SOURCE
#include "replies.h"

#include <math.h>
#include <string.h>

#define MODEL "bench-model"
#define CREATED 1763900000
#define PROMPT_TOKENS 42
#define WORD "~lorem "

static const char *const ID[API_COUNT] = {"chatcmpl-bench0000000000000001", "cmpl-bench0000000000000001"};
static const char *const WHOLE[API_COUNT] = {"chat.completion", "text_completion"};
static const char *const CHUNK[API_COUNT] = {"chat.completion.chunk", "text_completion"};

void append_json_response(Buffer *out, const char *status, const Buffer *body) {
    buffer_printf(out,
                  "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
                  "x-request-id: req_bench\r\n\r\n",
                  status, body->length);
    buffer_append(out, body->data, body->length);
}

static void append_usage(Buffer *out, long words) {
    buffer_printf(out,
                  "\"usage\":{\"prompt_tokens\":%d,\"completion_tokens\":%ld,\"total_tokens\":%ld,"
                  "\"prompt_tokens_details\":{\"cached_tokens\":0}}",
                  PROMPT_TOKENS, words, PROMPT_TOKENS + words);
}

static void build_json(Replies *replies, Api api, long words) {
    Buffer body = {0};
    buffer_printf(&body, "{\"id\":\"%s\",\"object\":\"%s\",\"created\":%d,\"model\":\"%s\",\"choices\":[{\"index\":0,",
                  ID[api], WHOLE[api], CREATED, MODEL);
    buffer_printf(&body, api == API_CHAT ? "\"message\":{\"role\":\"assistant\",\"content\":\"" : "\"text\":\"");
    for (long word = 0; word < words; word++) {
        buffer_append(&body, WORD, strlen(WORD));
    }
    buffer_printf(&body, api == API_CHAT ? "\",\"refusal\":null}," : "\",");
    buffer_printf(&body, "\"logprobs\":null,\"finish_reason\":\"stop\"}],");
    append_usage(&body, words);
    buffer_append(&body, "}", 1);
    append_json_response(&replies->json, "200 OK", &body);
    buffer_free(&body);
}

/* Puts an event into HTTP chunk framing. */
static void append_chunk(Buffer *out, const Buffer *event) {
    buffer_printf(out, "%zx\r\n", event->length);
    buffer_append(out, event->data, event->length);
    buffer_append(out, "\r\n", 2);
}

static void append_event_start(Buffer *event, Api api) {
    buffer_printf(event, "data: {\"id\":\"%s\",\"object\":\"%s\",\"created\":%d,\"model\":\"%s\",", ID[api], CHUNK[api],
                  CREATED, MODEL);
}

/* One streamed choice; `payload` is the delta object of a chat or the text member of a completion. */
static void append_choice_event(Buffer *out, Api api, const char *payload, const char *finish_reason) {
    Buffer event = {0};
    append_event_start(&event, api);
    buffer_printf(&event, "\"choices\":[{\"index\":0,%s,\"logprobs\":null,\"finish_reason\":%s}]}\n\n", payload,
                  finish_reason);
    append_chunk(out, &event);
    buffer_free(&event);
}

static void append_usage_event(Buffer *out, Api api, long words) {
    Buffer event = {0};
    append_event_start(&event, api);
    buffer_printf(&event, "\"choices\":[],");
    append_usage(&event, words);
    buffer_printf(&event, "}\n\n");
    append_chunk(out, &event);
    buffer_free(&event);
}

static void append_stream_end(Buffer *out) {
    Buffer event = {0};
    buffer_printf(&event, "data: [DONE]\n\n");
    append_chunk(out, &event);
    buffer_printf(out, "0\r\n\r\n");
    buffer_free(&event);
}

static void build_stream(Replies *replies, Api api, long words) {
    bool chat = api == API_CHAT;
    const char *word = chat ? "\"delta\":{\"content\":\"" WORD "\"}" : "\"text\":\"" WORD "\"";
    const char *first = chat ? "\"delta\":{\"role\":\"assistant\",\"content\":\"" WORD "\"}" : word;
    const char *empty = chat ? "\"delta\":{}" : "\"text\":\"\"";
    buffer_printf(&replies->stream_head, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
                                         "Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n");
    append_choice_event(&replies->first_word, api, first, "null");
    append_choice_event(&replies->next_word, api, word, "null");
    append_choice_event(&replies->finish, api, empty, "\"stop\"");
    append_stream_end(&replies->finish);
    append_choice_event(&replies->finish_usage, api, empty, "\"stop\"");
    append_usage_event(&replies->finish_usage, api, words);
    append_stream_end(&replies->finish_usage);
}

void replies_build(Replies *replies, Api api, long words) {
    buffer_free(&replies->json);
    buffer_free(&replies->stream_head);
    buffer_free(&replies->first_word);
    buffer_free(&replies->next_word);
    buffer_free(&replies->finish);
    buffer_free(&replies->finish_usage);
    build_json(replies, api, words);
    build_stream(replies, api, words);
}

void append_embeddings(Buffer *out, long inputs, long dimensions) {
    double component = 1.0 / sqrt((double)dimensions);
    buffer_printf(out, "{\"object\":\"list\",\"data\":[");
    for (long input = 0; input < inputs; input++) {
        buffer_printf(out, "%s{\"object\":\"embedding\",\"index\":%ld,\"embedding\":[", input ? "," : "", input);
        for (long i = 0; i < dimensions; i++) {
            buffer_printf(out, "%s%.6f", i ? "," : "", component);
        }
        buffer_printf(out, "]}");
    }
    buffer_printf(out, "],\"model\":\"%s\",\"usage\":{\"prompt_tokens\":%ld,\"total_tokens\":%ld}}", MODEL, 4 * inputs,
                  4 * inputs);
}

void append_models(Buffer *out) {
    buffer_printf(out,
                  "{\"object\":\"list\",\"data\":[{\"id\":\"%s\",\"object\":\"model\",\"created\":%d,"
                  "\"owned_by\":\"bench\",\"max_model_len\":32768}]}",
                  MODEL, CREATED);
}
