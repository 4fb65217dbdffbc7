import type { FLAG_SETS, NAME_SETS } from "./flag-sets.js";

/**
 * What an argument is. `path`, `string`: text up to its NUL. `in`, `out`: bytes, as many as the next argument says, and of those that the call gave, as many
 * as its result says. `strings`: a vector of strings that ends with NULL; `vars`: only how many. `mode`: permissions, `creat`: those of a file that the
 * flags before may create. The others are numbers.
 */
export type ArgumentKind =
  | "fd"
  | "dirfd"
  | "int"
  | "uint"
  | "long"
  | "size"
  | "pointer"
  | "value"
  | "path"
  | "string"
  | "in"
  | "out"
  | "strings"
  | "vars"
  | "mode"
  | "creat"
  | keyof typeof FLAG_SETS
  | keyof typeof NAME_SETS;

/** What a system call takes and gives. */
export interface SyscallShape {
  readonly parameters: readonly ArgumentKind[];
  /** It gives an address. */
  readonly address: boolean;
}

/** System calls by the kernel's name without `sys_`; `=pointer` for those that give an address. */
const ROWS = `
read: fd out size
write: fd in size
open: path open creat
close: fd
stat: path pointer
fstat: fd pointer
lstat: path pointer
poll: pointer uint int
lseek: fd long whence
mmap: pointer size prot map fd size =pointer
mprotect: pointer size prot
munmap: pointer size
brk: pointer =pointer
rt_sigaction: signal pointer pointer size
rt_sigprocmask: how pointer pointer size
rt_sigreturn:
ioctl: fd ioctl value
pread64: fd out size long
pwrite64: fd in size long
readv: fd pointer int
writev: fd pointer int
access: path access
pipe: pointer
select: int pointer pointer pointer pointer
sched_yield:
mremap: pointer size size int pointer =pointer
madvise: pointer size madvise
dup: fd
dup2: fd fd
pause:
nanosleep: pointer pointer
alarm: uint
getpid:
sendfile: fd fd pointer size
socket: domain socktype int
connect: fd pointer uint
accept: fd pointer pointer
sendto: fd in size msg pointer uint
recvfrom: fd out size msg pointer pointer
sendmsg: fd pointer msg
recvmsg: fd pointer msg
shutdown: fd shutdown
bind: fd pointer uint
listen: fd int
getsockname: fd pointer pointer
getpeername: fd pointer pointer
socketpair: domain socktype int pointer
setsockopt: fd int int pointer uint
getsockopt: fd int int pointer pointer
clone: clone pointer pointer pointer pointer
fork:
vfork:
execve: path strings vars
exit: int
wait4: int pointer wait pointer
kill: int signal
uname: pointer
fcntl: fd fcntl value
flock: fd int
fsync: fd
fdatasync: fd
truncate: path long
ftruncate: fd long
getdents64: fd pointer size
getcwd: pointer size
chdir: path
fchdir: fd
rename: path path
mkdir: path mode
rmdir: path
creat: path mode
link: path path
unlink: path
symlink: path path
readlink: path out size
chmod: path mode
fchmod: fd mode
chown: path int int
fchown: fd int int
lchown: path int int
umask: mode
gettimeofday: pointer pointer
getrlimit: rlimit pointer
getrusage: int pointer
sysinfo: pointer
times: pointer
getuid:
getgid:
setuid: uint
setgid: uint
geteuid:
getegid:
setpgid: int int
getppid:
getpgrp:
setsid:
getpgid: int
getsid: int
capget: pointer pointer
capset: pointer pointer
rt_sigtimedwait: pointer pointer pointer size
rt_sigsuspend: pointer size
sigaltstack: pointer pointer
mknod: path mode uint
statfs: path pointer
fstatfs: fd pointer
prctl: prctl value value value value
arch_prctl: archprctl pointer
setrlimit: rlimit pointer
sync:
mount: path path string mount pointer
umount2: path umount
reboot: pointer pointer pointer pointer
sethostname: string size
gettid:
time: pointer
futex: pointer futex uint pointer pointer uint
sched_setaffinity: int size pointer
sched_getaffinity: int size pointer
set_tid_address: pointer
fadvise64: fd long size int
clock_settime: clock pointer
clock_gettime: clock pointer
clock_getres: clock pointer
clock_nanosleep: clock int pointer pointer
exit_group: int
epoll_wait: fd pointer int int
epoll_ctl: fd epollctl fd pointer
tgkill: int int signal
utimes: path pointer
waitid: int int pointer wait pointer
openat: dirfd path open creat
mkdirat: dirfd path mode
mknodat: dirfd path mode uint
fchownat: dirfd path int int at
newfstatat: dirfd path pointer at
unlinkat: dirfd path unlink
renameat: dirfd path dirfd path
linkat: dirfd path dirfd path at
symlinkat: path dirfd path
readlinkat: dirfd path out size
fchmodat: dirfd path mode
faccessat: dirfd path access
pselect6: int pointer pointer pointer pointer pointer
ppoll: pointer uint pointer pointer size
set_robust_list: pointer size
utimensat: dirfd path pointer at
epoll_pwait: fd pointer int int pointer size
eventfd2: uint eventfd
epoll_create1: epoll
dup3: fd fd pipe
pipe2: pointer pipe
preadv: fd pointer int long
pwritev: fd pointer int long
accept4: fd pointer pointer socktype
prlimit64: int rlimit pointer pointer
syncfs: fd
renameat2: dirfd path dirfd path uint
getrandom: out size random
memfd_create: string uint
execveat: dirfd path strings vars at
copy_file_range: fd pointer fd pointer size uint
statx: dirfd path at uint pointer
rseq: pointer uint uint uint
clone3: pointer size
openat2: dirfd path pointer size
faccessat2: dirfd path access at
close_range: uint uint uint
`;

/** Names that programs know a system call by, where the kernel's is another. */
const KNOWN_AS: ReadonlyMap<string, string> = new Map([
  ["newstat", "stat"],
  ["newfstat", "fstat"],
  ["newlstat", "lstat"],
  ["newuname", "uname"],
  ["sendfile64", "sendfile"],
  ["umount", "umount2"],
  ["mmap_pgoff", "mmap"],
]);

/** The name that strace(1) shows. */
export const syscallName = (kernels: string): string => KNOWN_AS.get(kernels) ?? kernels;

/** The common system calls, by the name that strace(1) shows. */
export const SYSCALLS: ReadonlyMap<string, SyscallShape> = new Map(
  ROWS.trim()
    .split("\n")
    .map((row) => {
      const [name = "", rest = ""] = row.split(":");
      const words = rest.split(" ").filter((word) => word !== "");
      const parameters = words.filter((word) => !word.startsWith("=")) as ArgumentKind[];
      return [name, { parameters, address: words.includes("=pointer") }];
    }),
);

/** Those that never come back. */
export const ENDS: ReadonlySet<string> = new Set(["exit", "exit_group"]);
