/* A closed-loop HTTP/1.1 load generator: one thread, epoll, as many requests in flight as connections. Loopback only.
 *
 *   load --port N --path PATH [--body FILE] [--header 'Name: value']... [--connections N] [--seconds N]
 *        [--max-requests N] [--expect-words N]
 *
 * With --body it sends POST, else GET. It prints one JSON object: requests that were answered right, requests a second,
 * latency and time to the first word in milliseconds, and every kind of failure. An answer is right when its status is
 * 200, it is complete, and (with --expect-words) it holds exactly that many word marks of the mock upstream. The run is
 * bounded in time and count; what is still under way 10 seconds after the end counts as a failure.
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
#include <unistd.h>

#include "response.h"
#include "wire.h"

#define MAX_CONNECTIONS 4096
#define READ_SIZE 65536
#define MAX_BODY (1024 * 1024)
#define GRACE_NS (10 * INT64_C(1000000000))
#define HOPELESS 200 /* so many failures with no success end the run early */

typedef struct {
    int descriptor; /* -1 when not connected */
    bool busy;
    int64_t started_ns;
    int64_t first_word_ns; /* 0 until the first word came */
    Response response;
} Connection;

/* Durations in tenths of a microsecond. */
typedef struct {
    uint32_t *items;
    size_t count;
    size_t capacity;
} Samples;

typedef struct {
    long ok;
    long bad_status;
    long wrong_words;
    long broken; /* refused, cut off, malformed, or too late */
    int first_bad_status;
    char first_bad_body[BODY_SAMPLE + 1];
} Outcomes;

typedef struct {
    long port;
    const char *path;
    long connections;
    long seconds;
    long max_requests;
    long expect_words; /* -1: not checked */
} Options;

typedef struct {
    Options options;
    Buffer request;
    int epoll;
    Connection *connections;
    long sent;
    long in_flight;
    int64_t end_ns;
    Samples latency;
    Samples first_word;
    Outcomes outcomes;
} Load;

static void samples_add(Samples *samples, int64_t nanoseconds) {
    if (samples->count == samples->capacity) {
        samples->capacity = samples->capacity ? samples->capacity * 2 : 65536;
        samples->items = realloc(samples->items, samples->capacity * sizeof(uint32_t));
        if (samples->items == NULL) {
            die("Out of memory.");
        }
    }
    samples->items[samples->count++] = (uint32_t)(nanoseconds / 100);
}

static int compare_samples(const void *left, const void *right) {
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

/* The nearest-rank percentile of sorted samples, in milliseconds. */
static double percentile(const Samples *samples, double share) {
    if (samples->count == 0) {
        return 0.0;
    }
    size_t rank = (size_t)(share * (double)samples->count);
    if (rank >= samples->count) {
        rank = samples->count - 1;
    }
    return samples->items[rank] / 10000.0;
}

static bool connect_to_target(Load *load, Connection *connection) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)load->options.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int descriptor = socket(AF_INET, SOCK_STREAM, 0);
    if (descriptor < 0 || connect(descriptor, (struct sockaddr *)&address, sizeof address) != 0) {
        if (descriptor >= 0) {
            close(descriptor);
        }
        return false;
    }
    int yes = 1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)(connection - load->connections)};
    epoll_ctl(load->epoll, EPOLL_CTL_ADD, descriptor, &event);
    connection->descriptor = descriptor;
    return true;
}

static void hang_up(Connection *connection) {
    if (connection->descriptor >= 0) {
        close(connection->descriptor);
        connection->descriptor = -1;
    }
}

static bool send_request(const Load *load, const Connection *connection) {
    const char *bytes = load->request.data;
    size_t left = load->request.length;
    while (left > 0) {
        ssize_t sent = send(connection->descriptor, bytes, left, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0) {
            return false;
        }
        bytes += sent;
        left -= (size_t)sent;
    }
    return true;
}

static bool may_send(const Load *load) {
    bool hopeless = load->outcomes.ok == 0 && load->outcomes.bad_status + load->outcomes.broken >= HOPELESS;
    return !hopeless && load->sent < load->options.max_requests && now_ns() < load->end_ns;
}

/* Sends the next request on a connection; a failure to connect or send counts, and leaves the connection idle. */
static void start_request(Load *load, Connection *connection) {
    connection->busy = false;
    while (may_send(load)) {
        load->sent++;
        connection->first_word_ns = 0;
        response_reset(&connection->response);
        connection->started_ns = now_ns();
        if ((connection->descriptor >= 0 || connect_to_target(load, connection)) && send_request(load, connection)) {
            connection->busy = true;
            load->in_flight++;
            return;
        }
        hang_up(connection);
        load->outcomes.broken++;
        usleep(1000); /* a refused connection must not turn into a busy loop */
    }
}

static void finish_request(Load *load, Connection *connection, bool complete) {
    int64_t now = now_ns();
    Outcomes *outcomes = &load->outcomes;
    const Response *response = &connection->response;
    load->in_flight--;
    if (!complete) {
        outcomes->broken++;
    } else if (response->status != 200) {
        if (outcomes->bad_status++ == 0) {
            outcomes->first_bad_status = response->status;
            memcpy(outcomes->first_bad_body, response->sample, sizeof response->sample);
        }
    } else if (load->options.expect_words >= 0 && response->words != load->options.expect_words) {
        outcomes->wrong_words++;
    } else {
        outcomes->ok++;
        samples_add(&load->latency, now - connection->started_ns);
        if (connection->first_word_ns != 0) {
            samples_add(&load->first_word, connection->first_word_ns - connection->started_ns);
        }
    }
    if (!complete || response->closes) {
        hang_up(connection);
    }
    start_request(load, connection);
}

static void handle_readable(Load *load, Connection *connection) {
    static char bytes[READ_SIZE];
    if (connection->descriptor < 0) {
        return;
    }
    ssize_t got = recv(connection->descriptor, bytes, sizeof bytes, 0);
    if (got < 0 && errno == EINTR) {
        return;
    }
    if (got > 0) {
        if (!connection->busy) {
            return;
        }
        bool complete = response_take(&connection->response, bytes, (size_t)got);
        if (connection->first_word_ns == 0 && connection->response.words > 0) {
            connection->first_word_ns = now_ns();
        }
        if (complete) {
            finish_request(load, connection, true);
        }
        return;
    }
    bool complete = response_ends_with_connection(&connection->response);
    hang_up(connection); /* an idle connection that the other side closed is opened anew by the next request */
    if (connection->busy) {
        finish_request(load, connection, complete);
    }
}

static void run(Load *load) {
    int64_t start = now_ns();
    load->end_ns = start + load->options.seconds * INT64_C(1000000000);
    for (long i = 0; i < load->options.connections; i++) {
        load->connections[i].descriptor = -1;
        start_request(load, &load->connections[i]);
    }
    struct epoll_event events[256];
    while (load->in_flight > 0 && now_ns() < load->end_ns + GRACE_NS) {
        int ready = epoll_wait(load->epoll, events, 256, 100);
        for (int i = 0; i < ready; i++) {
            handle_readable(load, &load->connections[events[i].data.u32]);
        }
    }
    load->outcomes.broken += load->in_flight;
}

static void build_request(Load *load, const char *body_file, const Buffer *headers) {
    static char body[MAX_BODY];
    size_t length = 0;
    if (body_file != NULL) {
        FILE *file = fopen(body_file, "rb");
        if (file == NULL) {
            die("Cannot read the body file %s: %s.", body_file, strerror(errno));
        }
        length = fread(body, 1, sizeof body, file);
        fclose(file);
    }
    buffer_printf(&load->request, "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%ld\r\nAccept: */*\r\n",
                  body_file ? "POST" : "GET", load->options.path, load->options.port);
    if (body_file != NULL) {
        buffer_printf(&load->request, "Content-Type: application/json\r\nContent-Length: %zu\r\n", length);
    }
    if (headers->length > 0) {
        buffer_append(&load->request, headers->data, headers->length);
    }
    buffer_append(&load->request, "\r\n", 2);
    buffer_append(&load->request, body, length);
}

static void parse_options(Load *load, int count, char **words) {
    static const struct option OPTIONS[] = {{"port", required_argument, NULL, 'p'},
                                            {"path", required_argument, NULL, 'u'},
                                            {"body", required_argument, NULL, 'b'},
                                            {"header", required_argument, NULL, 'h'},
                                            {"connections", required_argument, NULL, 'c'},
                                            {"seconds", required_argument, NULL, 's'},
                                            {"max-requests", required_argument, NULL, 'm'},
                                            {"expect-words", required_argument, NULL, 'w'},
                                            {0}};
    Options *options = &load->options;
    *options = (Options){.connections = 1, .seconds = 1, .max_requests = 2000000, .expect_words = -1};
    const char *body_file = NULL;
    Buffer headers = {0};
    int option;
    while ((option = getopt_long(count, words, "", OPTIONS, NULL)) != -1) {
        switch (option) {
        case 'p':
            options->port = parse_number("--port", optarg, 1, 65535);
            break;
        case 'u':
            options->path = optarg;
            break;
        case 'b':
            body_file = optarg;
            break;
        case 'h':
            buffer_printf(&headers, "%s\r\n", optarg);
            break;
        case 'c':
            options->connections = parse_number("--connections", optarg, 1, MAX_CONNECTIONS);
            break;
        case 's':
            options->seconds = parse_number("--seconds", optarg, 1, 600);
            break;
        case 'm':
            options->max_requests = parse_number("--max-requests", optarg, 1, 20000000);
            break;
        case 'w':
            options->expect_words = parse_number("--expect-words", optarg, 0, 1000000);
            break;
        default:
            die("usage: load --port N --path PATH [--body FILE] [--header LINE]... [--connections N] [--seconds N] "
                "[--max-requests N] [--expect-words N]");
        }
    }
    if (options->port == 0 || options->path == NULL) {
        die("--port and --path are needed.");
    }
    build_request(load, body_file, &headers);
    buffer_free(&headers);
}

static void print_percentiles(const char *name, Samples *samples) {
    if (samples->count > 0) {
        qsort(samples->items, samples->count, sizeof(uint32_t), compare_samples);
    }
    printf("\"%s\":{\"p50\":%.4f,\"p95\":%.4f,\"p99\":%.4f,\"max\":%.4f},", name, percentile(samples, 0.50),
           percentile(samples, 0.95), percentile(samples, 0.99), percentile(samples, 1.0));
}

static void print_report(Load *load, double elapsed_s) {
    Outcomes *outcomes = &load->outcomes;
    for (char *byte = outcomes->first_bad_body; *byte != '\0'; byte++) {
        if (*byte == '"' || *byte == '\\' || (unsigned char)*byte < 32 || (unsigned char)*byte > 126) {
            *byte = '\''; /* keeps the report plain JSON */
        }
    }
    printf("{\"ok\":%ld,\"bad_status\":%ld,\"wrong_words\":%ld,\"broken\":%ld,\"elapsed_s\":%.4f,\"rps\":%.2f,",
           outcomes->ok, outcomes->bad_status, outcomes->wrong_words, outcomes->broken, elapsed_s,
           (double)outcomes->ok / elapsed_s);
    print_percentiles("latency_ms", &load->latency);
    print_percentiles("first_word_ms", &load->first_word);
    printf("\"first_bad_status\":%d,\"first_bad_body\":\"%s\"}\n", outcomes->first_bad_status,
           outcomes->first_bad_body);
}

int main(int count, char **words) {
    static Load load;
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* never outlive the harness */
    parse_options(&load, count, words);
    load.connections = calloc((size_t)load.options.connections, sizeof(Connection));
    load.epoll = epoll_create1(0);
    if (load.connections == NULL || load.epoll < 0) {
        die("Cannot set up %ld connections: %s.", load.options.connections, strerror(errno));
    }
    int64_t start = now_ns();
    run(&load);
    print_report(&load, (double)(now_ns() - start) / 1e9);
    return 0;
}
