/** The disk with what the measured programs need and Debian does not have: an ext4 image, made once for what is in it. */
import { createHash, generateKeyPairSync } from "node:crypto";
import { chmod, copyFile, mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { BenchError } from "./errors.js";
import { measure } from "./measure.js";
import { benchCache, kernelSources, programSources } from "./paths.js";
import { guestScript, LABEL, PROGRAMS } from "./programs.js";

/** A change of how the disk is made, and not of what it is made from, is a new number. */
const RECIPE = 1;
const IMAGE_SIZE = "64M";
/** Where Debian 12's Go is in its root, and what it calls itself. */
const GO = "go-1.19";
/** Debian's administrators' programs, which may not be on the path. */
const SBIN = "/usr/sbin:/sbin";

async function must(program: string, ...args: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await measure("env", [`PATH=${process.env.PATH ?? ""}:${SBIN}`, program, ...args]);
  if (status !== 0) throw new BenchError(`${program} ended with ${status}: ${stderr.trim().slice(-500)}`);
  return stdout;
}

/** 120,000 lines of a word and a number, the same every time (a linear congruential generator; Knuth's MMIX constants). */
function lines(): string {
  let state = 1n;
  const next = () => {
    state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn;
    return Number(state >> 33n);
  };
  return Array.from({ length: 120_000 }, () => `${(next() % 40_000).toString(36)} ${next() % 1_000_000} line`)
    .join("\n")
    .concat("\n");
}

/** Builds work.go with the Go that is in the root: it is statically linked and runs here as well. */
async function buildGo(distroImage: string, scratch: string, out: string): Promise<void> {
  for (const directory of ["lib", "share"]) {
    await mkdir(join(scratch, directory), { recursive: true });
    // It goes on after errors and ends with 0, so what it made is looked at.
    await must("debugfs", "-R", `rdump /usr/${directory}/${GO} ${join(scratch, directory)}`, distroImage);
  }
  const root = join(scratch, "lib", GO);
  if ((await stat(join(root, "bin/go")).catch(() => undefined)) === undefined)
    throw new BenchError(`debugfs found no ${GO} in the Debian root`);
  const settings = { GOROOT: root, GOCACHE: join(scratch, "cache"), GOFLAGS: "-trimpath", CGO_ENABLED: "0" };
  const environment = Object.entries({ ...settings, HOME: scratch }).map(([name, value]) => `${name}=${value}`);
  const go = await measure("env", [
    ...environment,
    `${root}/bin/go`,
    "build",
    "-o",
    out,
    join(programSources, "work.go"),
  ]);
  if (go.status !== 0) throw new BenchError(`go build failed: ${go.stderr.slice(-500)}`);
}

/**
 * Makes sure the disk is there.
 * @param busybox a static one @param distroImage the Debian root, for its Go
 * @throws BenchError where gcc with a static libc, mkfs.ext4 or debugfs is missing or fails
 */
export async function ensureProgramDisk(
  busybox: string,
  distroImage: string,
  say: (text: string) => void,
): Promise<string> {
  const script = guestScript(PROGRAMS);
  const sources = (await readdir(programSources)).sort().map((name) => join(programSources, name));
  const inputs = [...sources, join(kernelSources, "work.c"), busybox];
  const hash = createHash("sha256").update(`${RECIPE} ${script} ${distroImage}`);
  for (const path of inputs) hash.update(await readFile(path));
  const image = join(benchCache, `programs-${hash.digest("hex").slice(0, 16)}.img`);
  if ((await stat(image).catch(() => undefined)) !== undefined) return image;
  say("making the disk with the programs");
  const scratch = `${image}.part`;
  await rm(scratch, { recursive: true, force: true });
  const tree = join(scratch, "tree");
  await mkdir(tree, { recursive: true });
  for (const path of inputs) {
    const name = path.slice(path.lastIndexOf("/") + 1);
    if (!path.startsWith(programSources) || !name.endsWith(".c")) await copyFile(path, join(tree, name));
    else await must("gcc", "-O2", "-static", path, "-o", join(tree, name.slice(0, -2)), "-lm");
  }
  await chmod(join(tree, "busybox"), 0o755);
  await buildGo(distroImage, join(scratch, "go"), join(tree, "go-work"));
  await writeFile(join(tree, "run.sh"), script);
  await writeFile(join(tree, "lines"), lines());
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  await writeFile(join(tree, "key.pem"), privateKey.export({ type: "pkcs1", format: "pem" }));
  await must("mkfs.ext4", "-q", "-F", "-L", LABEL, "-d", tree, join(scratch, "image"), IMAGE_SIZE);
  await rename(join(scratch, "image"), image);
  await rm(scratch, { recursive: true, force: true });
  return image;
}
