/*
 * Traffic between two pods, measured where it arrives.
 *
 *     traffic serve ADDRESS PORT                  the other end of `send`, `ask` and `call`, for one at a time; does not end
 *     traffic send ADDRESS PORT MS BYTES_PER_S    a TCP stream (0: as fast as it goes): "BYTES_PER_S" that arrived
 *     traffic ask ADDRESS PORT TIMES              a byte there and back over one TCP connection: median "MICROSECONDS"
 *     traffic call ADDRESS PORT TIMES             the same, but over a connection for each: from the first SYN to the byte
 *     traffic count ADDRESS PORT                  of the datagrams of `tick` those that came, each number once: "COUNT",
 *                                                 when none has come for two seconds
 *     traffic tick ADDRESS PORT MS PER_S          numbered datagrams at a steady pace: "COUNT" that were sent
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK_BYTES = 128 * 1024, TICKS_MAX = 1 << 20, TICK_BYTES = 200, RECEIVE_BUFFER_BYTES = 8 << 20 };

/* What `send` hears when its stream has ended. */
struct arrival {
  uint64_t bytes, took_ns;
};

static char chunk[CHUNK_BYTES];

static void die(const char *what) {
  fprintf(stderr, "traffic: %s: %s\n", what, strerror(errno));
  exit(1);
}

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* A socket that is bound to the address, or connected with it. */
static int open_socket(const char *address, const char *port, int type, int is_bound) {
  struct addrinfo hints = {.ai_socktype = type, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV}, *found;
  int one = 1;
  if (getaddrinfo(address, port, &hints, &found) != 0) errno = EINVAL, die(address);
  int fd = socket(found->ai_family, type | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket");
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if ((is_bound ? bind : connect)(fd, found->ai_addr, found->ai_addrlen) < 0) die(address);
  freeaddrinfo(found);
  return fd;
}

static void no_delay(int fd) {
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

/* 's': takes a stream in and tells how much came how fast. 'a': sends each byte back. */
static void serve_one(int fd) {
  struct arrival arrival = {0, 0};
  char kind = 0;
  ssize_t got;
  no_delay(fd);
  if (read(fd, &kind, 1) != 1) return;
  uint64_t began_ns = now_ns();
  while ((got = read(fd, chunk, kind == 's' ? sizeof chunk : 1)) > 0) {
    arrival.bytes += (uint64_t)got;
    if (kind == 'a' && write(fd, chunk, 1) != 1) return;
  }
  arrival.took_ns = now_ns() - began_ns;
  if (kind == 's' && write(fd, &arrival, sizeof arrival) < 0) perror("traffic: answer");
}

static void serve(const char *address, const char *port) {
  int listener = open_socket(address, port, SOCK_STREAM, 1);
  if (listen(listener, 8) < 0) die("listen");
  puts("ready");
  fflush(stdout);
  for (;;) {
    int fd = accept(listener, NULL, NULL);
    if (fd < 0) die("accept");
    serve_one(fd);
    close(fd);
  }
}

static void send_stream(const char *address, const char *port, uint64_t ms, unsigned bytes_per_s) {
  struct arrival arrival;
  int fd = open_socket(address, port, SOCK_STREAM, 0);
  if (bytes_per_s > 0) setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &bytes_per_s, sizeof bytes_per_s);
  if (write(fd, "s", 1) != 1) die("write");
  for (uint64_t end_ns = now_ns() + ms * 1000000; now_ns() < end_ns;)
    if (write(fd, chunk, sizeof chunk) < 0) die("write");
  shutdown(fd, SHUT_WR);
  if (read(fd, &arrival, sizeof arrival) != sizeof arrival) die("answer");
  printf("%.0f\n", (double)arrival.bytes * 1e9 / (double)arrival.took_ns);
}

static int by_size(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

static void ask(const char *address, const char *port, size_t times) {
  uint64_t *took_ns = calloc(times + 1, sizeof *took_ns);
  int fd = open_socket(address, port, SOCK_STREAM, 0);
  if (took_ns == NULL) die("memory");
  no_delay(fd);
  if (write(fd, "a", 1) != 1) die("write");
  for (size_t i = 0; i < times; i++) {
    uint64_t began_ns = now_ns();
    if (write(fd, "?", 1) != 1 || read(fd, chunk, 1) != 1) die("answer");
    took_ns[i] = now_ns() - began_ns;
  }
  qsort(took_ns, times, sizeof *took_ns, by_size);
  printf("%.2f\n", (double)took_ns[times / 2] / 1000);
}

/* The end by a reset, so that none of its ports has to rest. */
static void call(const char *address, const char *port, size_t times) {
  struct linger at_once = {1, 0};
  uint64_t *took_ns = calloc(times + 1, sizeof *took_ns);
  if (took_ns == NULL) die("memory");
  for (size_t i = 0; i < times; i++) {
    uint64_t began_ns = now_ns();
    int fd = open_socket(address, port, SOCK_STREAM, 0);
    no_delay(fd);
    if (write(fd, "a?", 2) != 2 || read(fd, chunk, 1) != 1) die("answer");
    took_ns[i] = now_ns() - began_ns;
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
  }
  qsort(took_ns, times, sizeof *took_ns, by_size);
  printf("%.2f\n", (double)took_ns[times / 2] / 1000);
}

static void count(const char *address, const char *port) {
  static char seen[TICKS_MAX];
  struct timeval patience = {30, 0};
  int fd = open_socket(address, port, SOCK_DGRAM, 1), bytes = RECEIVE_BUFFER_BYTES;
  unsigned came = 0;
  uint32_t number;
  /* A reader that has to wait for its turn loses nothing. */
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) < 0) die("SO_RCVBUFFORCE");
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  puts("ready");
  fflush(stdout);
  while (recv(fd, chunk, sizeof chunk, 0) >= (ssize_t)sizeof number) {
    memcpy(&number, chunk, sizeof number);
    if (number < TICKS_MAX && !seen[number]) seen[number] = 1, came++;
    patience.tv_sec = 2;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  printf("%u\n", came);
}

static void tick(const char *address, const char *port, uint64_t ms, unsigned per_s) {
  int fd = open_socket(address, port, SOCK_DGRAM, 0);
  uint64_t began_ns = now_ns(), ticks = ms * per_s / 1000;
  for (uint32_t number = 0; number < ticks; number++) {
    uint64_t due_ns = began_ns + number * (uint64_t)1000000000 / per_s;
    struct timespec due = {(time_t)(due_ns / 1000000000), (long)(due_ns % 1000000000)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
    memcpy(chunk, &number, sizeof number);
    if (send(fd, chunk, TICK_BYTES, 0) < 0) perror("traffic: send"); /* and so it does not arrive */
  }
  printf("%llu\n", (unsigned long long)ticks);
}

int main(int argc, char **argv) {
  const char *mode = argc > 3 ? argv[1] : "";
  if (strcmp(mode, "serve") == 0) serve(argv[2], argv[3]);
  else if (strcmp(mode, "send") == 0 && argc == 6) send_stream(argv[2], argv[3], strtoull(argv[4], NULL, 10), (unsigned)atol(argv[5]));
  else if (strcmp(mode, "ask") == 0 && argc == 5) ask(argv[2], argv[3], strtoull(argv[4], NULL, 10));
  else if (strcmp(mode, "call") == 0 && argc == 5) call(argv[2], argv[3], strtoull(argv[4], NULL, 10));
  else if (strcmp(mode, "count") == 0) count(argv[2], argv[3]);
  else if (strcmp(mode, "tick") == 0 && argc == 6) tick(argv[2], argv[3], strtoull(argv[4], NULL, 10), (unsigned)atol(argv[5]));
  else {
    fprintf(stderr, "usage: see the top of traffic.c\n");
    return 2;
  }
  return 0;
}
