/*
 * bramble: the CNI plugin. A container runtime starts it once for every call, hands it CNI_* variables and a network
 * configuration on stdin, and reads one JSON document from its stdout.
 *
 * All decisions are the agent's: this program carries the call to the agent's socket and the answer back, and does not
 * look inside either. It speaks for itself only where no agent can: VERSION, the agent's absence, and a DEL that must
 * end well even then. The specification: https://github.com/containernetworking/cni/blob/spec-v1.1.0/SPEC.md
 */
#define _GNU_SOURCE /* environ, O_DIRECTORY, SOCK_CLOEXEC */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#ifndef BRAMBLE_VERSION
#define BRAMBLE_VERSION "dev"
#endif
#ifndef SECOND_MS
#define SECOND_MS 1000 /* tests build with a shorter second, and so see every deadline pass */
#endif
#define CNI_VERSION "1.1.0"
#define RETRY_MS 25
#define PRINT_MS (5 * SECOND_MS)
#define SECOND_TRY_MS (3 * SECOND_MS)

/* The frame. plugin/frame.ts draws its layout and holds the same numbers. */
#define MAGIC "BRM1"
enum {
  MAGIC_BYTES = 4,
  REQUEST_HEADER_BYTES = 16,
  ANSWER_HEADER_BYTES = 12,
  KIND_CNI = 1,
  MAX_ENV_BYTES = 64 * 1024,
  MAX_BODY_BYTES = 1024 * 1024,
  MAX_ANSWER_BYTES = 16 * 1024 * 1024,
};

/* The specification's error codes, section "Error". */
enum { BAD_ENVIRONMENT = 4, IO_FAILURE = 5, CANNOT_DECODE = 6, TRY_AGAIN_LATER = 11, NOT_AVAILABLE = 50 };

enum {
  MAX_CONTAINER_ID_BYTES = 128,
  MAX_IFNAME_BYTES = 15, /* IFNAMSIZ of linux/if.h without its NUL */
  MAX_NOTES = 4096,      /* they live on tmpfs, which is memory */
};

struct call {
  const char *command;
  int wait_ms;           /* how long an agent that is away is waited for: a restart takes it a second or two */
  int deadline_ms;       /* how long the call may take in all; kubelet gives up after two minutes */
  int code_without_agent;
  bool repeatable;       /* may be sent again to the next agent when the first one took it and died */
  bool always_ends_well;
};

static const struct call CALLS[] = {
  { "ADD", 10 * SECOND_MS, 60 * SECOND_MS, TRY_AGAIN_LATER, false, false },
  { "DEL", 3 * SECOND_MS, 20 * SECOND_MS, TRY_AGAIN_LATER, true, true },
  { "CHECK", 10 * SECOND_MS, 60 * SECOND_MS, TRY_AGAIN_LATER, true, false },
  { "GC", 10 * SECOND_MS, 60 * SECOND_MS, TRY_AGAIN_LATER, true, false },
  { "STATUS", SECOND_MS / 2, SECOND_MS / 10 * 9, NOT_AVAILABLE, true, false }, /* containerd holds a lock meanwhile */
};

enum outcome {
  ANSWERED,
  AWAY,    /* no agent took the call: worth waiting for */
  REFUSED, /* the socket cannot be reached, and waiting will not help */
  LOST,    /* the agent took the call and was gone before it had answered */
  SILENT,  /* the agent took the call and did not answer in time */
  GARBLED, /* the answer is none of our frame */
};

/* One process, one call: these are its buffers, and all the memory it ever asks for but a folder's listing. */
static unsigned char request[REQUEST_HEADER_BYTES + MAX_ENV_BYTES + MAX_BODY_BYTES + 1];
static size_t request_bytes = REQUEST_HEADER_BYTES;
static unsigned char answer[ANSWER_HEADER_BYTES + MAX_ANSWER_BYTES];
static struct sockaddr_un agent = { .sun_family = AF_UNIX, .sun_path = "/run/bramble/agent.sock" };
static char note[MAX_CONTAINER_ID_BYTES + sizeof ":" + MAX_IFNAME_BYTES];

static int introduce(void);
static const struct call *find_call(const char *command);
static void name_agent(void);
static void name_note(void);
static void pack_environment(void);
static void pack_stdin(int64_t deadline);
static enum outcome call_agent(const struct call *call, int64_t deadline);
static enum outcome exchange(int64_t deadline);
static enum outcome converse(int fd, int64_t deadline);
static int deliver_answer(void);
static int end_del_without_agent(void);
static const char *leave_note(DIR *folder);
static bool note_is_left(void);
static int explain(const struct call *call, enum outcome outcome);
static void fail(int code, const char *details, const char *message, ...)
    __attribute__((noreturn, format(printf, 3, 4)));
static bool print(int fd, const void *bytes, size_t count);
static short wait_for(int fd, short events, int64_t deadline);
static int64_t now_ms(void);
static void put32(unsigned char *at, uint32_t number);
static uint32_t get32(const unsigned char *at);

int main(void)
{
  static const char versions[] =
      "{\"cniVersion\":\"" CNI_VERSION "\",\"supportedVersions\":[\"0.3.1\",\"0.4.0\",\"1.0.0\",\"1.1.0\"]}\n";
  signal(SIGPIPE, SIG_IGN); /* a reader that left is an error like any other */

  const char *command = getenv("CNI_COMMAND");
  if (command == NULL || *command == '\0')
    return introduce();
  if (strcmp(command, "VERSION") == 0)
    return print(STDOUT_FILENO, versions, strlen(versions)) ? 0 : 1;

  const struct call *call = find_call(command);
  const int64_t deadline = now_ms() + call->deadline_ms;
  name_agent();
  if (call->always_ends_well)
    name_note();
  pack_environment();
  pack_stdin(deadline);

  enum outcome outcome = call_agent(call, deadline);
  if (outcome == ANSWERED)
    return deliver_answer();
  return call->always_ends_well ? end_del_without_agent() : explain(call, outcome);
}

static int introduce(void)
{
  static const char line[] = "CNI plugin bramble " BRAMBLE_VERSION ", speaks CNI 0.3.1, 0.4.0, 1.0.0, 1.1.0\n";
  print(STDERR_FILENO, line, strlen(line));
  return 0;
}

static const struct call *find_call(const char *command)
{
  for (size_t i = 0; i < sizeof CALLS / sizeof *CALLS; i++)
    if (strcmp(command, CALLS[i].command) == 0)
      return &CALLS[i];
  fail(BAD_ENVIRONMENT, "it must be ADD, DEL, CHECK, GC, STATUS or VERSION", "unknown CNI_COMMAND \"%.64s\"", command);
}

static void name_agent(void)
{
  const char *path = getenv("BRAMBLE_SOCKET");
  if (path == NULL || *path == '\0')
    return;
  if (*path != '/')
    fail(BAD_ENVIRONMENT, "name the agent's socket from the root, or unset the variable for /run/bramble/agent.sock",
         "BRAMBLE_SOCKET \"%.64s\" is not an absolute path", path);
  if (strlen(path) >= sizeof agent.sun_path)
    fail(BAD_ENVIRONMENT, "the kernel takes no longer path for a socket; choose a shorter one",
         "BRAMBLE_SOCKET of %zu bytes is too long: at most %zu", strlen(path), sizeof agent.sun_path - 1);
  strcpy(agent.sun_path, path);
}

/* A DEL that finds no agent leaves a file of this name. The name becomes part of a path, so it is checked first. */
static void name_note(void)
{
  static const char first[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_.-";
  const size_t alphanumerics = 62; /* how many of them an id may begin with */
  const char *id = getenv("CNI_CONTAINERID"), *ifname = getenv("CNI_IFNAME");

  bool id_ok = id != NULL && *id != '\0' && strlen(id) <= MAX_CONTAINER_ID_BYTES &&
               memchr(first, *id, alphanumerics) != NULL && id[strspn(id, first)] == '\0';
  bool ifname_ok = ifname != NULL && *ifname != '\0' && strlen(ifname) <= MAX_IFNAME_BYTES &&
                   strcmp(ifname, ".") != 0 && strcmp(ifname, "..") != 0;
  for (const char *c = ifname; ifname_ok && *c != '\0'; c++)
    ifname_ok = (unsigned char)*c > ' ' && *c != 0x7f && *c != '/' && *c != ':';

  if (!id_ok || !ifname_ok)
    fail(BAD_ENVIRONMENT,
         "CNI_CONTAINERID: a letter or digit, then letters, digits, '_', '.', '-', at most 128 in all; "
         "CNI_IFNAME: 1 to 15 characters, not \".\" or \"..\", no '/', ':', white space or control character",
         "%s%s%s missing or invalid", id_ok ? "" : "CNI_CONTAINERID", !id_ok && !ifname_ok ? " and " : "",
         ifname_ok ? "" : "CNI_IFNAME");
  snprintf(note, sizeof note, "%s:%s", id, ifname);
}

static void pack_environment(void)
{
  unsigned char *const start = request + REQUEST_HEADER_BYTES, *end = start;
  for (char **entry = environ; *entry != NULL; entry++) {
    const char *equals = strchr(*entry, '=');
    if (strncmp(*entry, "CNI_", 4) != 0 || equals == NULL)
      continue;
    /* Of a variable that is set twice getenv() reads the first: the agent must not see the second. */
    bool again = false;
    for (unsigned char *packed = start; packed < end && !again; packed += strlen((char *)packed) + 1)
      again = strncmp((char *)packed, *entry, (size_t)(equals - *entry) + 1) == 0;
    if (again)
      continue;
    const size_t bytes = strlen(*entry) + 1; /* with its NUL, which no value can contain */
    if (bytes > (size_t)(start + MAX_ENV_BYTES - end))
      fail(BAD_ENVIRONMENT, "all CNI_* variables together may weigh 65536 bytes; shorten this one or the others",
           "the environment variable %.*s is too long", (int)(equals - *entry < 64 ? equals - *entry : 64), *entry);
    memcpy(end, *entry, bytes);
    end += bytes;
  }
  memcpy(request, MAGIC, MAGIC_BYTES);
  put32(request + 4, KIND_CNI);
  put32(request + 8, (uint32_t)(end - start));
  request_bytes = (size_t)(end - request);
}

static void pack_stdin(int64_t deadline)
{
  const size_t start = request_bytes, limit = start + MAX_BODY_BYTES;
  for (;;) {
    if (wait_for(STDIN_FILENO, POLLIN, deadline) == 0)
      fail(IO_FAILURE, "the caller must close the plugin's stdin after the network configuration",
           "the network configuration on stdin does not end");
    /* One byte above the limit has room, so that a configuration too long shows itself. */
    const ssize_t bytes = read(STDIN_FILENO, request + request_bytes, limit + 1 - request_bytes);
    if (bytes == 0)
      break;
    if (bytes < 0 && errno != EINTR && errno != EAGAIN)
      fail(IO_FAILURE, "the network configuration is expected there", "cannot read stdin: %s", strerror(errno));
    if (bytes > 0)
      request_bytes += (size_t)bytes;
    if (request_bytes > limit)
      fail(CANNOT_DECODE, "is this a network configuration? check what the runtime sends",
           "the network configuration on stdin is longer than %d bytes", MAX_BODY_BYTES);
  }
  put32(request + 12, (uint32_t)(request_bytes - start));
}

static enum outcome call_agent(const struct call *call, int64_t deadline)
{
  /* Runtimes send a DEL twice. Where the first has left its note, all that waiting can do is done. */
  const int64_t patience = now_ms() + (call->always_ends_well && note_is_left() ? 0 : call->wait_ms);
  for (;;) {
    const enum outcome outcome = exchange(deadline);
    const bool again = outcome == AWAY || (outcome == LOST && call->repeatable);
    if (!again || now_ms() + RETRY_MS >= (patience < deadline ? patience : deadline))
      return outcome;
    poll(NULL, 0, RETRY_MS);
  }
}

/* One request, one answer, one connection. errno says more where the outcome is AWAY or REFUSED.
 * The connection is closed before anything is printed: with stdout closed by the caller it may well be descriptor 1. */
static enum outcome exchange(int64_t deadline)
{
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0)
    return REFUSED;
  enum outcome outcome;
  if (connect(fd, (struct sockaddr *)&agent, sizeof agent) == 0)
    outcome = converse(fd, deadline);
  else /* no socket, nobody listens, too many wait in line already */
    outcome = errno == ENOENT || errno == ECONNREFUSED || errno == EAGAIN ? AWAY : REFUSED;
  const int saved = errno;
  close(fd);
  errno = saved;
  return outcome;
}

/* Sends and listens at once: an agent that refuses a request may answer and close before it has read the whole. */
static enum outcome converse(int fd, int64_t deadline)
{
  size_t sent = 0, received = 0, wanted = ANSWER_HEADER_BYTES;
  bool deaf = false;
  while (received < wanted) {
    const bool sending = sent < request_bytes && !deaf;
    const short ready = wait_for(fd, sending ? POLLIN | POLLOUT : POLLIN, deadline);
    if (ready == 0)
      return SILENT;
    if (sending && (ready & POLLOUT)) {
      const ssize_t bytes = send(fd, request + sent, request_bytes - sent, MSG_NOSIGNAL);
      if (bytes > 0)
        sent += (size_t)bytes;
      else if (errno != EINTR && errno != EAGAIN)
        deaf = true;
    }
    if ((ready & ~POLLOUT) == 0)
      continue;
    const ssize_t bytes = read(fd, answer + received, wanted - received);
    if (bytes < 0 && (errno == EINTR || errno == EAGAIN))
      continue;
    if (bytes <= 0) {
      /* The agent acts on whole requests only. It has none if not all was sent, and none if it left some unread:
       * that is when the kernel says ECONNRESET instead of a plain end (unix_release_sock() in net/unix/af_unix.c). */
      const bool taken = received > 0 || (sent == request_bytes && bytes == 0);
      errno = ECONNRESET;
      return taken ? LOST : AWAY;
    }
    received += (size_t)bytes;
    if (memcmp(answer, MAGIC, received < MAGIC_BYTES ? received : MAGIC_BYTES) != 0)
      return GARBLED;
    if (received == ANSWER_HEADER_BYTES && wanted == ANSWER_HEADER_BYTES) {
      const uint32_t exit_code = get32(answer + 4), body_bytes = get32(answer + 8);
      if (exit_code > 255 || body_bytes > MAX_ANSWER_BYTES) /* exit(256) would read as success */
        return GARBLED;
      wanted += body_bytes;
    }
  }
  return ANSWERED;
}

static int deliver_answer(void)
{
  const bool printed = print(STDOUT_FILENO, answer + ANSWER_HEADER_BYTES, get32(answer + 8));
  return printed ? (int)get32(answer + 4) : 1;
}

/* A DEL always ends well: no absent agent keeps a pod from going. An empty file beside the socket, which no power cut
 * can tear, says what is left to do. The agent listens first and reads the notes second; so a note that came too late
 * for an agent just started is one whose DEL that agent hears by the second try. */
static int end_del_without_agent(void)
{
  char path[sizeof agent.sun_path + sizeof "/pending"], line[1024];
  const int parent_bytes = (int)(strrchr(agent.sun_path, '/') - agent.sun_path);
  snprintf(path, sizeof path, "%.*s", parent_bytes, agent.sun_path);
  mkdir(path, 0700); /* if one of the two cannot be made, open() will say why */
  snprintf(path, sizeof path, "%.*s/pending", parent_bytes, agent.sun_path);
  mkdir(path, 0700);
  const int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  DIR *folder = fd < 0 ? NULL : fdopendir(fd);
  const char *trouble = folder == NULL ? strerror(errno) : leave_note(folder);

  if (exchange(now_ms() + SECOND_TRY_MS) == ANSWERED) { /* an error, too: the caller hears it and will come again */
    if (folder != NULL)
      unlinkat(dirfd(folder), note, 0);
    return deliver_answer();
  }
  if (trouble == NULL)
    snprintf(line, sizeof line, "bramble: DEL %s: no answer from the agent on %s; %s/%s tells the next one\n", note,
             agent.sun_path, path, note);
  else
    snprintf(line, sizeof line,
             "bramble: DEL %s: no answer from the agent on %s, and no note left in %s: %s; "
             "the agent will find what remains by itself\n", note, agent.sun_path, path, trouble);
  print(STDERR_FILENO, line, strlen(line));
  return 0;
}

/* Returns NULL, or why there is no note. */
static const char *leave_note(DIR *folder)
{
  int notes = 0;
  for (struct dirent *entry; (entry = readdir(folder)) != NULL; notes += entry->d_name[0] != '.')
    if (strcmp(entry->d_name, note) == 0)
      return NULL;
  if (notes >= MAX_NOTES)
    return "it is full";
  const int fd = openat(dirfd(folder), note, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0)
    return strerror(errno);
  close(fd);
  return NULL;
}

static bool note_is_left(void)
{
  char path[sizeof agent.sun_path + sizeof "/pending/" + sizeof note];
  const int parent_bytes = (int)(strrchr(agent.sun_path, '/') - agent.sun_path);
  snprintf(path, sizeof path, "%.*s/pending/%s", parent_bytes, agent.sun_path, note);
  return access(path, F_OK) == 0;
}

static int explain(const struct call *call, enum outcome outcome)
{
  const int code = call->code_without_agent;
  if (outcome == SILENT)
    fail(code, "is bramble-agent stuck? try: journalctl -u bramble-agent",
         "the bramble agent took the %s and did not answer within %g s", call->command, call->deadline_ms / 1000.0);
  if (outcome == LOST)
    fail(code, "delete and try again; why it stopped: journalctl -u bramble-agent",
         "the bramble agent stopped while it worked on this %s", call->command);
  if (outcome == GARBLED)
    fail(IO_FAILURE, "do the versions of plugin and agent differ? install both from one release",
         "the answer on %s is not understood", agent.sun_path);
  fail(code, "is bramble-agent running? try: systemctl status bramble-agent, or kubectl -n kube-system get pods -o wide",
       "the bramble agent does not answer on %s: %s", agent.sun_path, strerror(errno));
}

/* Ends the call with the plugin's own error. Bytes that could make the JSON invalid become escapes or '?'. */
static void fail(int code, const char *details, const char *message, ...)
{
  char text[2][512], line[8192];
  va_list args;
  va_start(args, message);
  vsnprintf(text[0], sizeof text[0], message, args);
  va_end(args);
  snprintf(text[1], sizeof text[1], "%s", details);

  size_t end = (size_t)snprintf(line, sizeof line, "{\"cniVersion\":\"" CNI_VERSION "\",\"code\":%d,\"msg\":\"", code);
  for (int i = 0; i < 2; i++) {
    for (const char *c = text[i]; *c != '\0'; c++) {
      const unsigned char byte = (unsigned char)*c;
      const char *form = byte == '"' || byte == '\\' ? "\\%c" : byte < ' ' ? "\\u%04x" : byte < 0x7f ? "%c" : "?";
      end += (size_t)snprintf(line + end, sizeof line - end, form, byte);
    }
    end += (size_t)snprintf(line + end, sizeof line - end, i == 0 ? "\",\"details\":\"" : "\"}\n");
  }
  print(STDOUT_FILENO, line, end);
  exit(1);
}

/* Prints all of it, or returns false. In pieces that a writable pipe takes whole: a reader who stops reading must not
 * hold the plugin for ever. */
static bool print(int fd, const void *bytes, size_t count)
{
  const int64_t deadline = now_ms() + PRINT_MS;
  for (size_t done = 0; done < count;) {
    if (wait_for(fd, POLLOUT, deadline) == 0)
      return false;
    const size_t piece = count - done < 4096 ? count - done : 4096;
    const ssize_t written = write(fd, (const char *)bytes + done, piece);
    if (written > 0)
      done += (size_t)written;
    else if (errno != EINTR && errno != EAGAIN)
      return false;
  }
  return true;
}

/* What poll() reports, errors and hang-ups included (the read or write that follows names them), or 0 at the deadline. */
static short wait_for(int fd, short events, int64_t deadline)
{
  for (;;) {
    struct pollfd polled = { .fd = fd, .events = events };
    const int64_t left = deadline - now_ms();
    const int ready = poll(&polled, 1, left > 0 ? (int)left : 0);
    if (ready > 0)
      return polled.revents;
    if (left <= 0 || (ready < 0 && errno != EINTR))
      return 0;
  }
}

/* Monotonic: a board without a clock battery may jump by years while a pod starts. */
static int64_t now_ms(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void put32(unsigned char *at, uint32_t number)
{
  for (int i = 0; i < 4; i++)
    at[i] = (unsigned char)(number >> (24 - 8 * i));
}

static uint32_t get32(const unsigned char *at)
{
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}
