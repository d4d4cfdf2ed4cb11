/* A mock OpenAI upstream that is faster than any gateway: one thread, epoll, answers built beforehand. Loopback only.
 *
 *   mock [--port N] [--first-delay-us N] [--gap-us N] [--words N] [--dimensions N]
 *
 * It prints "listening on PORT" once it takes connections (port 0, the default, lets the system choose).
 *   POST /v1/chat/completions, /v1/completions   JSON, or an event stream when the body says "stream": true;
 *                                                usage comes in the stream when "include_usage": true
 *   POST /v1/embeddings                          one vector per input
 *   GET  /v1/models, /health
 *   GET  /mock/counters                          what was served, to compare with what a gateway's clients got
 *   POST /mock/settings?first_delay_us=N&gap_us=N&words=N   changes the timing between runs (not during one)
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "replies.h"
#include "request.h"
#include "timers.h"
#include "wire.h"

#define MAX_DESCRIPTORS 65536
#define READ_SIZE 65536
#define MAX_DELAY_US 60000000L
#define MAX_WORDS 100000L

typedef struct {
    int descriptor;
    uint64_t generation;
    Buffer in;
    Buffer out;      /* what the socket did not take yet */
    bool busy;       /* an answer is due: later requests on this connection wait in `in` */
    bool stream;     /* how the answer goes out */
    bool with_usage; /* the stream ends with a usage event */
    Api api;
    long next_word;
} Connection;

typedef struct {
    long first_delay_us;
    long gap_us;
    long words;
    long dimensions;
} Settings;

typedef struct {
    long json;
    long streams;
    long unfinished_streams;
    long others;
} Counters;

typedef struct {
    int epoll;
    int timer;
    int64_t timer_armed_for;
    uint64_t generation;
    Settings settings;
    Counters counters;
    Replies replies[API_COUNT];
    TimerHeap timers;
    Connection *connections[MAX_DESCRIPTORS];
} Server;

static void rebuild_replies(Server *server) {
    for (Api api = 0; api < API_COUNT; api++) {
        replies_build(&server->replies[api], api, server->settings.words);
    }
}

static void watch_descriptor(Server *server, int operation, int descriptor, uint32_t events) {
    struct epoll_event event = {.events = events, .data.fd = descriptor};
    if (epoll_ctl(server->epoll, operation, descriptor, &event) != 0) {
        die("epoll_ctl failed: %s.", strerror(errno));
    }
}

static void close_connection(Server *server, Connection *connection) {
    if (connection->busy && connection->stream) {
        server->counters.unfinished_streams++;
    }
    server->connections[connection->descriptor] = NULL;
    close(connection->descriptor);
    buffer_free(&connection->in);
    buffer_free(&connection->out);
    free(connection);
}

/* Sends, and keeps what the socket does not take for later; false when the client is gone. */
static bool send_bytes(Server *server, Connection *connection, const char *bytes, size_t length) {
    if (connection->out.length > 0) {
        buffer_append(&connection->out, bytes, length);
        return true;
    }
    while (length > 0) {
        ssize_t sent = send(connection->descriptor, bytes, length, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            buffer_append(&connection->out, bytes, length);
            watch_descriptor(server, EPOLL_CTL_MOD, connection->descriptor, EPOLLIN | EPOLLOUT);
            return true;
        }
        if (sent < 0) {
            return false;
        }
        bytes += sent;
        length -= (size_t)sent;
    }
    return true;
}

static bool send_buffer(Server *server, Connection *connection, const Buffer *buffer) {
    return send_bytes(server, connection, buffer->data, buffer->length);
}

/* Sends what waited for the socket; false when the client is gone. */
static bool flush_waiting(Server *server, Connection *connection) {
    Buffer waiting = connection->out;
    connection->out = (Buffer){0};
    watch_descriptor(server, EPOLL_CTL_MOD, connection->descriptor, EPOLLIN);
    bool alive = send_buffer(server, connection, &waiting);
    buffer_free(&waiting);
    return alive;
}

static void wait_for(Server *server, const Connection *connection, long delay_us) {
    timers_add(&server->timers,
               (Timer){now_ns() + delay_us * INT64_C(1000), connection->descriptor, connection->generation});
}

/* Sends the next words: one, or all of them when no gap is set, each with its own send as an engine flushes them. */
static bool send_words(Server *server, Connection *connection) {
    const Replies *replies = &server->replies[connection->api];
    if (connection->next_word == 0 && !send_buffer(server, connection, &replies->stream_head)) {
        return false;
    }
    do {
        const Buffer *word = connection->next_word == 0 ? &replies->first_word : &replies->next_word;
        if (!send_buffer(server, connection, word)) {
            return false;
        }
        connection->next_word++;
    } while (server->settings.gap_us == 0 && connection->next_word < server->settings.words);
    if (connection->next_word < server->settings.words) {
        wait_for(server, connection, server->settings.gap_us);
        return true;
    }
    connection->busy = false;
    return send_buffer(server, connection, connection->with_usage ? &replies->finish_usage : &replies->finish);
}

/* Sends what is due on a connection; false when the client is gone. */
static bool answer(Server *server, Connection *connection) {
    if (connection->stream) {
        return send_words(server, connection);
    }
    connection->busy = false;
    return send_buffer(server, connection, &server->replies[connection->api].json);
}

static bool start_answer(Server *server, Connection *connection) {
    connection->busy = true;
    connection->next_word = 0;
    if (connection->stream) {
        server->counters.streams++;
    } else {
        server->counters.json++;
    }
    if (server->settings.first_delay_us > 0) {
        wait_for(server, connection, server->settings.first_delay_us);
        return true;
    }
    return answer(server, connection);
}

static void change_settings(Server *server, const Request *request, Buffer *body) {
    Settings *settings = &server->settings;
    request_query_number(request, "first_delay_us=", &settings->first_delay_us, 0, MAX_DELAY_US);
    request_query_number(request, "gap_us=", &settings->gap_us, 0, MAX_DELAY_US);
    request_query_number(request, "words=", &settings->words, 1, MAX_WORDS);
    rebuild_replies(server);
    buffer_printf(body, "{\"first_delay_us\":%ld,\"gap_us\":%ld,\"words\":%ld}", settings->first_delay_us,
                  settings->gap_us, settings->words);
}

/* Answers everything that is not a completion. */
static bool answer_plain(Server *server, Connection *connection, const Request *request) {
    const char *status = "200 OK";
    Buffer body = {0};
    if (request->post && request_path_is(request, "/v1/embeddings")) {
        append_embeddings(&body, request_count_inputs(request), server->settings.dimensions);
    } else if (request_path_is(request, "/v1/models")) {
        append_models(&body);
    } else if (request_path_is(request, "/health")) {
        buffer_printf(&body, "{\"status\":\"ok\"}");
    } else if (request_path_is(request, "/mock/counters")) {
        buffer_printf(&body, "{\"json\":%ld,\"streams\":%ld,\"unfinished_streams\":%ld,\"others\":%ld}",
                      server->counters.json, server->counters.streams, server->counters.unfinished_streams,
                      server->counters.others);
    } else if (request->post && request_path_is(request, "/mock/settings")) {
        change_settings(server, request, &body);
    } else {
        status = "404 Not Found";
        buffer_printf(&body, "{\"error\":{\"message\":\"The mock upstream has no such path.\",\"type\":"
                             "\"invalid_request_error\",\"param\":null,\"code\":\"not_found\"}}");
    }
    server->counters.others++;
    Buffer response = {0};
    append_json_response(&response, status, &body);
    bool alive = send_buffer(server, connection, &response);
    buffer_free(&body);
    buffer_free(&response);
    return alive;
}

static bool answer_request(Server *server, Connection *connection, const Request *request) {
    bool chat = request_path_is(request, "/v1/chat/completions");
    if (!request->post || (!chat && !request_path_is(request, "/v1/completions"))) {
        return answer_plain(server, connection, request);
    }
    connection->api = chat ? API_CHAT : API_TEXT;
    connection->stream = request_json_true(request, "\"stream\"");
    connection->with_usage = connection->stream && request_json_true(request, "\"include_usage\"");
    return start_answer(server, connection);
}

/* Answers the next request from the buffer, if it is there whole; false when the connection has to be closed. */
static bool serve_next(Server *server, Connection *connection, bool *served) {
    Request request;
    RequestState state = request_read(&request, connection->in.data, connection->in.length);
    *served = state == REQUEST_WHOLE;
    if (state != REQUEST_WHOLE) {
        return state == REQUEST_INCOMPLETE;
    }
    bool alive = answer_request(server, connection, &request);
    buffer_consume(&connection->in, request.total);
    request_free(&request);
    return alive;
}

static void serve_waiting(Server *server, Connection *connection) {
    bool served = true;
    while (served && !connection->busy && connection->in.length > 0) {
        if (!serve_next(server, connection, &served)) {
            close_connection(server, connection);
            return;
        }
    }
}

static void read_requests(Server *server, Connection *connection) {
    buffer_reserve(&connection->in, READ_SIZE);
    ssize_t got = recv(connection->descriptor, connection->in.data + connection->in.length, READ_SIZE, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got <= 0 || connection->in.length + (size_t)got > MAX_REQUEST) {
        close_connection(server, connection);
        return;
    }
    connection->in.length += (size_t)got;
    serve_waiting(server, connection);
}

static void accept_connections(Server *server, int listener) {
    for (;;) {
        int descriptor = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (descriptor < 0) {
            return;
        }
        Connection *connection = descriptor < MAX_DESCRIPTORS ? calloc(1, sizeof(Connection)) : NULL;
        if (connection == NULL) {
            close(descriptor);
            continue;
        }
        int yes = 1;
        setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        connection->descriptor = descriptor;
        connection->generation = ++server->generation;
        server->connections[descriptor] = connection;
        watch_descriptor(server, EPOLL_CTL_ADD, descriptor, EPOLLIN);
    }
}

static void arm_timer(Server *server) {
    int64_t due = timers_next_due(&server->timers);
    if (due == server->timer_armed_for) {
        return;
    }
    struct itimerspec when = {.it_value = {due / 1000000000, due % 1000000000}};
    timerfd_settime(server->timer, TFD_TIMER_ABSTIME, &when, NULL); /* zero disarms it */
    server->timer_armed_for = due;
}

static void run_due_timers(Server *server) {
    uint64_t expirations;
    if (read(server->timer, &expirations, sizeof expirations) < 0) {
        return; /* it was set anew since it rang */
    }
    server->timer_armed_for = 0;
    Timer timer;
    while (timers_take_due(&server->timers, now_ns(), &timer)) {
        Connection *connection = server->connections[timer.descriptor];
        if (connection == NULL || connection->generation != timer.generation) {
            continue; /* the client left meanwhile */
        }
        if (!answer(server, connection)) {
            close_connection(server, connection);
        } else {
            serve_waiting(server, connection);
        }
    }
}

static void handle_event(Server *server, const struct epoll_event *event) {
    Connection *connection = server->connections[event->data.fd];
    if (connection == NULL) {
        return;
    }
    if ((event->events & EPOLLOUT) && !flush_waiting(server, connection)) {
        close_connection(server, connection);
        return;
    }
    if (event->events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        read_requests(server, connection);
    }
}

static int open_listener(long port) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int yes = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, size) != 0 || listen(listener, 4096) != 0) {
        die("Cannot listen on 127.0.0.1:%ld: %s.", port, strerror(errno));
    }
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("listening on %d\n", ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

static long parse_options(int count, char **words, Settings *settings) {
    static const struct option OPTIONS[] = {
        {"port", required_argument, NULL, 'p'},       {"first-delay-us", required_argument, NULL, 'f'},
        {"gap-us", required_argument, NULL, 'g'},     {"words", required_argument, NULL, 'w'},
        {"dimensions", required_argument, NULL, 'd'}, {0}};
    long port = 0;
    int option;
    while ((option = getopt_long(count, words, "", OPTIONS, NULL)) != -1) {
        switch (option) {
        case 'p':
            port = parse_number("--port", optarg, 0, 65535);
            break;
        case 'f':
            settings->first_delay_us = parse_number("--first-delay-us", optarg, 0, MAX_DELAY_US);
            break;
        case 'g':
            settings->gap_us = parse_number("--gap-us", optarg, 0, MAX_DELAY_US);
            break;
        case 'w':
            settings->words = parse_number("--words", optarg, 1, MAX_WORDS);
            break;
        case 'd':
            settings->dimensions = parse_number("--dimensions", optarg, 1, 4096);
            break;
        default:
            die("usage: mock [--port N] [--first-delay-us N] [--gap-us N] [--words N] [--dimensions N]");
        }
    }
    return port;
}

int main(int count, char **words) {
    static Server server = {.settings = {.words = 64, .dimensions = 8}};
    long port = parse_options(count, words, &server.settings);
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* never outlive the harness */
    rebuild_replies(&server);
    server.epoll = epoll_create1(0);
    server.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    int listener = open_listener(port);
    watch_descriptor(&server, EPOLL_CTL_ADD, listener, EPOLLIN);
    watch_descriptor(&server, EPOLL_CTL_ADD, server.timer, EPOLLIN);
    struct epoll_event events[512];
    for (;;) {
        arm_timer(&server);
        int ready = epoll_wait(server.epoll, events, 512, -1);
        for (int i = 0; i < ready; i++) {
            int descriptor = events[i].data.fd;
            if (descriptor == listener) {
                accept_connections(&server, listener);
            } else if (descriptor == server.timer) {
                run_due_timers(&server);
            } else {
                handle_event(&server, &events[i]);
            }
        }
    }
}
