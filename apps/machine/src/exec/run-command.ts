import { Ask, SCRATCH } from "./agent-abi.js";
import { request } from "./agent-request.js";
import { peek, poke, resultOf, Scratch, type Script } from "./agent-script.js";
import { errnoName } from "./errno-name.js";
import { type ExecCommand, ExecFailure, type ExecPlan } from "./exec-plan.js";
import {
  executable,
  exists,
  isMountPoint,
  MS_NODEV,
  MS_NOEXEC,
  MS_NOSUID,
  MS_REMOUNT,
  mount,
  Nr,
  O_CLOEXEC,
  pipe,
  plainSyscall,
  syscall,
} from "./guest-syscalls.js";

const SHELLS = ["/bin/sh", "/usr/bin/sh", "/bin/bash", "/usr/bin/bash", "/bin/dash", "/bin/ash"];
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/** What a root without an init of its own has mounted: type, where, flags, options. */
const MOUNTS: readonly (readonly [string, string, number, string])[] = [
  ["proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, ""],
  ["sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, ""],
  ["devtmpfs", "/dev", MS_NOSUID, ""],
  ["devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "gid=5,mode=620,ptmxmode=666"],
  ["tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777"],
  ["tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=755"],
  ["tmpfs", "/tmp", MS_NOSUID | MS_NODEV, "mode=1777"],
];
const SIG_BLOCK = 0;
const SIG_SETMASK = 2;
/** The set of signals that is SIGCHLD alone. */
const SIGCHLD_SET = 1 << 16;
const F_SETFL = 4;
const O_NONBLOCK = 0o4000;
const AF_INET = 2;
const SOCK_DGRAM = 2;
const SIOCSIFFLAGS = 0x8914;
const IFF_UP_RUNNING = 0x41;

/** Makes the root usable for programs: mounts, three descriptors that are taken, the loopback interface. */
export function* prepareRoot({ root }: ExecPlan): Script<void> {
  if (!root.readonly) yield* mount("none", "/", "", MS_REMOUNT);
  for (const [type, target, flags, data] of MOUNTS) {
    if (target.startsWith("/dev/")) yield* syscall(Nr.mkdir, target, 0o755);
    if (!(yield* isMountPoint(target))) yield* mount(type, target, type, flags, data);
  }
  // Without a console the kernel starts its first program with no descriptors, and the next ones opened would be these.
  for (let fd = 0; fd >= 0 && fd < 3; ) {
    fd = yield* syscall(Nr.open, "/dev/null", 2);
    if (fd > 2) yield* plainSyscall(Nr.close, fd);
  }
  const socket = yield* plainSyscall(Nr.socket, AF_INET, SOCK_DGRAM, 0);
  if (socket < 0) return;
  // struct ifreq: 16 bytes of name, then the flags.
  const request = new Uint8Array(40);
  request.set([0x6c, 0x6f]);
  request[16] = IFF_UP_RUNNING;
  yield* syscall(Nr.ioctl, socket, SIOCSIFFLAGS, request);
  yield* plainSyscall(Nr.close, socket);
}

/** Descriptors that a command leaves open in the agent. */
export type Leftovers = readonly number[];

/**
 * Runs the command and carries its input and outputs until all have ended.
 * @returns its status, 0 to 255; 128 and the signal that ended it. And what to close before another one.
 */
export function* runCommand(plan: ExecCommand): Script<{ readonly status: number; readonly leftovers: Leftovers }> {
  const shell = yield* findShell();
  const pipes = [yield* pipe(), yield* pipe(), yield* pipe()];
  const [input, output, errors] = pipes;
  if (!input || !output || !errors) throw new ExecFailure("the guest has no pipes left");
  const nothing = plan.input ? -1 : yield* syscall(Nr.open, "/dev/null", O_CLOEXEC);
  yield* syscall(Nr.rtSigprocmask, SIG_BLOCK, Uint8Array.of(0, 0, SIGCHLD_SET >> 16, 0, 0, 0, 0, 0), 0, 8);
  const children = yield* syscall(
    Nr.signalfd4,
    -1,
    Uint8Array.of(0, 0, SIGCHLD_SET >> 16, 0, 0, 0, 0, 0),
    8,
    O_CLOEXEC,
  );
  if (children < 0) throw new ExecFailure(`the kernel has no signalfd (${errnoName(children)})`);

  const home = (yield* exists("/root")) ? "/root" : "/";
  const memory = new Scratch();
  const argv = memory.words([...["sh", "-c", plan.command].map((word) => memory.string(word)), 0]);
  const environment = [`PATH=${PATH}`, `HOME=${home}`, "TERM=linux", "USER=root", "LOGNAME=root", `SHELL=${shell}`];
  const envp = memory.words([...environment.map((word) => memory.string(word)), 0]);
  const [root, path, none] = [memory.string("/"), memory.string(shell), memory.words([0])];
  const calls: readonly (readonly number[])[] = [
    [Nr.rtSigprocmask, SIG_SETMASK, none, 0, 8],
    [Nr.setsid],
    [Nr.dup2, plan.input ? input.read : nothing, 0],
    [Nr.dup2, output.write, 1],
    [Nr.dup2, errors.write, 2],
    [Nr.chdir, root],
    [Nr.execve, path, argv, envp],
    [-1],
  ];
  const records = memory.words(calls.flatMap((call) => [...call, ...Array<number>(8 - call.length).fill(0)]));
  yield* poke(SCRATCH, memory.bytes());
  const child = resultOf(yield request([Ask.Spawn, records]));
  if (child < 0) throw new ExecFailure(`the guest cannot make a process (${errnoName(child)})`);
  const refused = resultOf(yield* peek(records + 64 * (calls.length - 2) + 56, 8));
  if (refused < 0)
    throw new ExecFailure(
      `${shell} of the guest's root cannot be run (${errnoName(refused)}${refused === -2 ? ": its loader is missing" : ""})`,
    );
  for (const fd of [input.read, output.write, errors.write, ...(plan.input ? [] : [input.write, nothing])])
    yield* plainSyscall(Nr.close, fd);
  if (plan.input) yield* plainSyscall(Nr.fcntl, input.write, F_SETFL, O_NONBLOCK);
  const status = yield request([Ask.Pump, plan.input ? input.write : -1, output.read, errors.read, children, child]);
  const raw = status.length < 4 ? 0xff00 : new DataView(status.buffer, status.byteOffset).getUint32(0, true);
  const leftovers = [...(plan.input ? [input.write] : []), output.read, errors.read, children];
  return { status: (raw & 0x7f) === 0 ? (raw >> 8) & 0xff : 128 + (raw & 0x7f), leftovers };
}

/** Closes what a command has left open; what the agent has closed itself is no matter. */
export function* closeLeftovers(leftovers: Leftovers): Script<void> {
  for (const fd of leftovers) yield* plainSyscall(Nr.close, fd);
}

function* findShell(): Script<string> {
  for (const shell of SHELLS) if (yield* executable(shell)) return shell;
  throw new ExecFailure("the guest's root has no shell (/bin/sh)");
}
