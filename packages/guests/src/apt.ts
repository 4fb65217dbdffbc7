/**
 * Debian's package archive through `apt-get`, without root rights and without touching the system's own apt state:
 * the lists, the cache and the (empty) dpkg status live in a private directory; sources and keys are the system's.
 */
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { GuestError } from "./errors.js";
import { exists, type Finished, run } from "./process.js";

/** A package as apt offers it. */
export interface AptPackage {
  readonly name: string;
  readonly version: string;
  /** Size of the .deb, bytes. */
  readonly size: number;
}

/** Percentage of the transfer under way, 0 to 100. */
export type TransferProgress = (percent: number) => void;

/** apt with a state of its own. */
export class Apt {
  private constructor(
    private readonly dir: string,
    private readonly config: string,
  ) {}

  /**
   * Sets up (or reuses) a private apt state in `dir` and brings its lists up to date.
   *
   * @param source a line of sources.list that takes the place of the system's sources
   * @throws GuestError `no-apt` where apt-get, apt-cache or dpkg-deb is missing. A failing update does not throw: some
   * sources of a machine may be out of reach while the ones needed are not, and the look-up that follows tells.
   */
  static async open(
    dir: string,
    onProgress?: TransferProgress,
    source?: string,
  ): Promise<{ apt: Apt; updateError: string }> {
    for (const program of ["apt-get", "apt-cache", "dpkg-deb"])
      if (!(await exists(program)))
        throw new GuestError("no-apt", `this machine has no ${program}, so no Debian package can be fetched`);
    const lists = join(dir, "lists");
    const cache = join(dir, "cache");
    await mkdir(join(lists, "partial"), { recursive: true });
    await mkdir(join(cache, "archives", "partial"), { recursive: true });
    await writeFile(join(dir, "status"), "");
    const config = join(dir, "apt.conf");
    const sourceList = join(dir, "sources.list");
    if (source !== undefined) await writeFile(sourceList, `${source}\n`);
    const sources =
      source === undefined ? [] : [`Dir::Etc::sourcelist "${sourceList}";`, 'Dir::Etc::sourceparts "/dev/null";'];
    await writeFile(config, aptConfig(dir, lists, cache, sources));
    const apt = new Apt(dir, config);
    const update = await apt.get(["update"], onProgress);
    return { apt, updateError: update.status === 0 ? "" : lastLines(update.stderr) };
  }

  /** Names of the installable packages that begin with `prefix`, in no particular order. */
  async names(prefix: string): Promise<string[]> {
    return (await this.cache(["pkgnames", prefix])).split("\n").filter((name) => name !== "");
  }

  /** What a (meta-)package depends on directly. Empty where apt does not know the package. */
  async depends(name: string): Promise<string[]> {
    const text = await this.cache(["depends", name]);
    return [...text.matchAll(/^ *\|?Depends: ([^<\s]+)$/gm)].map((match) => match[1] ?? "");
  }

  /** The version apt would install, or undefined where it knows none (virtual names included). */
  async candidate(name: string): Promise<AptPackage | undefined> {
    const text = await this.cache(["show", "--no-all-versions", name]);
    const field = (key: string) => new RegExp(`^${key}: (.*)$`, "m").exec(text)?.[1];
    const version = field("Version");
    if (field("Package") !== name || version === undefined) return undefined;
    return { name, version, size: Number(field("Size") ?? 0) };
  }

  /**
   * Fetches a package's .deb into `into` as `file`, checked by apt against the archive's signatures.
   * The file appears whole or not at all.
   *
   * @throws GuestError `fetch-failed` with apt's last words.
   */
  async download(pkg: AptPackage, into: string, file: string, onProgress?: TransferProgress): Promise<string> {
    const scratch = join(into, `${file}.part`);
    await rm(scratch, { recursive: true, force: true });
    await mkdir(scratch, { recursive: true });
    const done = await this.get(["download", `${pkg.name}=${pkg.version}`], onProgress, scratch);
    const found = await run("find", [scratch, "-name", "*.deb"]);
    const deb = found.stdout.split("\n")[0] ?? "";
    if (done.status !== 0 || deb === "")
      throw new GuestError("fetch-failed", `apt could not fetch ${pkg.name} ${pkg.version}: ${lastLines(done.stderr)}`);
    const target = join(into, file);
    await rename(deb, target);
    await rm(scratch, { recursive: true, force: true });
    return target;
  }

  private async cache(args: readonly string[]): Promise<string> {
    return (await run("apt-cache", ["-c", this.config, ...args], { cwd: this.dir })).stdout;
  }

  private get(args: readonly string[], onProgress?: TransferProgress, cwd = this.dir): Promise<Finished> {
    return run("apt-get", ["-c", this.config, "-qq", "-o", "APT::Status-Fd=3", ...args], {
      cwd,
      onStatus: (line) => {
        // dlstatus:item:percent:what
        const percent = /^dlstatus:[^:]*:([\d.]+):/.exec(line)?.[1];
        if (percent !== undefined) onProgress?.(Number(percent));
      },
    });
  }
}

/** The system's hooks are cleared: they would write outside the private state. The sandbox user could not write into it. */
function aptConfig(dir: string, lists: string, cache: string, sources: readonly string[]): string {
  return [
    ...sources,
    "#clear APT::Update::Pre-Invoke;",
    "#clear APT::Update::Post-Invoke;",
    "#clear APT::Update::Post-Invoke-Success;",
    'APT::Architecture "amd64";',
    'APT::Architectures { "amd64"; };',
    'APT::Sandbox::User "";',
    'Acquire::Languages "none";',
    'Acquire::Retries "3";',
    `Dir::State "${dir}";`,
    `Dir::State::lists "${lists}";`,
    `Dir::State::status "${join(dir, "status")}";`,
    `Dir::Cache "${cache}";`,
    'Dir::Cache::pkgcache "pkgcache.bin";',
    'Dir::Cache::srcpkgcache "srcpkgcache.bin";',
    `Dir::Log "${dir}";`,
    "",
  ].join("\n");
}

function lastLines(text: string): string {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  return lines.slice(-3).join("; ") || "no message";
}
