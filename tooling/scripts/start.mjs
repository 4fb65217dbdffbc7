// `npm start -- ARGS` is `vm boot ARGS`; where Debian's kernel cannot be had it boots the built-in guest. At a terminal and without arguments the guest is
// booted once, saved at its prompt, and from then on goes on from there.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { guests } from "./_guests.mjs";
import { cli, root } from "./_paths.mjs";
import { prepare } from "./_prepare.mjs";
import { become, main } from "./_step.mjs";

const BUILT_IN =
  "; booting the small built-in guest instead. To boot a Linux of your own: npm start -- --kernel VMLINUZ --initrd INITRAMFS";
/** Where booted guests are kept, each by what it was made of. */
const BOOTED = `${root}.cache/booted`;

/** Whether the user's arguments already say what to boot, or ask for no boot at all. */
function isComplete(args) {
  return args.some((arg) =>
    ["--kernel", "--builtin", "--help", "-h", "--version"].some((flag) => arg === flag || arg.startsWith(`${flag}=`)),
  );
}

/** Name of what this build makes of this guest. */
function nameOf(kernel, initrd) {
  const dist = `${root}apps/machine/dist/`;
  const hash = createHash("sha256").update(kernel).update(initrd);
  for (const file of readdirSync(dist).sort())
    if (file.endsWith(".js")) hash.update(file).update(readFileSync(dist + file));
  return hash.digest("hex").slice(0, 16);
}

/** Whether a snapshot is there that can be gone on from; what is damaged is removed. */
async function isSaved(folder) {
  if (!existsSync(`${folder}/snapshot`)) return false;
  const { loadSnapshot, SnapshotError } = await import(`${root}apps/machine/dist/node.js`);
  try {
    await (await loadSnapshot(folder, { lazy: true })).close();
    return true;
  } catch (error) {
    if (!(error instanceof SnapshotError)) throw error;
    rmSync(folder, { recursive: true });
    return false;
  }
}

/** Arguments of `vm boot` for a guest at its prompt: from where it was saved, or else so that it is. */
async function warm({ kernels, kernel, initrd }) {
  const series = process.env.VM_GUEST || Object.keys(kernels)[0];
  if (kernels[series] === undefined) return [];
  const folder = `${BOOTED}/${nameOf(kernel(series), initrd(series))}`;
  if (await isSaved(folder)) {
    process.stderr.write("going on from where the guest was booted before; VM_FRESH=1 npm start boots it anew\n");
    return ["--snapshot", folder, "--lazy"];
  }
  // Those of other builds are of no use any more.
  rmSync(BOOTED, { recursive: true, force: true });
  mkdirSync(BOOTED, { recursive: true });
  return ["--snapshot-at", `ready:${folder}`];
}

await main(async () => {
  const args = process.argv.slice(2);
  await prepare("@vm/machine...");
  if (isComplete(args)) return become(process.execPath, [...cli, "boot", ...args]);
  const found = await guests(BUILT_IN);
  const isTerminal = process.stdin.isTTY === true && process.stdout.isTTY === true;
  const keeps = found !== undefined && args.length === 0 && isTerminal && !process.env.VM_FRESH;
  const own = found === undefined ? ["--builtin"] : keeps ? await warm(found) : [];
  become(process.execPath, [...cli, "boot", ...own, ...args]);
});
