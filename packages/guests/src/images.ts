import { readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { Apt, type AptPackage } from "./apt.js";
import { guestCacheDir, withLock, writeWhole } from "./cache.js";
import { unpackDeb } from "./deb.js";
import { GuestError } from "./errors.js";
import type { GuestProgress } from "./guests.js";

/** Images that people bring, each unmodified out of a Debian package. Paths are absolute. */
export interface Images {
  /** Full kernels, and those with real-time preemption, by series. */
  readonly kernels: Readonly<Record<"6.1" | "6.1-rt" | "6.12" | "6.12-rt", string>>;
  /** The installer for a serial line: its kernel and its initial ram disk. */
  readonly installer: { readonly kernel: string; readonly initrd: string };
  /** memtest86+ for x86-64 and for i386, bzImages that nobody need unpack. */
  readonly memtest: { readonly x64: string; readonly ia32: string };
  /** The Xen hypervisor, a multiboot ELF file. */
  readonly xen: string;
}

/** What is taken out of which package: the newest apt offers whose name fits. */
interface Source {
  readonly prefix: string;
  readonly name: RegExp;
  /** Files in the package, by the name they are kept under. */
  readonly files: Readonly<Record<string, RegExp>>;
}

const kernel = (series: string, flavour: "" | "rt-"): Source => ({
  prefix: `linux-image-${series}.`,
  name: new RegExp(`^linux-image-${series.replace(".", "\\.")}\\.[0-9][^-]*(-[0-9]+)?-${flavour}amd64$`),
  files: { vmlinuz: /^boot\/vmlinuz-/ },
});

const SOURCES = {
  "6.1": kernel("6.1", ""),
  "6.1-rt": kernel("6.1", "rt-"),
  "6.12": kernel("6.12", ""),
  "6.12-rt": kernel("6.12", "rt-"),
  installer: {
    prefix: "debian-installer-12-netboot-amd64",
    name: /^debian-installer-12-netboot-amd64$/,
    files: {
      linux: /\/text\/debian-installer\/amd64\/linux$/,
      "initrd.gz": /\/text\/debian-installer\/amd64\/initrd\.gz$/,
    },
  },
  memtest: {
    prefix: "memtest86+",
    name: /^memtest86\+$/,
    files: { "x64.bin": /^boot\/memtest86\+x64\.bin$/, "ia32.bin": /^boot\/memtest86\+ia32\.bin$/ },
  },
  xen: {
    prefix: "xen-hypervisor-4.",
    name: /^xen-hypervisor-4\.[0-9]+-amd64$/,
    files: { "xen.gz": /^boot\/xen-4\.[0-9]+-amd64\.gz$/ },
  },
} as const satisfies Record<string, Source>;

type ImageName = keyof typeof SOURCES;
const NAMES = Object.keys(SOURCES) as ImageName[];

/** What {@link ensureImages} needs. */
export interface ImagesOptions {
  /** Where they are kept. Default: `images` below the cache of the guests. */
  readonly dir?: string;
  readonly onProgress?: (progress: GuestProgress) => void;
}

/** The images that are in the cache already; null if one is missing. Fetches nothing. */
export async function cachedImages(dir = join(guestCacheDir(), "images")): Promise<Images | null> {
  for (const name of NAMES) if (!(await isComplete(join(dir, name), SOURCES[name]))) return null;
  return describe(dir);
}

/**
 * Makes sure the images are in the cache, about 490 MB to fetch, and says where. What is there is not fetched again.
 * @throws GuestError see {@link GuestErrorCode}
 */
export async function ensureImages(options: ImagesOptions = {}): Promise<Images> {
  const dir = options.dir ?? join(guestCacheDir(), "images");
  const progress = options.onProgress ?? (() => undefined);
  return withLock(
    join(dir, "lock"),
    async () => (await cachedImages(dir)) ?? fetchAll(dir, progress),
    (pid) => progress({ step: `waiting for process ${pid}, which is fetching the images` }),
  );
}

async function isComplete(tree: string, { files }: Source): Promise<boolean> {
  const present = await readdir(tree).catch(() => [] as string[]);
  return Object.keys(files).every((file) => present.includes(file.replace(/^xen\.gz$/, "xen")));
}

async function fetchAll(dir: string, progress: (progress: GuestProgress) => void): Promise<Images> {
  progress({ step: "reading Debian's package lists" });
  const { apt, updateError } = await Apt.open(join(dir, "apt"), (percent) =>
    progress({ step: "reading Debian's package lists", percent }),
  );
  for (const name of NAMES) {
    const source = SOURCES[name];
    if (await isComplete(join(dir, name), source)) continue;
    const pkg = await newest(apt, source);
    if (pkg === undefined) {
      const because = updateError === "" ? "" : ` (updating its lists failed: ${updateError})`;
      throw new GuestError("no-package", `apt on this machine offers no ${source.prefix}* for ${name}${because}`);
    }
    await fetchImage(apt, pkg, join(dir, name), source, progress);
  }
  return describe(dir);
}

async function newest(apt: Apt, { prefix, name }: Source): Promise<AptPackage | undefined> {
  const names = (await apt.names(prefix)).filter((candidate) => name.test(candidate));
  names.sort((a, b) => b.localeCompare(a, "en", { numeric: true }));
  for (const candidate of names) {
    const pkg = await apt.candidate(candidate);
    if (pkg !== undefined) return pkg;
  }
  return undefined;
}

async function fetchImage(
  apt: Apt,
  pkg: AptPackage,
  tree: string,
  { files }: Source,
  progress: (progress: GuestProgress) => void,
): Promise<void> {
  const step = `fetching ${pkg.name} ${pkg.version} (${(pkg.size / 1e6).toFixed(1)} MB)`;
  progress({ step });
  const scratch = `${tree}.part`;
  await rm(scratch, { recursive: true, force: true });
  const deb = await apt.download(pkg, scratch, "package.deb", (percent) => progress({ step, percent }));
  progress({ step: `unpacking ${pkg.name}` });
  const patterns = Object.values(files);
  await unpackDeb(deb, join(scratch, "files"), (path) => patterns.some((pattern) => pattern.test(path)));
  await rm(deb);
  const unpacked = (await readdir(join(scratch, "files"), { recursive: true })).sort();
  for (const [name, pattern] of Object.entries(files)) {
    const path = unpacked.find((candidate) => pattern.test(candidate));
    if (path === undefined) throw new GuestError("bad-package", `${pkg.name} ${pkg.version} holds no ${name}`);
    const from = join(scratch, "files", path);
    if (name === "xen.gz") await writeFile(join(scratch, "xen"), gunzipSync(await readFile(from)));
    else await rename(from, join(scratch, name));
  }
  await rm(join(scratch, "files"), { recursive: true });
  await writeWhole(join(scratch, "package.txt"), `${pkg.name} ${pkg.version}\n`);
  await rm(tree, { recursive: true, force: true });
  await rename(scratch, tree);
}

const describe = (dir: string): Images => ({
  kernels: {
    "6.1": join(dir, "6.1", "vmlinuz"),
    "6.1-rt": join(dir, "6.1-rt", "vmlinuz"),
    "6.12": join(dir, "6.12", "vmlinuz"),
    "6.12-rt": join(dir, "6.12-rt", "vmlinuz"),
  },
  installer: { kernel: join(dir, "installer", "linux"), initrd: join(dir, "installer", "initrd.gz") },
  memtest: { x64: join(dir, "memtest", "x64.bin"), ia32: join(dir, "memtest", "ia32.bin") },
  xen: join(dir, "xen", "xen"),
});
