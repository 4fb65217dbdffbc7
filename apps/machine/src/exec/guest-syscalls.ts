import { PAYLOAD_MAX, SCRATCH } from "./agent-abi.js";
import { peek, plainSyscall, poke, resultOf, type Script, syscall } from "./agent-script.js";

/** Numbers of system calls (Linux arch/x86/entry/syscalls/syscall_64.tbl). */
export const Nr = {
  read: 0,
  write: 1,
  open: 2,
  close: 3,
  stat: 4,
  rtSigprocmask: 14,
  ioctl: 16,
  access: 21,
  dup2: 33,
  socket: 41,
  execve: 59,
  wait4: 61,
  kill: 62,
  fcntl: 72,
  chdir: 80,
  mkdir: 83,
  unlink: 87,
  setsid: 112,
  chroot: 161,
  sync: 162,
  mount: 165,
  umount2: 166,
  reboot: 169,
  signalfd4: 289,
  pipe2: 293,
} as const;

export const MS_RDONLY = 1;
export const MS_NOSUID = 2;
export const MS_NODEV = 4;
export const MS_NOEXEC = 8;
export const MS_REMOUNT = 32;
export const MS_MOVE = 8192;
export const O_CLOEXEC = 0o2000000;

export function* mount(source: string, target: string, type: string, flags = 0, data = ""): Script<number> {
  return yield* syscall(Nr.mount, source, target, type, flags, data);
}

/** Whether `path` is there and can be executed (X_OK). */
export function* executable(path: string): Script<boolean> {
  return (yield* syscall(Nr.access, path, 1)) === 0;
}

export function* exists(path: string): Script<boolean> {
  return (yield* syscall(Nr.access, path, 0)) === 0;
}

/** The first `limit` bytes of a file as text; empty if it cannot be read. */
export function* readText(path: string, limit: number): Script<string> {
  const fd = yield* syscall(Nr.open, path, O_CLOEXEC);
  if (fd < 0) return "";
  const pieces: Uint8Array[] = [];
  for (let total = 0; total < limit; ) {
    const got = yield* plainSyscall(Nr.read, fd, SCRATCH, PAYLOAD_MAX);
    if (got <= 0) break;
    pieces.push(yield* peek(SCRATCH, Math.min(got, PAYLOAD_MAX)));
    total += got;
  }
  yield* plainSyscall(Nr.close, fd);
  const decoder = new TextDecoder();
  return pieces.map((piece) => decoder.decode(piece, { stream: true })).join("") + decoder.decode();
}

/** Whether something is mounted on `path`: it is on another device than its parent. */
export function* isMountPoint(path: string): Script<boolean> {
  const parent = path.slice(0, path.lastIndexOf("/")) || "/";
  const [own, above] = [yield* deviceOf(path), yield* deviceOf(parent)];
  return own !== null && above !== null && own !== above;
}

function* deviceOf(path: string): Script<bigint | null> {
  // struct stat begins with st_dev; it is put behind the path.
  const at = SCRATCH + PAYLOAD_MAX;
  if ((yield* syscall(Nr.stat, path, at)) !== 0) return null;
  return new DataView((yield* peek(at, 8)).buffer).getBigUint64(0, true);
}

/** The two ends of a new pipe, or null. Both are closed on exec. */
export function* pipe(): Script<{ read: number; write: number } | null> {
  if ((yield* plainSyscall(Nr.pipe2, SCRATCH, O_CLOEXEC)) !== 0) return null;
  const view = new DataView((yield* peek(SCRATCH, 8)).buffer);
  return { read: view.getInt32(0, true), write: view.getInt32(4, true) };
}

export { plainSyscall, poke, resultOf, syscall };
