// Latency of introspection commands, and the floor under it: a tool that measures, and a machine that does nothing but answer.
//   latency client PATH ROUNDS   listens, shakes hands, prints median and 99th percentile in ns of three commands
//   latency server PATH          connects and answers them with zeros, as fast as a blocking socket allows
// Frames as in the libkvmi dialect: u16 id, u16 size, u32 seq; replies start with s32 err, u32 0.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

struct header {
  uint16_t id, size;
  uint32_t seq;
};

static void all(int fd, void *data, size_t size, int sending) {
  for (char *at = data; size > 0;) {
    ssize_t n = sending ? write(fd, at, size) : read(fd, at, size);
    if (n <= 0) exit(sending ? 1 : 0);
    at += n;
    size -= n;
  }
}

static struct sockaddr_un address(const char *path) {
  struct sockaddr_un sa = {.sun_family = AF_UNIX};
  snprintf(sa.sun_path, sizeof sa.sun_path, "%s", path);
  return sa;
}

static void serve(const char *path) {
  struct sockaddr_un sa = address(path);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  while (connect(fd, (struct sockaddr *)&sa, sizeof sa) != 0) usleep(1000);
  static char buffer[16384];
  uint32_t greeting[24] = {96};
  all(fd, greeting, 96, 1);
  all(fd, buffer, 24, 0);
  for (;;) {
    struct header h;
    all(fd, &h, sizeof h, 0);
    all(fd, buffer, h.size, 0);
    // GET_INFO, READ_PHYSICAL of a page, GET_REGISTERS with three MSRs.
    size_t data = h.id == 5 ? 16 : h.id == 17 ? 4096 : h.id == 13 ? 472 + 48 : 0;
    static char reply[16 + 8192];
    memset(reply, 0, 16 + data);
    *(struct header *)reply = (struct header){h.id, (uint16_t)(8 + data), h.seq};
    all(fd, reply, 16 + data, 1);
  }
}

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static int compare(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

static void measure(int fd, const char *name, uint16_t id, const void *payload, uint16_t size, int rounds,
                    int print) {
  static uint32_t seq;
  static char message[64], reply[16384];
  int64_t *ns = malloc(rounds * sizeof *ns);
  for (int k = 0; k < rounds; k++) {
    *(struct header *)message = (struct header){id, size, ++seq};
    memcpy(message + 8, payload, size);
    int64_t began = now();
    all(fd, message, 8 + size, 1);
    struct header h;
    all(fd, &h, sizeof h, 0);
    all(fd, reply, h.size, 0);
    ns[k] = now() - began;
    if (h.seq != seq || *(int32_t *)reply != 0) exit(2);
  }
  qsort(ns, rounds, sizeof *ns, compare);
  if (print) printf("%s %lld %lld\n", name, (long long)ns[rounds / 2], (long long)ns[rounds * 99 / 100]);
  fflush(stdout);
  free(ns);
}

static int client(const char *path, int rounds) {
  struct sockaddr_un sa = address(path);
  unlink(path);
  int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  if (bind(listener, (struct sockaddr *)&sa, sizeof sa) != 0 || listen(listener, 1) != 0) return 1;
  int fd = accept(listener, 0, 0);
  static char greeting[96];
  all(fd, greeting, 96, 0);
  uint32_t answer[6] = {24};
  all(fd, answer, 24, 1);
  uint64_t page[2] = {0x1000, 4096};
  struct {
    uint32_t vcpu[2];
    uint16_t count, pad[3];
    uint32_t msrs[3];
  } registers = {{0}, 3, {0}, {0x174, 0x175, 0x176}};
  // The first quarter is for compilers to warm up.
  for (int warm = 1; warm >= 0; warm--) {
    int n = warm ? rounds / 4 : rounds;
    measure(fd, "GET_INFO", 5, page, 0, n, !warm);
    measure(fd, "READ_PHYSICAL", 17, page, 16, n, !warm);
    measure(fd, "GET_REGISTERS", 13, &registers, 28, n, !warm);
  }
  return 0;
}

int main(int argc, char **argv) {
  if (argc == 3 && !strcmp(argv[1], "server")) serve(argv[2]);
  if (argc == 4 && !strcmp(argv[1], "client")) return client(argv[2], atoi(argv[3]));
  return 64;
}
