import { createHash } from "node:crypto";
import { readdir, readFile, rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { Apt, type AptPackage } from "./apt.js";
import { guestCacheDir, withLock, writeWhole } from "./cache.js";
import { unpackDeb } from "./deb.js";
import { GuestError } from "./errors.js";
import { MODULES, packInitramfs, RELEASE, readInit } from "./initramfs.js";
import { resolveKernel, SERIES, type Series } from "./resolve.js";
import { unxz } from "./xz.js";

/** What is under way, for a person. `percent` (0 to 100) is given for transfers. */
export interface GuestProgress {
  readonly step: string;
  readonly percent?: number;
}

/** How to get the guests. */
export interface EnsureOptions {
  /** Where they are kept. Default: {@link guestCacheDir}. */
  readonly dir?: string;
  /** Ask apt again even if the cache is complete. Default: false. */
  readonly refresh?: boolean;
  readonly onProgress?: (progress: GuestProgress) => void;
}

/** Guests on this machine; every path is absolute and its file complete. */
export interface Guests {
  /** Kernel images (bzImage) by series. A series apt does not see is absent. */
  readonly kernels: { readonly [S in Series]?: string };
  /** A static busybox for x86-64. */
  readonly busybox: string;
  /** The kernel image of a series. @throws GuestError `no-package` where apt sees none. */
  kernel(series: Series): string;
  /** The initramfs with that kernel's modules. @throws GuestError `no-package` where apt sees no such kernel. */
  initrd(series: Series): string;
}

interface Manifest {
  readonly packages: { readonly [key: string]: AptPackage };
}

const BUSYBOX = "busybox-static";

/**
 * Makes sure the Debian kernels, busybox and an initramfs for each kernel are in the cache, and says where.
 *
 * Complete caches are used without asking apt. An interrupted run leaves nothing half-made: what was complete is kept, the
 * rest is fetched by the next. Processes that ask at the same time wait for the first.
 *
 * @throws GuestError see {@link GuestErrorCode}
 */
export async function ensureGuests(options: EnsureOptions = {}): Promise<Guests> {
  const dir = options.dir ?? guestCacheDir();
  const progress = options.onProgress ?? (() => undefined);
  const fill = async () => {
    const known = options.refresh ? undefined : await readManifest(dir);
    const manifest = known ?? (await fetchPackages(dir, progress));
    return describe(dir, manifest, await packAll(dir, manifest, progress));
  };
  return withLock(join(dir, "lock"), fill, (pid) =>
    progress({ step: `waiting for process ${pid}, which is fetching the guests` }),
  );
}

async function readManifest(dir: string): Promise<Manifest | undefined> {
  const text = await readFile(join(dir, "manifest.json"), "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  const manifest = JSON.parse(text) as Manifest;
  const present = new Set(await readdir(dir));
  return Object.values(manifest.packages).every((pkg) => present.has(treeName(pkg))) ? manifest : undefined;
}

async function fetchPackages(dir: string, progress: (progress: GuestProgress) => void): Promise<Manifest> {
  progress({ step: "reading Debian's package lists" });
  const { apt, updateError } = await Apt.open(join(dir, "apt"), (percent) =>
    progress({ step: "reading Debian's package lists", percent }),
  );
  const packages: Record<string, AptPackage> = {};
  for (const series of SERIES) {
    const pkg = await resolveKernel(apt, series);
    if (pkg !== undefined) packages[series] = pkg;
  }
  const busybox = await apt.candidate(BUSYBOX);
  if (busybox === undefined || Object.keys(packages).length === 0) {
    const missing = busybox === undefined ? BUSYBOX : `a cloud kernel of series ${SERIES.join(" or ")}`;
    const because = updateError === "" ? "" : ` (updating its lists failed: ${updateError})`;
    throw new GuestError("no-package", `apt on this machine does not offer ${missing}${because}`);
  }
  packages[BUSYBOX] = busybox;
  for (const pkg of Object.values(packages)) await fetchTree(apt, pkg, dir, progress);
  const manifest: Manifest = { packages };
  await writeWhole(join(dir, "manifest.json"), `${JSON.stringify(manifest, undefined, 2)}\n`);
  return manifest;
}

/** Counts the changes of what is kept of a package: a tree of before lacks something. */
const KEPT = 3;

/** Directory of a package's unpacked files. Epochs and tildes of Debian versions are kept out of file names. */
const treeName = (pkg: AptPackage): string => `${pkg.name}_${pkg.version.replace(/[^\w.+-]/g, "-")}_${KEPT}`;

/** The few files of a package that are kept: a kernel package is mostly modules. */
function isWanted(path: string): boolean {
  const name = basename(path);
  return /^(vmlinuz|config)-/.test(name) || path === "bin/busybox" || path === "usr/bin/busybox" || isModule(name);
}

const isModule = (name: string): boolean =>
  MODULES.some((module) => name === `${module}.ko` || name === `${module}.ko.xz`);

async function fetchTree(
  apt: Apt,
  pkg: AptPackage,
  dir: string,
  progress: (progress: GuestProgress) => void,
): Promise<void> {
  const tree = join(dir, treeName(pkg));
  if (await readdir(tree).then(Boolean, () => false)) return;
  const step = `fetching ${pkg.name} ${pkg.version} (${(pkg.size / 1e6).toFixed(1)} MB)`;
  progress({ step });
  const deb = await apt.download(pkg, dir, `${treeName(pkg)}.deb`, (percent) => progress({ step, percent }));
  progress({ step: `unpacking ${pkg.name}` });
  const scratch = `${tree}.part`;
  await rm(scratch, { recursive: true, force: true });
  await unpackDeb(deb, scratch, isWanted);
  await rename(scratch, tree);
  await rm(deb, { force: true });
}

/** Packs the initramfs of every kernel whose recipe has changed; returns their paths by series. */
async function packAll(
  dir: string,
  manifest: Manifest,
  progress: (progress: GuestProgress) => void,
): Promise<ReadonlyMap<Series, string>> {
  const init = await readInit();
  const paths = new Map<Series, string>();
  for (const series of SERIES) {
    const pkg = manifest.packages[series];
    if (pkg === undefined) continue;
    const recipe = createHash("sha256")
      .update(JSON.stringify([manifest.packages[BUSYBOX], pkg, init, RELEASE, KEPT]))
      .digest("hex")
      .slice(0, 16);
    const path = join(dir, `initramfs-${series}-${recipe}.cpio`);
    paths.set(series, path);
    const names = await readdir(dir);
    if (names.includes(`initramfs-${series}-${recipe}.cpio`)) continue;
    progress({ step: `packing the initramfs for ${pkg.name}` });
    const busybox = await readFile(await find(join(dir, treeName(packageOf(manifest, BUSYBOX))), "busybox"));
    const modules = await readModules(join(dir, treeName(pkg)));
    await writeWhole(path, packInitramfs({ busybox, modules, init }));
    for (const name of names) if (name.startsWith(`initramfs-${series}-`)) await rm(join(dir, name), { force: true });
  }
  return paths;
}

async function readModules(tree: string): Promise<ReadonlyMap<string, Uint8Array>> {
  const files = (await readdir(tree, { recursive: true })).sort();
  const modules = new Map<string, Uint8Array>();
  for (const name of MODULES) {
    const file = files.find((path) => path.endsWith(`/${name}.ko`) || path.endsWith(`/${name}.ko.xz`));
    if (file === undefined) continue;
    const bytes = await readFile(join(tree, file));
    modules.set(name, file.endsWith(".xz") ? await unxz(bytes) : bytes);
  }
  return modules;
}

async function find(tree: string, name: string): Promise<string> {
  const files = (await readdir(tree, { recursive: true })).sort();
  const file = files.find((path) => basename(path) === name || basename(path).startsWith(`${name}-`));
  if (file === undefined) throw new GuestError("bad-package", `${tree} holds no ${name}; remove it and fetch again`);
  return join(tree, file);
}

function packageOf(manifest: Manifest, key: string): AptPackage {
  const pkg = manifest.packages[key];
  if (pkg === undefined)
    throw new GuestError("bad-package", `the guest cache names no ${key}; fetch again with --refresh`);
  return pkg;
}

async function describe(dir: string, manifest: Manifest, initrds: ReadonlyMap<Series, string>): Promise<Guests> {
  const kernels: { [S in Series]?: string } = {};
  for (const series of SERIES) {
    const pkg = manifest.packages[series];
    if (pkg !== undefined) kernels[series] = await find(join(dir, treeName(pkg)), "vmlinuz");
  }
  const known = (path: string | undefined, series: Series): string => {
    if (path !== undefined) return path;
    throw new GuestError(
      "no-package",
      `apt on this machine offers no ${series} cloud kernel (its -security or -backports suite does)`,
    );
  };
  return {
    kernels,
    busybox: await find(join(dir, treeName(packageOf(manifest, BUSYBOX))), "busybox"),
    kernel: (series) => known(kernels[series], series),
    initrd: (series) => known(initrds.get(series), series),
  };
}
