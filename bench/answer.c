/*
 * An agent that knows one answer: what remains of a plugin call when the agent costs nothing is the shim itself.
 *
 *     answer SOCKET    listens there until it is killed, and answers every request with success and an empty body
 *
 * The frame is that of plugin/frame.ts.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { REQUEST_HEADER_BYTES = 16, MAX_REQUEST_BYTES = 128 * 1024 };

static unsigned char request[MAX_REQUEST_BYTES];
static const unsigned char success[12] = {'B', 'R', 'M', '1'};

static uint32_t number_at(size_t offset) {
  uint32_t number;
  memcpy(&number, request + offset, sizeof number);
  return ntohl(number);
}

/* Reads up to the end of the request that the header announces. */
static int read_request(int client) {
  size_t have = 0, want = REQUEST_HEADER_BYTES;
  while (have < want) {
    ssize_t got = read(client, request + have, sizeof request - have);
    if (got <= 0) return -1;
    have += (size_t)got;
    if (have >= REQUEST_HEADER_BYTES) want = REQUEST_HEADER_BYTES + (size_t)number_at(8) + number_at(12);
    if (want > sizeof request) return -1;
  }
  return 0;
}

int main(int argc, char **argv) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (argc != 2 || strlen(argv[1]) >= sizeof address.sun_path) {
    fprintf(stderr, "usage: answer SOCKET\n");
    return 2;
  }
  memcpy(address.sun_path, argv[1], strlen(argv[1]) + 1);
  int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 64) < 0) {
    perror("answer");
    return 1;
  }
  for (;;) {
    int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (client < 0) continue;
    if (read_request(client) == 0 && write(client, success, sizeof success) < 0) perror("answer: write");
    close(client);
  }
}
