import { access, mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { Apt } from "./apt.js";
import { guestCacheDir, withLock } from "./cache.js";
import { GuestError } from "./errors.js";
import type { GuestProgress } from "./guests.js";
import { run } from "./process.js";

/** Debian's package with the sources of the kernel, and what is kept of them. */
const PACKAGE = "linux-source-6.1";
const KEPT = ["vDSO", "timens", "timers", "kselftest.h", "kselftest_harness.h"].map((name) => `selftests/${name}`);

/** What {@link ensureSelftests} needs. */
export interface SelftestOptions {
  /** Where they are kept. Default: `selftests` below the cache of the guests. */
  readonly dir?: string;
  readonly onProgress?: (progress: GuestProgress) => void;
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/**
 * Makes sure that the kernel's own tests of clocks (`tools/testing/selftests`: vDSO, timens, timers) are in the cache, as Debian has them in
 * linux-source-6.1, 140 MB to fetch. @returns the folder `selftests`
 * @throws GuestError see {@link GuestErrorCode}
 */
export async function ensureSelftests({
  dir = join(guestCacheDir(), "selftests"),
  onProgress = () => undefined,
}: SelftestOptions = {}): Promise<string> {
  await withLock(
    join(dir, "lock"),
    async () => {
      if (!(await exists(join(dir, "selftests")))) await fetchSelftests(dir, onProgress);
    },
    (pid) => onProgress({ step: `waiting for process ${pid}, which is fetching the kernel's tests` }),
  );
  return join(dir, "selftests");
}

async function fetchSelftests(dir: string, progress: (progress: GuestProgress) => void): Promise<void> {
  const { apt, updateError } = await Apt.open(join(dir, "apt"), (percent) =>
    progress({ step: "reading Debian's package lists", percent }),
  );
  const pkg = await apt.candidate(PACKAGE);
  if (pkg === undefined) {
    const because = updateError === "" ? "" : ` (updating its lists failed: ${updateError})`;
    throw new GuestError("no-package", `apt on this machine offers no ${PACKAGE}${because}`);
  }
  const step = `fetching ${pkg.name} ${pkg.version} (${(pkg.size / 1e6).toFixed(1)} MB)`;
  progress({ step });
  const scratch = join(dir, "part");
  const deb = await apt.download(pkg, scratch, "package.deb", (percent) => progress({ step, percent }));
  progress({ step: `unpacking ${pkg.name}` });
  await mkdir(join(scratch, "tree"), { recursive: true });
  // A tar in xz in a tar: a gigabyte that need not be held in memory.
  const unpack = `dpkg-deb --fsys-tarfile "$1" | tar -xOf - ./usr/src/${PACKAGE}.tar.xz | tar -xJf - -C "$2" --wildcards --strip-components=3 ${KEPT.map(
    (path) => `'*/tools/testing/${path}*'`,
  ).join(" ")}`;
  const { status, stderr } = await run("sh", ["-c", unpack, "sh", deb, join(scratch, "tree")]);
  if (status !== 0)
    throw new GuestError("bad-package", `${PACKAGE} could not be unpacked: ${stderr.trim().slice(-300)}`);
  await rename(join(scratch, "tree", "selftests"), join(dir, "selftests"));
  await rm(scratch, { recursive: true, force: true });
}
