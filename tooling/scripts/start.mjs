// `npm start -- ARGS` is `vm boot ARGS`; where Debian's kernel cannot be had it boots the built-in guest.
import { guests } from "./_guests.mjs";
import { cli } from "./_paths.mjs";
import { prepare } from "./_prepare.mjs";
import { become, main } from "./_step.mjs";

const BUILT_IN =
  "; booting the small built-in guest instead. To boot a Linux of your own: npm start -- --kernel VMLINUZ --initrd INITRAMFS";

/** Whether the user's arguments already say what to boot, or ask for no boot at all. */
function isComplete(args) {
  return args.some((arg) =>
    ["--kernel", "--builtin", "--help", "-h", "--version"].some((flag) => arg === flag || arg.startsWith(`${flag}=`)),
  );
}

await main(async () => {
  const args = process.argv.slice(2);
  await prepare("@vm/machine...");
  const builtin = isComplete(args) || (await guests(BUILT_IN)) !== undefined ? [] : ["--builtin"];
  become(process.execPath, [...cli, "boot", ...builtin, ...args]);
});
