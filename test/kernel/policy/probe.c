/*
 * Who reaches whom: real sockets in many network namespaces at once, of one process.
 *
 *     probe serve     reads "NETNS tcp|udp|sctp PORT" lines to the end of stdin, listens for both families, prints "ready",
 *                     answers until it is killed: TCP and SCTP by accepting, UDP by sending back what came
 *     probe ask MS    reads "NETNS tcp|udp|sctp ADDRESS PORT open|closed" lines to the end of stdin, tries all at the same
 *                     time, and prints for each "open" (there was an answer), "refused", or "closed" (neither). It ends when
 *                     all that should be open are, and MS milliseconds are over in which the others were not; or after
 *                     ten seconds.
 *
 * NETNS is a path. UDP is asked again and again, as TCP's own SYN is: a first packet may be lost on a busy machine.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { TRIES_MAX = 20000, EVENTS_MAX = 512, LINE_BYTES = 512, AGAIN_MS = 100, DEADLINE_MS = 10000 };

enum result { WAITING, OPEN, REFUSED, FAILED };

struct try {
  int fd, is_udp, is_expected;
  enum result result;
};

static struct try tries[TRIES_MAX];
static struct epoll_event events[EVENTS_MAX];
static int count, heard_by;

static void die(const char *what, const char *about) {
  fprintf(stderr, "probe: %s %s: %s\n", what, about, strerror(errno));
  exit(1);
}

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A socket stays in the namespace in which it was made. */
static int socket_in(const char *netns, int family, const char *protocol) {
  static char current[LINE_BYTES];
  if (strcmp(netns, current) != 0) {
    int fd = open(netns, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET) < 0) die("enter", netns);
    close(fd);
    snprintf(current, sizeof current, "%s", netns);
  }
  int is_udp = strcmp(protocol, "udp") == 0, is_sctp = strcmp(protocol, "sctp") == 0;
  int fd = socket(family, (is_udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK, is_sctp ? IPPROTO_SCTP : 0);
  if (fd < 0) die("socket", protocol);
  return fd;
}

/* A poll() of thousands for each answer would be most of the work. */
static void hear_of(int index, uint32_t what) {
  struct epoll_event event = {.events = what, .data.u32 = (uint32_t)index};
  if (epoll_ctl(heard_by, EPOLL_CTL_ADD, tries[index].fd, &event) < 0) die("epoll_ctl", "");
}

static int wait_ms(int timeout_ms) {
  int heard = epoll_wait(heard_by, events, EVENTS_MAX, timeout_ms);
  if (heard < 0 && errno != EINTR) die("epoll_wait", "");
  return heard < 0 ? 0 : heard;
}

static void serve(void) {
  char line[LINE_BYTES], netns[LINE_BYTES], protocol[8];
  unsigned port;
  while (fgets(line, sizeof line, stdin) && count < TRIES_MAX) {
    if (sscanf(line, "%511s %7s %u", netns, protocol, &port) != 3) die("read", line);
    int fd = socket_in(netns, AF_INET6, protocol), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    if (bind(fd, (struct sockaddr *)&any, sizeof any) < 0) die("bind", line);
    int is_udp = strcmp(protocol, "udp") == 0;
    if (!is_udp && listen(fd, 1024) < 0) die("listen", line);
    tries[count] = (struct try){.fd = fd, .is_udp = is_udp};
    hear_of(count++, EPOLLIN);
  }
  puts("ready");
  fflush(stdout);
  for (;;) {
    int heard = wait_ms(-1);
    for (int i = 0; i < heard; i++) {
      const struct try *one = &tries[events[i].data.u32];
      struct sockaddr_in6 from;
      socklen_t length = sizeof from;
      char byte;
      if (one->is_udp) {
        if (recvfrom(one->fd, &byte, 1, 0, (struct sockaddr *)&from, &length) == 1)
          sendto(one->fd, &byte, 1, 0, (struct sockaddr *)&from, length);
      } else {
        int fd = accept(one->fd, NULL, NULL);
        if (fd >= 0) close(fd);
      }
    }
  }
}

static void begin(struct try *one, const char *netns, const char *protocol, const char *address, unsigned port) {
  struct sockaddr_in six4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  struct sockaddr_in6 six6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
  int is_6 = strchr(address, ':') != NULL;
  if (inet_pton(is_6 ? AF_INET6 : AF_INET, address, is_6 ? (void *)&six6.sin6_addr : (void *)&six4.sin_addr) != 1)
    die("read the address", address);
  one->fd = socket_in(netns, is_6 ? AF_INET6 : AF_INET, protocol);
  one->is_udp = strcmp(protocol, "udp") == 0;
  const struct sockaddr *to = is_6 ? (struct sockaddr *)&six6 : (struct sockaddr *)&six4;
  if (connect(one->fd, to, is_6 ? sizeof six6 : sizeof six4) == 0 && !one->is_udp) one->result = OPEN;
  else if (errno == ECONNREFUSED) one->result = REFUSED;
}

static void hear(struct try *one, uint32_t what) {
  if (one->is_udp) {
    char byte;
    ssize_t got = recv(one->fd, &byte, 1, 0);
    if (got == 1) one->result = OPEN;
    else if (errno == ECONNREFUSED) one->result = REFUSED;
    return;
  }
  int error = 0;
  socklen_t length = sizeof error;
  getsockopt(one->fd, SOL_SOCKET, SO_ERROR, &error, &length);
  if (error == ECONNREFUSED) one->result = REFUSED;
  else if (error != 0) one->result = FAILED; /* no route, or the time is over */
  else if (what & EPOLLOUT) one->result = OPEN;
}

static void ask(int quiet_ms) {
  char line[LINE_BYTES], netns[LINE_BYTES], protocol[8], address[64], expected[8];
  unsigned port;
  while (fgets(line, sizeof line, stdin) && count < TRIES_MAX) {
    if (sscanf(line, "%511s %7s %63s %u %7s", netns, protocol, address, &port, expected) != 5) die("read", line);
    tries[count].is_expected = strcmp(expected, "open") == 0;
    begin(&tries[count], netns, protocol, address, port);
    if (tries[count].result == WAITING) hear_of(count, tries[count].is_udp ? EPOLLIN : EPOLLOUT);
    count++;
  }
  int64_t start = now_ms(), again = start, open_since = 0;
  for (;;) {
    int64_t now = now_ms();
    if (now >= again) {
      for (int i = 0; i < count; i++)
        if (tries[i].is_udp && tries[i].result == WAITING && send(tries[i].fd, "?", 1, 0) < 0 && errno == ECONNREFUSED)
          tries[i].result = REFUSED;
      again = now + AGAIN_MS;
    }
    int missing = 0;
    for (int i = 0; i < count; i++) missing += tries[i].result == WAITING && tries[i].is_expected;
    if (missing == 0 && open_since == 0) open_since = now;
    if ((open_since && now - open_since >= quiet_ms && now - start >= quiet_ms) || now - start > DEADLINE_MS) break;
    int heard = wait_ms(20);
    for (int i = 0; i < heard; i++) {
      struct try *one = &tries[events[i].data.u32];
      hear(one, events[i].events);
      if (one->result != WAITING) epoll_ctl(heard_by, EPOLL_CTL_DEL, one->fd, NULL);
    }
  }
  for (int i = 0; i < count; i++)
    puts(tries[i].result == OPEN ? "open" : tries[i].result == REFUSED ? "refused" : "closed");
}

int main(int argc, char **argv) {
  struct rlimit files = {TRIES_MAX + 100, TRIES_MAX + 100};
  if (setrlimit(RLIMIT_NOFILE, &files) < 0) {
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  heard_by = epoll_create1(EPOLL_CLOEXEC);
  if (heard_by < 0) die("epoll_create1", "");
  if (argc == 2 && strcmp(argv[1], "serve") == 0) serve();
  else if (argc == 3 && strcmp(argv[1], "ask") == 0) ask(atoi(argv[2]));
  else return fputs("usage: probe serve | probe ask MS\n", stderr), 2;
  return 0;
}
