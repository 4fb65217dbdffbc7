import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { al, dx, eax, ecx, edi, mem, rcx, rdi, short } from "@vm/asm";
import { afterAll, describe, expect, it } from "vitest";
import { run, vm } from "../cli.js";
import { elfKernel } from "../guest.js";
import { notifyDisk, RING, startDisk } from "../virtio-guest.js";

const dir = mkdtempSync(join(tmpdir(), "vm-disk-cli-"));
afterAll(() => rmSync(dir, { recursive: true }));

const image = (name: string, size = 65536): string => {
  const path = join(dir, name);
  writeFileSync(path, "");
  truncateSync(path, size);
  return path;
};
const noFlock = spawnSync("flock", ["--version"]).error !== undefined;
const BUILTIN = ["boot", "--builtin", "--memory", "16M"];

describe("--disk", () => {
  it("refuses the same image twice, with a sentence and status 2, and takes it with lock=off", async () => {
    const path = image("twice.img");
    const twice = await run(...BUILTIN, "--disk", path, "--disk", path, "--exec", "echo x");
    expect(twice).toMatchObject({ status: 2, stdout: "" });
    expect(twice.stderr).toBe(`vm: --disk ${path}: this process has it open for writing already\n`);
    expect(await run(...BUILTIN, "--disk", path, "--disk", `${path},lock=off`, "--exec", "echo x")).toMatchObject({
      status: 0,
    });
  });

  it.skipIf(noFlock)(
    "refuses an image that another machine writes, until that one is gone, however it went",
    async () => {
      const path = image("shared.img");
      const first = vm(...BUILTIN, "--disk", path);
      await first.until("vm> ");
      for (const mode of ["", ":ro", ":overlay"]) {
        const second = await run(...BUILTIN, "--disk", `${path}${mode}`, "--exec", "echo x");
        expect(second).toMatchObject({ status: 2, stdout: "" });
        expect(second.stderr).toContain("another process has it open");
      }
      first.process.kill("SIGKILL");
      await first.ended;
      expect(await run(...BUILTIN, "--disk", path, "--exec", "echo x")).toMatchObject({ status: 0, stdout: "x\n" });
    },
  );

  it("refuses a format that is not read, by name", async () => {
    const path = image("disk.vmdk");
    writeFileSync(path, Buffer.concat([Buffer.from("KDMV"), Buffer.alloc(508)]));
    const refused = await run(...BUILTIN, "--disk", path, "--exec", "echo x");
    expect(refused).toMatchObject({ status: 2, stdout: "" });
    expect(refused.stderr).toContain("its format is VMDK, which is not read");
  });
});

describe("a guest that asks a disk for a terabyte by one notification", () => {
  const kernel = join(dir, "flood");
  writeFileSync(
    kernel,
    elfKernel((a) => {
      // Descriptor 0 reads a header of zeros: IN, sector 0. Then 254 buffers of 16 MiB, and a status byte; 256 times the same.
      const next = a.label("next");
      a.mov(edi, RING.desc).mov(ecx, 0);
      a.bind(next);
      a.mov(mem(rdi, { size: 4 }), 0x60_0000).mov(mem(rdi, { disp: 8, size: 4 }), 0x100_0000);
      a.mov(eax, ecx)
        .inc(eax)
        .shl(eax, 16)
        .or(eax, 3)
        .mov(mem(rdi, { disp: 12, size: 4 }), eax);
      a.add(rdi, 16).inc(rcx).cmp(ecx, 255).jne(short(next));
      a.mov(mem(rdi, { size: 4 }), 0x58_0000)
        .mov(mem(rdi, { disp: 8, size: 4 }), 1)
        .mov(mem(rdi, { disp: 12, size: 4 }), 2);
      a.mov(edi, RING.desc)
        .mov(mem(rdi, { size: 4 }), 0x50_0000)
        .mov(mem(rdi, { disp: 8, size: 4 }), 16);
      a.mov(mem(rdi, { disp: 12, size: 4 }), 0x1_0001);
      startDisk(a);
      a.mov(edi, RING.avail).mov(mem(rdi, { size: 4 }), 256 << 16);
      notifyDisk(a);
      a.mov(dx, 0x3f8).mov(al, 0x44).out(dx, al);
      a.jmp(short(a.here("self")));
    }),
  );
  const disk = image("vast.img", 8 * 2 ** 30);
  const flood = ["boot", "--kernel", kernel, "--disk", `${disk}:ro`];

  it.each(["host", "icount"])("does not keep --timeout waiting, clock %s", async (clock) => {
    const { status, stdout } = await run(...flood, "--timeout", "1", "--clock", clock);
    expect(status).toBe(124);
    // Where time is the host's, the guest goes on meanwhile: as far as a busy host lets it.
    expect(clock === "host" ? ["", "D"] : [""]).toContain(stdout);
  });

  it("does not keep SIGTERM waiting", async () => {
    const running = vm(...flood);
    await running.until("D");
    running.process.kill("SIGTERM");
    expect((await running.ended).signal).toBe("SIGTERM");
  });
});
