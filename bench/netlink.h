/*
 * Just enough rtnetlink for wire-pod.c: requests are put one after the other into a batch, sent in one system call, and
 * acknowledged by the kernel one by one. Whatever fails ends the program: half a measurement is none.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BATCH_BYTES = 8192, ANSWER_BYTES = 16384 };

static void die(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

static int open_netlink(void) {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), one = 1;
  if (fd < 0) die("netlink socket");
  setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof one);
  return fd;
}

struct batch {
  int socket;
  size_t used;
  unsigned requests;
  struct nlmsghdr *open; /* the message being written */
  char bytes[BATCH_BYTES] __attribute__((aligned(8)));
};

static void *grow(struct batch *batch, size_t size) {
  void *room = batch->bytes + batch->used;
  if (batch->used + NLMSG_ALIGN(size) > sizeof batch->bytes) errno = ENOBUFS, die("batch");
  memset(room, 0, NLMSG_ALIGN(size));
  batch->used += NLMSG_ALIGN(size);
  if (batch->open != NULL) batch->open->nlmsg_len = (uint32_t)(batch->bytes + batch->used - (char *)batch->open);
  return room;
}

/* Begins a request; returns its fixed part, to be filled in. */
static void *request(struct batch *batch, uint16_t type, uint16_t flags, size_t fixed_bytes) {
  batch->open = NULL;
  struct nlmsghdr *header = grow(batch, sizeof *header);
  batch->open = header;
  header->nlmsg_type = type;
  header->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
  header->nlmsg_seq = ++batch->requests;
  return grow(batch, fixed_bytes);
}

static struct rtattr *attribute(struct batch *batch, uint16_t type, const void *value, size_t bytes) {
  struct rtattr *head = grow(batch, RTA_LENGTH(bytes));
  head->rta_type = type;
  head->rta_len = (uint16_t)RTA_LENGTH(bytes);
  if (bytes > 0) memcpy(RTA_DATA(head), value, bytes);
  return head;
}

static void attribute_u32(struct batch *batch, uint16_t type, uint32_t value) {
  attribute(batch, type, &value, sizeof value);
}

static void attribute_text(struct batch *batch, uint16_t type, const char *text) {
  attribute(batch, type, text, strlen(text) + 1);
}

static void attribute_ip(struct batch *batch, uint16_t type, int family, const char *text) {
  unsigned char ip[16];
  if (inet_pton(family, text, ip) != 1) errno = EINVAL, die(text);
  attribute(batch, type, ip, family == AF_INET ? 4 : 16);
}

static struct rtattr *begin_nest(struct batch *batch, uint16_t type) {
  return attribute(batch, type, NULL, 0);
}

static void end_nest(struct batch *batch, struct rtattr *nest) {
  nest->rta_len = (uint16_t)(batch->bytes + batch->used - (char *)nest);
}

/*
 * Sends the batch, waits until the kernel has acknowledged every request, and empties it for the next one.
 * @param found  if not NULL: takes the index of the link that a RTM_GETLINK in the batch asked for, and of its peer
 */
static void perform(struct batch *batch, int found[2]) {
  char answer[ANSWER_BYTES] __attribute__((aligned(8)));
  unsigned acknowledged = 0;
  if (send(batch->socket, batch->bytes, batch->used, 0) < 0) die("send");
  while (acknowledged < batch->requests) {
    ssize_t got = recv(batch->socket, answer, sizeof answer, 0);
    if (got < 0) die("recv");
    int left = (int)got;
    for (struct nlmsghdr *m = (struct nlmsghdr *)answer; NLMSG_OK(m, (unsigned)left); m = NLMSG_NEXT(m, left)) {
      if (m->nlmsg_type == NLMSG_ERROR) {
        struct nlmsgerr *error = NLMSG_DATA(m);
        acknowledged++;
        if (error->error == 0) continue;
        errno = -error->error;
        fprintf(stderr, "request %u (type %u)\n", m->nlmsg_seq, error->msg.nlmsg_type);
        die("kernel");
      }
      if (m->nlmsg_type == RTM_NEWLINK && found != NULL) {
        struct ifinfomsg *link = NLMSG_DATA(m);
        int bytes = (int)IFLA_PAYLOAD(m);
        found[0] = link->ifi_index;
        for (struct rtattr *a = IFLA_RTA(link); RTA_OK(a, bytes); a = RTA_NEXT(a, bytes))
          if (a->rta_type == IFLA_LINK) memcpy(&found[1], RTA_DATA(a), sizeof found[1]);
      }
    }
  }
  batch->used = batch->requests = 0;
  batch->open = NULL;
}
