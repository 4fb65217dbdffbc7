// Records what the running kernel allows with the mappings of the vDSO, and of which pages an access is a SIGBUS. A new process per case.
//
//     gcc -O1 -o /tmp/record-mappings test/record-mappings.c && /tmp/record-mappings > test/data/mappings-6.18.json
//
// For another kernel link it statically and run it by the init of an initramfs, on a serial console.
//
// A case is a call, its mapping, the first page and pages of it, two more arguments, and "ok" or the errno.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096L

static char *base;
static int pages;

static void find(const char *name) {
  FILE *maps = fopen("/proc/self/maps", "r");
  char line[512];
  base = NULL;
  while (fgets(line, sizeof line, maps)) {
    unsigned long start, end;
    if (strstr(line, name) == NULL || sscanf(line, "%lx-%lx", &start, &end) != 2) continue;
    base = (char *)start;
    pages = (end - start) / PAGE;
  }
  fclose(maps);
}

static const char *answer(long result) {
  return result != -1 ? "ok" : strerrorname_np(errno);
}

struct test {
  const char *call;
  int page, pages;
  long a, b;
};

static const char *run(const struct test *t) {
  char *at = base + t->page * PAGE;
  long length = t->pages * PAGE;
  char byte = 0;
  // Libraries call the vDSO: system calls only from here.
  if (strcmp(t->call, "munmap") == 0) return answer(syscall(SYS_munmap, at, length));
  if (strcmp(t->call, "mprotect") == 0) return answer(syscall(SYS_mprotect, at, length, t->a));
  if (strcmp(t->call, "madvise") == 0) return answer(syscall(SYS_madvise, at, length, t->a));
  if (strcmp(t->call, "mlock") == 0) return answer(syscall(SYS_mlock, at, length));
  if (strcmp(t->call, "mremap") == 0) {
    // Where nothing is.
    char *to = mmap(NULL, 64 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(to, 64 * PAGE);
    return answer(syscall(SYS_mremap, at, length, t->a * PAGE, t->b, to));
  }
  if (strcmp(t->call, "process_vm_readv") == 0) {
    struct iovec local = {&byte, 1}, remote = {at, 1};
    return answer(process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
  }
  if (strcmp(t->call, "process_vm_writev") == 0) {
    struct iovec local = {&byte, 1}, remote = {at, 1};
    return answer(process_vm_writev(getpid(), &local, 1, &remote, 1, 0));
  }
  if (strcmp(t->call, "read mem") == 0) return answer(pread(open("/proc/self/mem", O_RDONLY), &byte, 1, (off_t)at));
  if (strcmp(t->call, "write mem") == 0) return answer(pwrite(open("/proc/self/mem", O_RDWR), &byte, 1, (off_t)at));
  if (strcmp(t->call, "write(2) from") == 0) {
    int ends[2];
    if (pipe(ends) != 0) return "pipe";
    return answer(write(ends[1], at, 1));
  }
  return "?";
}

static const char *const names[] = {"[vvar]", "[vvar_vclock]", "[vdso]"};
static int first;

static void record(const char *name, const struct test *t) {
  int result[2];
  if (pipe(result) != 0) exit(1);
  if (fork() == 0) {
    find(name);
    const char *text = run(t);
    if (write(result[1], text, strlen(text)) < 0) _exit(1);
    _exit(0);
  }
  close(result[1]);
  char text[32] = "";
  if (read(result[0], text, sizeof text - 1) < 0) exit(1);
  close(result[0]);
  wait(NULL);
  printf("%s\n    { \"call\": \"%s\", \"mapping\": \"%s\", \"page\": %d, \"pages\": %d, \"arguments\": [%ld, %ld], \"answer\": \"%s\" }", first ? "" : ",", t->call,
         name, t->page, t->pages, t->a, t->b, text);
  first = 0;
}

static const char *touch(int page) {
  pid_t pid = fork();
  if (pid == 0) {
    syscall(SYS_exit_group, *(volatile char *)(base + page * PAGE) & 0);
  }
  int status;
  waitpid(pid, &status, 0);
  return WIFSIGNALED(status) ? sigabbrev_np(WTERMSIG(status)) : "ok";
}

static void touch_all(const char *name) {
  find(name);
  if (base == NULL) return;
  printf("%s\n    \"%s\": [", first ? "" : ",", name);
  first = 0;
  for (int k = 0; k < pages; k++) printf("%s\"%s\"", k == 0 ? "" : ", ", touch(k));
  printf("]");
  fflush(stdout);
}

static void faults(const char *label) {
  printf("  \"%s\": {", label);
  fflush(stdout);
  first = 1;
  for (int k = 0; k < 3; k++) touch_all(names[k]);
  printf("\n  },\n");
  fflush(stdout);
}

static void flags(const char *name) {
  FILE *smaps = fopen("/proc/self/smaps", "r");
  char line[512];
  int found = 0;
  while (fgets(line, sizeof line, smaps)) {
    if (strstr(line, name) != NULL) found = 1;
    if (!found || strncmp(line, "VmFlags: ", 9) != 0) continue;
    line[strcspn(line, "\n")] = 0;
    printf("%s\n    \"%s\": \"%s\"", first ? "" : ",", name, line + 9);
    first = 0;
    break;
  }
  fclose(smaps);
}

int main(void) {
  printf("{\n");
  faults("root");
  if (unshare(CLONE_NEWTIME) == 0) {
    fflush(stdout);
    if (fork() == 0) {
      faults("namespace");
      _exit(0);
    }
    wait(NULL);
  }
  printf("  \"flags\": {");
  first = 1;
  for (int k = 0; k < 3; k++) flags(names[k]);
  printf("\n  },\n  \"calls\": [");
  fflush(stdout);
  first = 1;
  for (int k = 0; k < 3; k++) {
    find(names[k]);
    if (base == NULL) continue;
    int all = pages;
    const struct test tests[] = {
      {"munmap", 0, 1}, {"munmap", 1, all - 1}, {"munmap", 0, all},
      {"mprotect", 0, 1, PROT_READ}, {"mprotect", 0, 1, PROT_NONE}, {"mprotect", 0, 1, PROT_READ | PROT_WRITE}, {"mprotect", 0, 1, PROT_READ | PROT_EXEC},
      {"mprotect", 0, all, PROT_NONE}, {"mprotect", 0, all, PROT_READ}, {"mprotect", 0, all, PROT_WRITE}, {"mprotect", 0, all, PROT_READ | PROT_WRITE},
      {"mprotect", 0, all, PROT_READ | PROT_EXEC}, {"mprotect", 0, all, PROT_READ | PROT_WRITE | PROT_EXEC},
      {"mremap", 0, all, all, MREMAP_MAYMOVE | MREMAP_FIXED}, {"mremap", 0, all, all, MREMAP_MAYMOVE}, {"mremap", 0, all, all, 0},
      {"mremap", 0, 1, 1, MREMAP_MAYMOVE | MREMAP_FIXED}, {"mremap", 1, all - 1, all - 1, MREMAP_MAYMOVE | MREMAP_FIXED},
      {"mremap", 0, all, all + 1, MREMAP_MAYMOVE}, {"mremap", 0, all, all + 1, MREMAP_MAYMOVE | MREMAP_FIXED}, {"mremap", 0, all, all + 1, 0},
      {"mremap", 0, 1, 2, MREMAP_MAYMOVE}, {"mremap", 0, all, all - 1, 0}, {"mremap", 0, all, all - 1, MREMAP_MAYMOVE | MREMAP_FIXED},
      {"mremap", 0, 0, all, MREMAP_MAYMOVE}, {"mremap", 0, all, all, MREMAP_MAYMOVE | MREMAP_DONTUNMAP}, {"mremap", 0, 1, 1, 0},
      {"mlock", 0, all}, {"mlock", 0, 1}, {"process_vm_readv", 0, 1}, {"process_vm_writev", 0, 1}, {"read mem", 0, 1}, {"write mem", 0, 1}, {"write(2) from", 0, 1},
    };
    for (unsigned i = 0; i < sizeof tests / sizeof *tests; i++) record(names[k], &tests[i]), fflush(stdout);
    for (int advice = 0; advice <= 26; advice++) {
      const struct test whole = {"madvise", 0, all, advice}, part = {"madvise", 0, 1, advice};
      record(names[k], &whole), fflush(stdout);
      record(names[k], &part), fflush(stdout);
    }
  }
  printf("\n  ]\n}\n");
}
