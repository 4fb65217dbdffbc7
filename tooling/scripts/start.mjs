// `npm start -- ARGS` is `vm boot ARGS`, with Debian's kernel and our initramfs unless ARGS name a kernel.
// VM_GUEST=6.12 takes that kernel series instead of 6.1.
import { guests } from "./_guests.mjs";
import { cli } from "./_paths.mjs";
import { prepare } from "./_prepare.mjs";
import { become, main } from "./_step.mjs";

const BUILT_IN =
  "; booting the small built-in guest instead. To boot a Linux of your own: npm start -- --kernel VMLINUZ --initrd INITRAMFS";

/** Whether the user's arguments already say what to boot, or ask for no boot at all. */
function isComplete(args) {
  return args.some((arg) =>
    ["--kernel", "--help", "-h", "--version"].some((flag) => arg === flag || arg.startsWith(`${flag}=`)),
  );
}

async function guestArgs(args) {
  if (isComplete(args)) return [];
  const found = await guests(BUILT_IN);
  if (found === undefined) return [];
  const series = process.env.VM_GUEST || Object.keys(found.kernels)[0];
  const initrd = args.some((arg) => arg === "--initrd" || arg.startsWith("--initrd="))
    ? []
    : ["--initrd", found.initrd(series)];
  return ["--kernel", found.kernel(series), ...initrd];
}

await main(async () => {
  const args = process.argv.slice(2);
  await prepare("@vm/machine...", "@vm/guests...");
  become(process.execPath, [...cli, "boot", ...(await guestArgs(args)), ...args]);
});
