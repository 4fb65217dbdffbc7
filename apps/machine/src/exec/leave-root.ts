import type { Script } from "./agent-script.js";
import { MS_RDONLY, MS_REMOUNT, mount, Nr, plainSyscall, readText, syscall } from "./guest-syscalls.js";

const SIGKILL = 9;
/** More processes than a guest has: an agent that never says ECHILD is none. */
const CHILDREN_MAX = 100_000;
const MOUNTS_MAX = 65536;
const POWER_OFF = [0xfee1dead, 672274793, 0x4321fedc] as const;

/**
 * Ends what still runs, brings every file system on a disk to a state that needs no repair, and turns the machine off. Returns only if
 * the kernel cannot do that.
 */
export function* leaveRoot(): Script<void> {
  yield* plainSyscall(Nr.kill, -1, SIGKILL);
  for (let k = 0; k < CHILDREN_MAX; k++) if ((yield* plainSyscall(Nr.wait4, -1, 0, 0, 0)) <= 0) break;
  yield* plainSyscall(Nr.sync);
  const mounts = yield* readText("/proc/mounts", MOUNTS_MAX);
  for (const path of mountedDisks(mounts).reverse()) {
    if (path !== "/" && (yield* syscall(Nr.umount2, path, 0)) === 0) continue;
    yield* mount("none", path, "", MS_REMOUNT | MS_RDONLY);
  }
  yield* plainSyscall(Nr.sync);
  yield* plainSyscall(Nr.reboot, ...POWER_OFF);
}

/** Where disks are mounted, by a text as of /proc/mounts, whose blanks in paths are octal escapes. */
function mountedDisks(mounts: string): string[] {
  return [...mounts.matchAll(/^\/dev\/\S+ (\/\S*) /gm)].map((match) =>
    (match[1] ?? "").replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))),
  );
}
