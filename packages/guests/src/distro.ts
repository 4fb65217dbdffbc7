import { createHash } from "node:crypto";
import { copyFile, mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { guestCacheDir, withLock, writeWhole } from "./cache.js";
import { GuestError } from "./errors.js";
import type { GuestProgress } from "./guests.js";
import { debianMirror } from "./mirror.js";
import { exists, run } from "./process.js";

/** Debian 12. */
const SUITE = "bookworm";
/** What goes into the root besides what every Debian has. The JRE holds the compiler's modules, so `java File.java` runs a source file. */
const PACKAGES = [
  ...["systemd-sysv", "udev", "dbus", "kmod", "procps", "iproute2", "e2fsprogs", "zstd", "xz-utils"],
  ...["linux-image-cloud-amd64", "initramfs-tools"],
  ...[
    "gcc",
    "libc6-dev",
    "git",
    "python3",
    "sqlite3",
    "openssl",
    "perl",
    "nodejs",
    "golang-go",
    "openjdk-17-jre-headless",
  ],
];
/** Size of the file system, bytes; the file is sparse. */
const IMAGE_SIZE = 4 * 2 ** 30;
const HOSTNAME = "vm-debian";
/** A change of what is written here, and not in the lists above, is a new number. */
const RECIPE = 1;

/** A Debian installation on a disk, with the kernel and initial ram disk that Debian made for it. */
export interface Distro {
  /** Raw image of an ext4 file system with label "debian". Root has no password. */
  readonly image: string;
  readonly kernel: string;
  readonly initrd: string;
  /** Bytes the image takes on the host. */
  readonly size: number;
  /** Seconds each step took when it was made. */
  readonly seconds: { readonly [step: string]: number };
}

/** How to get it. */
export interface DistroOptions {
  /** Where guests are kept. Default: {@link guestCacheDir}. */
  readonly dir?: string;
  readonly onProgress?: (progress: GuestProgress) => void;
}

/** The Debian root in the cache, undefined where it has not been made. */
export async function findDistro(dir = guestCacheDir()): Promise<Distro | undefined> {
  const home = join(dir, name());
  const made = await readFile(join(home, "made.json"), "utf8").catch(() => undefined);
  if (made === undefined) return undefined;
  return { ...pathsIn(home), ...(JSON.parse(made) as Pick<Distro, "size" | "seconds">) };
}

/**
 * Makes sure the Debian root is in the cache. Made once, with debootstrap, in some minutes; it takes 2 GB.
 *
 * @throws GuestError `not-root` without root rights, `no-apt` without debootstrap, mkfs.ext4 or apt, `fetch-failed` if a step fails
 */
export async function ensureDistro(options: DistroOptions = {}): Promise<Distro> {
  const dir = options.dir ?? guestCacheDir();
  const progress = options.onProgress ?? (() => undefined);
  const fill = async (): Promise<Distro> => {
    const known = await findDistro(dir);
    if (known !== undefined) return known;
    await checkTools();
    return make(dir, progress);
  };
  return withLock(join(dir, `${name()}.lock`), fill, (pid) =>
    progress({ step: `waiting for process ${pid}, which is making the Debian root` }),
  );
}

const name = (): string =>
  `debian-${createHash("sha256")
    .update(JSON.stringify([SUITE, PACKAGES, IMAGE_SIZE, RECIPE]))
    .digest("hex")
    .slice(0, 16)}`;

const pathsIn = (home: string): Pick<Distro, "image" | "kernel" | "initrd"> => ({
  image: join(home, "debian.img"),
  kernel: join(home, "vmlinuz"),
  initrd: join(home, "initrd.img"),
});

async function checkTools(): Promise<void> {
  if (process.getuid?.() !== 0)
    throw new GuestError(
      "not-root",
      "making the Debian root needs root rights: debootstrap gives files their owners and runs in a chroot",
    );
  for (const program of ["debootstrap", "mkfs.ext4"])
    if (!(await exists(program)))
      throw new GuestError("no-apt", `this machine has no ${program}; apt-get install debootstrap e2fsprogs brings it`);
}

async function make(dir: string, progress: (progress: GuestProgress) => void): Promise<Distro> {
  const home = join(dir, name());
  const work = `${home}.part`;
  const tree = join(work, "root");
  const debs = join(dir, "debs");
  await rm(work, { recursive: true, force: true });
  for (const path of [work, debs]) await mkdir(path, { recursive: true });
  const seconds: Record<string, number> = {};
  const step = async (what: string, body: () => Promise<void>): Promise<void> => {
    const began = performance.now();
    progress({ step: what });
    await body();
    seconds[what] = Math.round((performance.now() - began) / 100) / 10;
  };
  const paths = pathsIn(work);
  const mirror = await debianMirror(SUITE);
  await step("debootstrap", () => debootstrap(tree, debs, mirror, progress));
  await step("configuring the root", () => configure(tree));
  await step("copying its kernel and ram disk", async () => {
    await copyFile(await bootFile(tree, "vmlinuz-"), paths.kernel);
    await copyFile(await bootFile(tree, "initrd.img-"), paths.initrd);
  });
  await step(`making an ext4 image of ${IMAGE_SIZE / 2 ** 30} GiB`, async () => {
    const args = [
      "-q",
      "-F",
      "-L",
      "debian",
      "-E",
      "lazy_itable_init=0",
      "-d",
      tree,
      paths.image,
      `${IMAGE_SIZE / 1024}k`,
    ];
    await must("mkfs.ext4", args);
  });
  await rm(tree, { recursive: true, force: true });
  const size = (await stat(paths.image)).blocks * 512;
  await writeWhole(join(work, "made.json"), `${JSON.stringify({ size, seconds }, undefined, 2)}\n`);
  await rm(home, { recursive: true, force: true });
  await rename(work, home);
  return { ...pathsIn(home), size, seconds };
}

async function debootstrap(
  tree: string,
  debs: string,
  mirror: string,
  progress: (progress: GuestProgress) => void,
): Promise<void> {
  const options = ["--arch=amd64", "--variant=minbase", `--cache-dir=${debs}`, `--include=${PACKAGES.join(",")}`];
  // Debian's scripts of packages ask nothing where there is nobody.
  await must("debootstrap", [...options, SUITE, tree, mirror], {
    env: { DEBIAN_FRONTEND: "noninteractive" },
    onLine: (line) => {
      const doing = /^I: (\w+ \S+)/.exec(line)?.[1];
      if (doing !== undefined) progress({ step: `debootstrap: ${doing.toLowerCase()}` });
    },
  });
}

/** What an installer would ask for: a host name, a file system table, and here no password for root. */
async function configure(tree: string): Promise<void> {
  await writeFile(join(tree, "etc/hostname"), `${HOSTNAME}\n`);
  await writeFile(join(tree, "etc/hosts"), `127.0.0.1 localhost ${HOSTNAME}\n`);
  await writeFile(join(tree, "etc/fstab"), "LABEL=debian / ext4 defaults 0 1\n");
  const shadow = join(tree, "etc/shadow");
  await writeFile(shadow, (await readFile(shadow, "utf8")).replace(/^root:[^:]*:/m, "root::"));
  await rm(join(tree, "var/cache/apt/archives"), { recursive: true, force: true });
  await mkdir(join(tree, "var/cache/apt/archives/partial"), { recursive: true });
}

async function bootFile(tree: string, prefix: string): Promise<string> {
  const file = (await readdir(join(tree, "boot"))).find((path) => path.startsWith(prefix));
  if (file === undefined) throw new GuestError("bad-package", `debootstrap left no ${prefix}* in the root's /boot`);
  return join(tree, "boot", file);
}

async function must(program: string, args: readonly string[], options: Parameters<typeof run>[2] = {}): Promise<void> {
  const { status, stderr, stdout } = await run(program, args, options);
  const last = [...stdout.split("\n"), ...stderr.split("\n")]
    .filter((line) => line.trim() !== "")
    .slice(-3)
    .join("; ");
  if (status !== 0)
    throw new GuestError("fetch-failed", `${program} ended with status ${status}: ${last || "no message"}`);
}
