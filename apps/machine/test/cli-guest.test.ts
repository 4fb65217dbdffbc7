import { temporaryFolder } from "@vm/presets/testing";
import { expect, it, vi } from "vitest";
import { run } from "./cli.js";

it("where there is no apt-get, one sentence says what else can be booted, with status 2", async () => {
  vi.stubEnv("VM_CACHE_DIR", temporaryFolder());
  vi.stubEnv("PATH", temporaryFolder());
  expect(await run("boot", "--exec", "mkdir /x")).toEqual({
    status: 2,
    signal: null,
    stdout: "",
    stderr:
      "reading Debian's package lists\nvm: this machine has no apt-get, so no Debian package can be fetched; --builtin boots the small guest that comes " +
      "with it, --kernel VMLINUZ --initrd INITRAMFS a Linux of your own\n",
  });
});

it("a series of kernels that does not exist is one sentence", async () => {
  vi.stubEnv("VM_GUEST", "5.10");
  const { status, stderr } = await run("boot");
  expect([status, stderr]).toEqual([2, 'vm: VM_GUEST="5.10" is not a series of kernels; there are 6.1 and 6.12\n']);
});
