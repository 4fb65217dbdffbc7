import { AGENT_BASE, Ask, SCRATCH } from "./agent-abi.js";
import { AGENT_IN_DEV, AGENT_IN_INITRD } from "./agent-paths.js";
import { request } from "./agent-request.js";
import { peek, poke, resultOf, type Script } from "./agent-script.js";
import { errnoName } from "./errno-name.js";
import { ExecFailure, type ExecPlan } from "./exec-plan.js";
import {
  executable,
  exists,
  MS_MOVE,
  MS_NOSUID,
  MS_RDONLY,
  mount,
  Nr,
  O_CLOEXEC,
  plainSyscall,
  readText,
  syscall,
} from "./guest-syscalls.js";

/**
 * Where it lies afterwards (`init=`). There is one devtmpfs in a kernel, whoever mounts it where: what is in it stays when the ram disk is
 * left for a root.
 */

const EBUSY = -16;
const MNT_DETACH = 2;
const ROOT = "/vm-root";
/** Files by which a ram disk tells that it only looks for a root: systemd's and dracut's mark, and the parts of initramfs-tools. */
const STAGE_MARKS = ["/etc/initrd-release", "/scripts/functions"];

/**
 * What the agent does as the first program of the initial ram disk. If the ram disk is the root itself, the script ends and the
 * command can be run. Else it hands over to the ram disk's own init, and the agent says hello again as the init of the root.
 *
 * @param stack where the kernel put argc
 * @param size of the agent's file, bytes
 */
export function* enterRoot(plan: ExecPlan, stack: bigint, size: number): Script<void> {
  const { root } = plan;
  if (root.root === null && !(yield* isStage())) return;
  const hasDevices = (yield* mount("devtmpfs", "/dev", "devtmpfs", MS_NOSUID)) === EBUSY;
  if (!(yield* executable(root.init))) {
    if (root.root === null)
      throw new ExecFailure(`the initial ram disk has no ${root.init}, and no root= says where a root is`);
    yield* mountRoot(plan, root.root, hasDevices);
    return;
  }
  if (!hasDevices)
    throw new ExecFailure("the kernel has no devtmpfs, through which the command would get into the root");
  const fd = yield* syscall(Nr.open, AGENT_IN_DEV, 0o1101 | O_CLOEXEC, 0o700);
  const written = fd < 0 ? fd : yield* plainSyscall(Nr.write, fd, AGENT_BASE, size);
  if (written !== size) throw new ExecFailure(`${AGENT_IN_DEV} cannot be written in the guest (${errnoName(written)})`);
  yield* plainSyscall(Nr.close, fd);
  // The ram disk's init expects nothing there yet.
  yield* syscall(Nr.umount2, "/dev", MNT_DETACH);
  yield* syscall(Nr.unlink, AGENT_IN_INITRD);

  const path = new TextEncoder().encode(`${root.init}\0`);
  const argc = new DataView((yield* peek(stack, 8)).buffer).getBigInt64(0, true);
  const argv = stack + 8n;
  yield* poke(SCRATCH, path);
  yield* poke(Number(argv), new Uint8Array(BigInt64Array.of(BigInt(SCRATCH)).buffer));
  const error = resultOf(yield request([Ask.Syscall, Nr.execve, SCRATCH, argv, argv + 8n * (argc + 1n)]));
  throw new ExecFailure(`${root.init} of the initial ram disk cannot be run (${errnoName(error)})`);
}

function* isStage(): Script<boolean> {
  for (const mark of STAGE_MARKS) if (yield* exists(mark)) return true;
  return false;
}

/** Does what the kernel does without a ram disk: mounts the root it is told and moves there. */
function* mountRoot({ root }: ExecPlan, device: string, hasDevices: boolean): Script<void> {
  if (!device.startsWith("/dev/"))
    throw new ExecFailure(
      `root=${device} needs an initial ram disk that finds it; without one, root= must be a /dev/... path`,
    );
  if (!hasDevices) throw new ExecFailure(`the kernel has no devtmpfs, so there is no ${device}`);
  if (!(yield* exists(device))) throw new ExecFailure(`the guest has no ${device}`);
  yield* syscall(Nr.mkdir, "/proc", 0o755);
  yield* mount("proc", "/proc", "proc");
  yield* syscall(Nr.mkdir, ROOT, 0o755);
  let types = root.types;
  if (types.length === 0) {
    const known = yield* readText("/proc/filesystems", 8192);
    types = [...known.matchAll(/^\t(\S+)$/gm)].map((match) => match[1] ?? "");
  }
  let mounted = false;
  for (const type of types) {
    for (const readonly of root.readonly ? [true] : [false, true]) {
      mounted ||= (yield* mount(device, ROOT, type, readonly ? MS_RDONLY : 0, root.flags)) === 0;
    }
  }
  if (!mounted) throw new ExecFailure(`${device} cannot be mounted as any of ${types.join(", ") || "no file system"}`);
  yield* mount("/dev", `${ROOT}/dev`, "", MS_MOVE);
  yield* syscall(Nr.umount2, "/proc", MNT_DETACH);
  yield* syscall(Nr.chdir, ROOT);
  yield* mount(".", "/", "", MS_MOVE);
  yield* syscall(Nr.chroot, ".");
  yield* syscall(Nr.chdir, "/");
}
