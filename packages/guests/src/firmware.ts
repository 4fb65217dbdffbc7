import { readdir, rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { Apt, type AptPackage } from "./apt.js";
import { guestCacheDir, withLock, writeWhole } from "./cache.js";
import { unpackDeb } from "./deb.js";
import { GuestError } from "./errors.js";
import type { GuestProgress } from "./guests.js";
import { debianMirror } from "./mirror.js";

/** Firmware for TDs and what it starts with Secure Boot, each unmodified out of a Debian package. Paths are absolute. */
export interface Firmware {
  /** OVMF for TDX, with Microsoft's keys and Secure Boot. */
  readonly tdvf: string;
  /** Debian's shim, signed by Microsoft, and its GRUB, signed by Debian: EFI programs. */
  readonly shim: string;
  readonly grub: string;
}

/** A file of a package. */
interface Source {
  readonly package: string;
  readonly file: RegExp;
  /** The suite that has it where this machine's sources have not. */
  readonly suite?: string;
}

const SOURCES: Readonly<Record<keyof Firmware, Source>> = {
  tdvf: { package: "ovmf-inteltdx", file: /^usr\/share\/ovmf\/OVMF\.inteltdx\.ms\.fd$/, suite: "sid" },
  shim: { package: "shim-signed", file: /^usr\/lib\/shim\/shimx64\.efi\.signed$/ },
  grub: { package: "grub-efi-amd64-signed", file: /^usr\/lib\/grub\/x86_64-efi-signed\/grubx64\.efi\.signed$/ },
};
const NAMES = Object.keys(SOURCES) as (keyof Firmware)[];

/** By which apt checks a suite that the system's sources do not name. */
const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** What {@link ensureFirmware} needs. */
export interface FirmwareOptions {
  /** Where it is kept. Default: `firmware` below the cache of the guests. */
  readonly dir?: string;
  readonly onProgress?: (progress: GuestProgress) => void;
}

/** What is in the cache already; null if a file is missing. Fetches nothing. */
export async function cachedFirmware(dir = join(guestCacheDir(), "firmware")): Promise<Firmware | null> {
  const present = await readdir(dir).catch(() => [] as string[]);
  return NAMES.every((name) => present.includes(name)) ? describe(dir) : null;
}

/**
 * Makes sure that the firmware is in the cache, about 20 MB to fetch with the lists of its suite, and says where. What is there is not fetched again.
 * @throws GuestError see {@link GuestErrorCode}
 */
export async function ensureFirmware(options: FirmwareOptions = {}): Promise<Firmware> {
  const dir = options.dir ?? join(guestCacheDir(), "firmware");
  const progress = options.onProgress ?? (() => undefined);
  return withLock(
    join(dir, "lock"),
    async () => (await cachedFirmware(dir)) ?? fetchAll(dir, progress),
    (pid) => progress({ step: `waiting for process ${pid}, which is fetching the firmware` }),
  );
}

async function fetchAll(dir: string, progress: (progress: GuestProgress) => void): Promise<Firmware> {
  const present = new Set(await readdir(dir));
  const apts = new Map<string, Awaited<ReturnType<typeof Apt.open>>>();
  const aptOf = async (suite = ""): Promise<Awaited<ReturnType<typeof Apt.open>>> => {
    const source = suite === "" ? undefined : `deb [signed-by=${KEYRING}] ${await debianMirror()} ${suite} main`;
    const step = "reading Debian's package lists";
    progress({ step });
    const apt =
      apts.get(suite) ?? (await Apt.open(join(dir, `apt${suite}`), (percent) => progress({ step, percent }), source));
    apts.set(suite, apt);
    return apt;
  };
  for (const name of NAMES) {
    if (present.has(name)) continue;
    const { package: wanted, suite } = SOURCES[name];
    let { apt, updateError } = await aptOf();
    let pkg = await apt.candidate(wanted);
    if (pkg === undefined && suite !== undefined) {
      ({ apt, updateError } = await aptOf(suite));
      pkg = await apt.candidate(wanted);
    }
    if (pkg === undefined) {
      const because = updateError === "" ? "" : ` (updating its lists failed: ${updateError})`;
      throw new GuestError("no-package", `apt on this machine offers no ${wanted}${because}`);
    }
    await fetchFile(apt, pkg, dir, name, progress);
  }
  for (const suite of apts.keys()) await rm(join(dir, `apt${suite}`), { recursive: true });
  return describe(dir);
}

async function fetchFile(
  apt: Apt,
  pkg: AptPackage,
  dir: string,
  name: keyof Firmware,
  progress: (progress: GuestProgress) => void,
): Promise<void> {
  const step = `fetching ${pkg.name} ${pkg.version} (${(pkg.size / 1e6).toFixed(1)} MB)`;
  progress({ step });
  const scratch = join(dir, "part");
  await rm(scratch, { recursive: true, force: true });
  const deb = await apt.download(pkg, scratch, "package.deb", (percent) => progress({ step, percent }));
  const { file } = SOURCES[name];
  await unpackDeb(deb, join(scratch, "files"), (path) => file.test(path));
  const paths = await readdir(join(scratch, "files"), { recursive: true }).catch(() => [] as string[]);
  const path = paths.find((candidate) => file.test(candidate));
  if (path === undefined)
    throw new GuestError("bad-package", `${pkg.name} ${pkg.version} holds no file like ${file.source}`);
  await writeWhole(join(dir, `${name}.txt`), `${pkg.name} ${pkg.version}: ${basename(path)}\n`);
  await rename(join(scratch, "files", path), join(dir, name));
  await rm(scratch, { recursive: true });
}

const describe = (dir: string): Firmware => ({
  tdvf: join(dir, "tdvf"),
  shim: join(dir, "shim"),
  grub: join(dir, "grub"),
});
