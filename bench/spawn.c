/*
 * Runs programs as a container runtime runs CNI plugins, and measures each from the outside: from just before the
 * process is made to the moment its end is known. Starting a process from here costs some 0.1 ms; from Node, 1-2 ms.
 *
 *     spawn AT_ONCE PAUSE_US < jobs > times
 *
 * A job is one line, its fields parted by tabs:    NODE  STDIN  OUTPUT  PROGRAM  [KEY=VALUE ...]
 * NODE is the network namespace the program starts in ("-": this one), OUTPUT the file for its stdout and stderr.
 * One line per job in the order given:    EXIT_CODE  MICROSECONDS
 * The last line is the whole:             wall  MICROSECONDS
 * PAUSE_US is slept before each job, outside its time, so that what a program leaves to the kernel (or to an agent)
 * to finish later is not charged to the next one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_JOBS = 8192, MAX_ENV = 32 };

struct job {
  char *node, *input, *output, *program;
  char *env[MAX_ENV + 1];
  pid_t pid;
  int exit_code;
  long long started_ns, took_ns;
};

static struct job jobs[MAX_JOBS];

static void die(const char *what) {
  fprintf(stderr, "spawn: %s: %s\n", what, strerror(errno));
  exit(1);
}

static long long now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static int open_or_die(const char *path, int flags) {
  int fd = open(path, flags | O_CLOEXEC, 0600);
  if (fd < 0) die(path);
  return fd;
}

static int read_jobs(void) {
  char *line = NULL;
  size_t capacity = 0;
  int count = 0;
  while (getline(&line, &capacity, stdin) > 0) {
    if (count == MAX_JOBS) errno = E2BIG, die("jobs");
    struct job *job = &jobs[count++];
    char *rest = strdup(line);
    if (rest == NULL) die("memory");
    rest[strcspn(rest, "\n")] = '\0';
    job->node = strsep(&rest, "\t");
    job->input = strsep(&rest, "\t");
    job->output = strsep(&rest, "\t");
    job->program = strsep(&rest, "\t");
    if (job->program == NULL) errno = EINVAL, die("job with fewer than four fields");
    for (int i = 0; rest != NULL && i < MAX_ENV; i++) job->env[i] = strsep(&rest, "\t");
    if (rest != NULL) errno = E2BIG, die("environment");
  }
  free(line);
  return count;
}

/* The namespace the next program starts in is this process's own at that moment. */
static void enter_node(const char *node) {
  static char current[256] = "-";
  static int home = -1;
  if (home < 0) home = open_or_die("/proc/self/ns/net", O_RDONLY);
  if (strcmp(node, current) == 0) return;
  int fd = strcmp(node, "-") == 0 ? home : open_or_die(node, O_RDONLY);
  if (setns(fd, CLONE_NEWNET) < 0) die(node);
  if (fd != home) close(fd);
  snprintf(current, sizeof current, "%s", node);
}

static void start(struct job *job) {
  char *argv[] = {job->program, NULL};
  posix_spawn_file_actions_t files;
  enter_node(job->node);
  int input = open_or_die(job->input, O_RDONLY);
  int output = open_or_die(job->output, O_WRONLY | O_CREAT | O_TRUNC);
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, input, 0);
  posix_spawn_file_actions_adddup2(&files, output, 1);
  posix_spawn_file_actions_adddup2(&files, output, 2);
  job->started_ns = now_ns();
  errno = posix_spawn(&job->pid, job->program, &files, NULL, argv, job->env);
  if (errno != 0) die(job->program);
  posix_spawn_file_actions_destroy(&files);
  close(input);
  close(output);
}

static void reap_one(int started) {
  int status;
  pid_t pid = waitpid(-1, &status, 0);
  long long ended_ns = now_ns();
  if (pid < 0) die("waitpid");
  for (int i = 0; i < started; i++) {
    if (jobs[i].pid != pid) continue;
    jobs[i].pid = 0;
    jobs[i].took_ns = ended_ns - jobs[i].started_ns;
    jobs[i].exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: spawn AT_ONCE PAUSE_US < jobs\n");
    return 2;
  }
  int at_once = atoi(argv[1]);
  long pause_us = atol(argv[2]);
  struct timespec pause = {pause_us / 1000000, pause_us % 1000000 * 1000};
  int count = read_jobs(), started = 0, running = 0;
  long long began_ns = now_ns();
  while (started < count || running > 0) {
    if (started < count && running < at_once) {
      if (pause_us > 0) nanosleep(&pause, NULL);
      start(&jobs[started++]);
      running++;
    } else {
      reap_one(started);
      running--;
    }
  }
  long long wall_ns = now_ns() - began_ns;
  for (int i = 0; i < count; i++) printf("%d\t%.1f\n", jobs[i].exit_code, (double)jobs[i].took_ns / 1000);
  printf("wall\t%.1f\n", (double)wall_ns / 1000);
  return 0;
}
