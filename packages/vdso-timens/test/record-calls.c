// Records what the running kernel makes of time namespaces in system calls. Needs root and CONFIG_TIME_NS, a new process per scenario.
//
//     gcc -O1 -pthread -o /tmp/record-calls test/record-calls.c && /tmp/record-calls > test/data/calls-6.18.json
//
// For another kernel link it statically and run it by the init of an initramfs, on a serial console.
//
// A scenario is a list of answers in the order of its steps. A namespace is "root" or a letter, in the order in which they are seen; a pair is
// "time/time_for_children". A call is "ok" or its errno.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// What processes of a scenario share: its answers, and names of namespaces.
struct shared {
  char out[8192];
  unsigned long known[16];
  int count;
} * shared;

static int out_fd;

static void say(const char *format, ...) {
  va_list args;
  va_start(args, format);
  char text[256];
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  if (shared->out[0]) strcat(shared->out, ", ");
  strcat(shared->out, "\"");
  strcat(shared->out, text);
  strcat(shared->out, "\"");
}

static const char *answer(long result) {
  return result >= 0 ? "ok" : strerrorname_np(errno);
}

#define ROOT 4026531834UL

static const char *name_of(unsigned long inode) {
  static char names[16][2];
  if (inode == ROOT) return "root";
  int k = 0;
  while (k < shared->count && shared->known[k] != inode) k++;
  if (k == shared->count) shared->known[shared->count++] = inode;
  names[k][0] = 'a' + k;
  return names[k];
}

static const char *namespace_of(const char *task, const char *which) {
  char path[64], link[64] = "";
  snprintf(path, sizeof path, "/proc/%s/ns/%s", task, which);
  if (readlink(path, link, sizeof link - 1) < 0) return strerrorname_np(errno);
  return name_of(strtoul(link + strlen("time:["), NULL, 10));
}

static void say_pair_of(const char *task) {
  const char *time = namespace_of(task, "time");
  say("%s/%s", time, namespace_of(task, "time_for_children"));
}

// Of the calling thread.
static void say_pair(void) {
  say_pair_of("thread-self");
}

static const char *write_to(const char *task, const char *text) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%s/timens_offsets", task);
  int fd = open(path, O_WRONLY);
  if (fd < 0) return strerrorname_np(errno);
  const char *result = answer(write(fd, text, strlen(text)));
  close(fd);
  return result;
}

static int ns_fd(const char *which) {
  char path[64];
  snprintf(path, sizeof path, "/proc/thread-self/ns/%s", which);
  return open(path, O_RDONLY);
}

static void reap(pid_t pid) {
  waitpid(pid, NULL, __WALL);
}

static pid_t clone3(uint64_t flags) {
  struct clone_args args = {.flags = flags, .exit_signal = SIGCHLD};
  return syscall(SYS_clone3, &args, sizeof args);
}

// With memory of the parent: the stack is the child's own.
static pid_t clone_vm(int (*body)(void *)) {
  static char stack[65536] __attribute__((aligned(16)));
  pid_t pid = clone(body, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
  if (pid < 0) say(answer(pid));
  return pid;
}

static void say_child(void) {
  pid_t pid = fork();
  if (pid == 0) {
    say_pair();
    _exit(0);
  }
  reap(pid);
}

static void *say_thread(void *unused) {
  say_pair();
  return unused;
}

static void in_thread(void *(*body)(void *)) {
  pthread_t thread;
  int error = pthread_create(&thread, NULL, body, NULL);
  if (error != 0) return say(strerrorname_np(error));
  pthread_join(thread, NULL);
}

static int exec_self(void *unused) {
  say_pair();
  char fd[16];
  snprintf(fd, sizeof fd, "%d", out_fd);
  execl("/proc/self/exe", "record-calls", fd, NULL);
  _exit(1);
}

static void scenario_unshare(void) {
  say_pair();
  say(answer(unshare(CLONE_NEWTIME)));
  say_pair();
  say_child();
  say_pair();
}

static void scenario_unshare_twice(void) {
  say(answer(unshare(CLONE_NEWTIME)));
  say(write_to("self", "monotonic 5 6\n"));
  say(answer(unshare(CLONE_NEWTIME)));
  say_pair();
  say(write_to("self", "boottime 7 8\n"));
  char text[128] = "";
  int fd = open("/proc/self/timens_offsets", O_RDONLY);
  if (read(fd, text, sizeof text - 1) < 0) return;
  for (char *c = text; *c; c++) if (*c == '\n') *c = '|';
  say("%s", text);
}

static void scenario_clone3(void) {
  pid_t pid = clone3(CLONE_NEWTIME);
  if (pid == 0) {
    say_pair();
    say(write_to("self", "monotonic 5 6\n"));
    _exit(0);
  }
  reap(pid);
  say_pair();
}

static void scenario_clone_legacy(void) {
  pid_t pid = syscall(SYS_clone, CLONE_NEWTIME | SIGCHLD, 0, 0, 0, 0);
  if (pid == 0) {
    say_pair();
    _exit(0);
  }
  reap(pid);
}

static void scenario_clone3_flags(void) {
  for (int bit = 0; bit < 8; bit++) {
    if ((1 << bit) == CLONE_NEWTIME) continue;
    say(answer(clone3(1 << bit)));
  }
  say(answer(clone3(0x00400000)));
  say(answer(clone3(CLONE_NEWTIME | 0x11)));
}

static int say_pair_and_exit(void *unused) {
  say_pair();
  _exit(0);
}

static void scenario_vfork_exec(void) {
  say(answer(unshare(CLONE_NEWTIME)));
  reap(clone_vm(exec_self));
  say_pair();
}

static void scenario_clone_vm(void) {
  say(answer(unshare(CLONE_NEWTIME)));
  reap(clone_vm(say_pair_and_exit));
}

static void scenario_exec(void) {
  say(answer(unshare(CLONE_NEWTIME)));
  exec_self(NULL);
}

static void scenario_exec_in_namespace(void) {
  say(answer(unshare(CLONE_NEWTIME)));
  pid_t pid = fork();
  if (pid == 0) exec_self(NULL);
  reap(pid);
}

static void *thread_unshares(void *unused) {
  say(answer(unshare(CLONE_NEWTIME)));
  say_pair();
  say_child();
  return unused;
}

static void scenario_thread(void) {
  say(answer(unshare(CLONE_NEWTIME)));
  in_thread(say_thread);
}

static void scenario_unshare_in_thread(void) {
  in_thread(thread_unshares);
  say_pair();
}

static int join_fd;

static void *thread_setns(void *unused) {
  say(answer(setns(join_fd, CLONE_NEWTIME)));
  return unused;
}

static int vfork_setns(void *unused) {
  say(answer(setns(join_fd, CLONE_NEWTIME)));
  _exit(0);
}

static void scenario_setns_threads(void) {
  join_fd = ns_fd("time");
  in_thread(thread_setns);
  reap(clone_vm(vfork_setns));
  say(answer(setns(join_fd, CLONE_NEWTIME)));
}

static void scenario_setns_flags(void) {
  say(answer(unshare(CLONE_NEWTIME)));
  int fd = ns_fd("time_for_children");
  say(answer(setns(fd, CLONE_NEWUTS)));
  say(answer(setns(fd, CLONE_NEWTIME | CLONE_NEWUTS)));
  say_pair();
  say(answer(setns(fd, 0)));
  say_pair();
}

static void scenario_setns_freezes(void) {
  int root = ns_fd("time");
  say(answer(unshare(CLONE_NEWTIME)));
  int fd = ns_fd("time_for_children");
  say(write_to("self", "monotonic 5 6\n"));
  say(answer(setns(fd, CLONE_NEWTIME)));
  say_pair();
  say(write_to("self", "monotonic 7 8\n"));
  say(answer(setns(root, CLONE_NEWTIME)));
  say_pair();
  say(write_to("self", "monotonic 7 8\n"));
}

static void scenario_setns_pidfd(void) {
  say(answer(unshare(CLONE_NEWTIME)));
  say_pair();
  pid_t pid = fork();
  if (pid == 0) {
    // For its children another: not the one that is joined by its pidfd.
    unshare(CLONE_NEWTIME);
    say_pair();
    pause();
  }
  while (shared->count < 2) sched_yield();
  int fd = syscall(SYS_pidfd_open, pid, 0);
  say(answer(setns(fd, 0)));
  say(answer(setns(fd, CLONE_NEWTIME | CLONE_VM)));
  say(answer(setns(fd, CLONE_NEWTIME)));
  say_pair();
  kill(pid, SIGKILL);
  reap(pid);
  say(answer(setns(fd, CLONE_NEWTIME)));
}

static void scenario_other_task(void) {
  char task[16];
  pid_t pid = fork();
  if (pid == 0) {
    unshare(CLONE_NEWTIME);
    say_pair();
    pause();
  }
  snprintf(task, sizeof task, "%d", pid);
  while (shared->count < 1) sched_yield();
  say(write_to(task, "monotonic 5 6\n"));
  say_pair();
  char path[64];
  snprintf(path, sizeof path, "/proc/%s/timens_offsets", task);
  int fd = open(path, O_RDWR);
  kill(pid, SIGKILL);
  siginfo_t info;
  waitid(P_PID, pid, &info, WEXITED | WNOWAIT);
  // A zombie: it has no namespaces any more.
  say(answer(write(fd, "monotonic 5 6\n", 14)));
  char text[128];
  say("%zd", read(fd, text, sizeof text));
  say_pair_of(task);
  reap(pid);
  say(answer(write(fd, "monotonic 5 6\n", 14)));
  say(answer(write(fd, "monotonic 5\n", 12)));
}

static void drop_privileges(void) {
  if (setgid(65534) != 0 || setuid(65534) != 0) abort();
}

static void scenario_unprivileged(void) {
  int root = ns_fd("time");
  drop_privileges();
  say(answer(unshare(CLONE_NEWTIME)));
  say(answer(clone3(CLONE_NEWTIME)));
  say(answer(setns(root, CLONE_NEWTIME)));
  say_pair();
  say(answer(unshare(CLONE_NEWUSER | CLONE_NEWTIME)));
  say_pair();
  say(answer(setns(root, CLONE_NEWTIME)));
  int fd = ns_fd("time_for_children");
  int user = ioctl(fd, NS_GET_USERNS);
  struct stat owner, own;
  fstat(user, &owner);
  stat("/proc/self/ns/user", &own);
  say(owner.st_ino == own.st_ino ? "owner" : "not the owner");
  say("%x", ioctl(fd, NS_GET_NSTYPE));
  say(answer(ioctl(fd, NS_GET_PARENT)));
  say(answer(ioctl(root, NS_GET_USERNS)));
  say(answer(setns(fd, CLONE_NEWTIME)));
  say_pair();
}

static void put(const char *path, const char *text) {
  int fd = open(path, O_WRONLY);
  if (write(fd, text, strlen(text)) < 0) say("%s: %s", path, answer(-1));
  close(fd);
}

static void scenario_limits(void) {
  say(answer(unshare(CLONE_NEWUSER)));
  put("/proc/self/uid_map", "0 0 1\n");
  put("/proc/self/setgroups", "deny\n");
  put("/proc/self/gid_map", "0 0 1\n");
  put("/proc/sys/user/max_time_namespaces", "2\n");
  say(answer(unshare(CLONE_NEWTIME)));
  int first = ns_fd("time_for_children");
  say(answer(unshare(CLONE_NEWTIME)));
  say(answer(unshare(CLONE_NEWTIME)));
  say_pair();
  close(first);
  say(answer(unshare(CLONE_NEWTIME)));
  // Now there is one. Those of a user namespace below count here too.
  say(answer(unshare(CLONE_NEWUSER)));
  first = ns_fd("time_for_children");
  say(answer(unshare(CLONE_NEWTIME)));
  say(answer(unshare(CLONE_NEWTIME)));
}

#define SCENARIO(name) {#name, scenario_##name}
static const struct {
  const char *name;
  void (*run)(void);
} scenarios[] = {
  SCENARIO(unshare), SCENARIO(unshare_twice), SCENARIO(clone3), SCENARIO(clone_legacy), SCENARIO(clone3_flags), SCENARIO(vfork_exec),
  SCENARIO(clone_vm), SCENARIO(exec), SCENARIO(exec_in_namespace), SCENARIO(thread), SCENARIO(unshare_in_thread), SCENARIO(setns_threads),
  SCENARIO(setns_flags), SCENARIO(setns_freezes), SCENARIO(setns_pidfd), SCENARIO(other_task), SCENARIO(unprivileged), SCENARIO(limits),
};

int main(int argc, char **argv) {
  // The answers are in a file, so that they outlive an execve.
  out_fd = argc > 1 ? atoi(argv[1]) : memfd_create("answers", 0);
  if (argc == 1 && ftruncate(out_fd, sizeof *shared) != 0) return 1;
  shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, out_fd, 0);
  if (argc > 1) {
    say_pair();
    return 0;
  }
  printf("{");
  for (unsigned k = 0; k < sizeof scenarios / sizeof *scenarios; k++) {
    memset(shared, 0, sizeof *shared);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
      scenarios[k].run();
      _exit(0);
    }
    reap(pid);
    printf("%s\n  \"%s\": [%s]", k == 0 ? "" : ",", scenarios[k].name, shared->out);
  }
  printf("\n}\n");
}
