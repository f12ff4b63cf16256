/*
 * Tries to get one datagram through before a policy holds: UDP, port 80, both families.
 *
 *     sneak listen    reads network namespaces (paths), one a line, to the end of stdin; listens in all of them; prints
 *                     "ready"; at SIGTERM "COUNT MS": how many datagrams came in all, and how long after the first one the
 *                     last came, by the kernel's clock: however late this program was to read them
 *     sneak flood     reads "NETNS ADDRESS" lines to the end of stdin; prints "ready"; sends to each ADDRESS from a socket
 *                     in its NETNS, every two milliseconds, whether there is a way or not, until SIGTERM; then prints
 *                     "COUNT": how many it could send
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SOCKETS_MAX = 1000, LINE_BYTES = 512, PORT = 80 };

static struct pollfd sockets[SOCKETS_MAX];
static struct sockaddr_in6 targets[SOCKETS_MAX];
static int count;
static long heard, sent;
static struct timespec first, last;
static volatile sig_atomic_t is_over;

static void end(int signal_number) {
  (void)signal_number;
  is_over = 1;
}

static void die(const char *what, const char *about) {
  fprintf(stderr, "sneak: %s %s: %s\n", what, about, strerror(errno));
  exit(1);
}

static int socket_in(const char *netns) {
  int fd = open(netns, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || setns(fd, CLONE_NEWNET) < 0) die("enter", netns);
  close(fd);
  fd = socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  if (fd < 0) die("socket in", netns);
  return fd;
}

static int is_before(struct timespec a, struct timespec b) {
  return a.tv_sec < b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec < b.tv_nsec);
}

static int hear(int fd) {
  char byte, control[128];
  struct iovec vector = {.iov_base = &byte, .iov_len = 1};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  if (recvmsg(fd, &message, 0) < 0) return 0;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
    struct timespec at;
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS) continue;
    memcpy(&at, CMSG_DATA(c), sizeof at);
    if (heard == 0 || is_before(at, first)) first = at;
    if (heard == 0 || is_before(last, at)) last = at;
  }
  heard++;
  return 1;
}

static void drain(int timeout_ms) {
  if (poll(sockets, (nfds_t)count, timeout_ms) <= 0) return;
  for (int i = 0; i < count; i++)
    while (sockets[i].revents && hear(sockets[i].fd)) continue;
}

static void listen_everywhere(void) {
  char netns[LINE_BYTES];
  while (scanf("%511s", netns) == 1 && count < SOCKETS_MAX) {
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(PORT)};
    int fd = socket_in(netns);
    if (bind(fd, (struct sockaddr *)&any, sizeof any) < 0) die("bind in", netns);
    if (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &(int){1}, sizeof(int)) < 0) die("note times in", netns);
    sockets[count++] = (struct pollfd){.fd = fd, .events = POLLIN};
  }
  puts("ready");
  fflush(stdout);
  while (!is_over) drain(100);
  drain(0);
  printf("%ld %ld\n", heard, (last.tv_sec - first.tv_sec) * 1000 + (last.tv_nsec - first.tv_nsec) / 1000000);
}

static void flood(void) {
  char netns[LINE_BYTES], address[64], mapped[80];
  while (scanf("%511s %63s", netns, address) == 2 && count < SOCKETS_MAX) {
    snprintf(mapped, sizeof mapped, "%s%s", strchr(address, ':') ? "" : "::ffff:", address);
    targets[count] = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(PORT)};
    if (inet_pton(AF_INET6, mapped, &targets[count].sin6_addr) != 1) die("read the address", address);
    sockets[count++].fd = socket_in(netns);
  }
  puts("ready");
  fflush(stdout);
  while (!is_over) {
    for (int i = 0; i < count; i++)
      sent += sendto(sockets[i].fd, "!", 1, 0, (struct sockaddr *)&targets[i], sizeof targets[i]) == 1;
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
  }
  printf("%ld\n", sent);
}

int main(int argc, char **argv) {
  struct sigaction action = {.sa_handler = end};
  sigaction(SIGTERM, &action, NULL);
  if (argc == 2 && strcmp(argv[1], "listen") == 0) listen_everywhere();
  else if (argc == 2 && strcmp(argv[1], "flood") == 0) flood();
  else return fputs("usage: sneak listen | sneak flood\n", stderr), 2;
  return 0;
}
