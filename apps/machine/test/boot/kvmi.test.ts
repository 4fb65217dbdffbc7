import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { streamTransport } from "@vm/kvmi";
import { afterAll, describe, expect, it } from "vitest";
import { run, vm } from "../cli.js";
import { Fuzzer } from "../kvmi/fuzzer.js";
import { random } from "../kvmi/random.js";
import { bootFlags, guests, KERNELS } from "./debian.js";

const dir = mkdtempSync(join(tmpdir(), "vm-kvmi-"));
afterAll(() => rmSync(dir, { recursive: true }));

/** KVMI_FUZZ=1000000 for the long run. */
const MESSAGES = Number(process.env.KVMI_FUZZ ?? 2000);
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const PID = /^ *\d+/;
/**
 * What does not change while a guest does nothing: not the listing command itself, nor the moment's work of kernel workers; these come
 * and go, so only those of the `other` listing count.
 */
function lasting(listing: string, other: string): string[] {
  const others = new Set(other.split("\n").map((line) => PID.exec(line)?.[0]));
  return listing
    .split("\n")
    .filter((line) => line.trim() !== "" && !/ps;|sleep|listed/.test(line))
    .filter((line) => !line.includes("[kworker/") || others.has(PID.exec(line)?.[0]))
    .map((line) => line.replace(/(\[kworker\/[^-+\]]*)[^\]]*\]/, "$1]"));
}

describe.skipIf(guests === null)("Debian from outside", () => {
  it.each(KERNELS)("%s: vm ps lists what ps lists inside", async (series) => {
    const socket = join(dir, series);
    const machine = vm(...bootFlags(series), "--kvmi", socket, "--exec", "ps; echo listed; exec sleep 600");
    const inside = await machine.until("listed\n");
    const { status, stdout, stderr } = await run("ps", "--kvmi", socket);
    machine.process.kill();
    expect([status, stderr]).toEqual([0, ""]);
    expect(lasting(stdout, inside)).toEqual(lasting(inside, stdout));
    expect(lasting(stdout, inside).length).toBeGreaterThan(30);
    await machine.ended;
  });

  it("a task that names itself after escape sequences and rows of ps is shown, and does nothing", async () => {
    const socket = join(dir, "names");
    const rename = "printf '\\033[2J\\n\\233 1 0' > /proc/self/comm; echo renamed; while :; do : > /dev/null; done";
    const machine = vm(...bootFlags("6.1"), "--kvmi", socket, "--exec", rename);
    await machine.until("renamed\n");
    const ps = await run("ps", "--kvmi", socket);
    const json = await run("ps", "--kvmi", socket, "--json");
    const trace = await run("kvmi", "trace", "--kvmi", socket, "--syscalls", "--count", "20");
    machine.process.kill();
    await machine.ended;
    for (const { status, stdout } of [ps, json, trace]) {
      expect(status).toBe(0);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: nothing else may be there
      expect(stdout).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f-\x9f]/);
    }
    expect(ps.stdout).toMatch(/^ *\d+ 0 +\{\\x1b\[2J\\x0a\\x9b 1 0\} /m);
    expect(JSON.parse(json.stdout)).toContainEqual(expect.objectContaining({ name: "\x1b[2J\n\udc9b 1 0" }));
    expect(trace.stdout).toMatch(/^\d+\.\d{6} vcpu0 \\x1b\[2J\\x0a\\x9b 1 0\[\d+\] \w+\(/m);
  });

  it("vm ps waits for a guest that still boots until its first process runs a program", async () => {
    const socket = join(dir, "early");
    const listing = vm("ps", "--kvmi", socket);
    const machine = vm(...bootFlags("6.1"), "--kvmi", socket, "--exec", "exec sleep 600");
    const { status, stdout } = await listing.ended;
    expect([status, stdout]).toEqual([0, expect.stringMatching(/^PID .*\n +1 0 +.*(?:vm-agent|init)/)]);
    machine.process.kill();
    await machine.ended;
  });

  it(`boots while tools send it anything, ${MESSAGES} messages, and then is there for the next`, async () => {
    const socket = join(dir, "fuzz");
    const next = random(7);
    const harmless = { scratch: null, exceptions: false };
    let sent = 0;
    let replies = 0;
    let enough = (): void => undefined;
    const done = new Promise<void>((resolve) => {
      enough = resolve;
    });
    const listener = createServer(async (stream) => {
      if (sent >= MESSAGES) {
        stream.destroy();
        return;
      }
      const tool = new Fuzzer({ dialect: "libkvmi", random: next, vcpus: 1, harmless }, streamTransport(stream));
      for (let k = next(400); k > 0 && !tool.closed && tool.send(); k--) if (next(3) === 0) await turn();
      tool.close();
      sent += tool.sent;
      replies += tool.replies;
      if (sent >= MESSAGES) enough();
    }).listen(socket);
    const machine = vm(...bootFlags("6.1"), "--kvmi", socket, "--exec", "echo begun; exec sleep 600");
    await Promise.all([machine.until("begun\n"), done]);
    listener.close();
    const { status, stdout } = await run("ps", "--kvmi", socket);
    machine.process.kill();
    await machine.ended;
    expect([status, stdout]).toEqual([0, expect.stringContaining("sleep 600")]);
    expect(replies).toBeGreaterThan(MESSAGES / 20);
  }, 3_600_000);

  it("tools come and go, also by being killed; each sees what the guest does", async () => {
    const socket = join(dir, "trace");
    const busy = "while :; do cat /proc/uptime; done > /dev/null";
    const machine = vm(...bootFlags("6.1"), "--kvmi", socket, "--exec", `echo begun; ${busy}`);
    await machine.until("begun\n");
    const killed = vm("kvmi", "trace", "--kvmi", socket, "--syscalls");
    await killed.until(/ cat\[\d+\] openat\(.*\n/);
    killed.process.kill("SIGKILL");
    expect(killed.stdout).toMatch(/^\d+\.\d{6} vcpu0 cat\[\d+\] openat\(AT_FDCWD, "\/proc\/uptime", O_RDONLY\) = 3$/m);
    await killed.ended;
    const common = ["--kvmi", socket, "--count", "5"];
    const switches = await run("kvmi", "trace", ...common, "--cr3");
    expect(switches.status).toBe(0);
    expect(switches.stdout).toMatch(/^(\d+\.\d{6} vcpu0 cr3 0x[0-9a-f]+ -> 0x[0-9a-f]+\n){5}$/);
    const fetches = await run("kvmi", "trace", ...common, "--exec", "do_exit");
    expect(fetches.stdout).toMatch(/^(\d+\.\d{6} vcpu0 exec 0xffffffff[0-9a-f]{8} \(physical 0x[0-9a-f]+\)\n){5}$/);
    machine.process.kill();
    await machine.ended;
  });

  it.each(KERNELS)("%s: calls of kernel functions, with arguments and results", async (series) => {
    const socket = join(dir, `calls-${series}`);
    const busy = "while :; do ls /nowhere; echo hi > /tmp/x; rm /tmp/x; done > /dev/null 2>&1";
    const machine = vm(...bootFlags(series), "--kvmi", socket, "--exec", `echo begun; ${busy}`);
    await machine.until("begun\n");
    const names = "do_sys_openat2,vfs_fstatat,vfs_unlink";
    const flags = ["--syscalls", "--function", names, "--return", "--count", "90"];
    const { status, stdout } = await run("kvmi", "trace", "--kvmi", socket, ...flags);
    expect(status).toBe(0);
    for (const call of [
      String.raw`sh\[\d+\] do_sys_openat2\(dfd=-100, filename="/tmp/x", how=0xffff[0-9a-f]{12}\) = 3`,
      String.raw`ls\[\d+\] vfs_fstatat\(dfd=-100, filename="/nowhere", stat=0xffff[0-9a-f]{12}, flags=\d+\) = -2 ENOENT`,
      String.raw`rm\[\d+\] vfs_unlink\(\w+=0xffff[0-9a-f]{12}, dir=.*\) = 0`,
      String.raw`sh\[\d+\] openat\(AT_FDCWD, "/tmp/x", O_WRONLY\|O_CREAT\|O_TRUNC, 0666\) = 3`,
      String.raw`sh\[\d+\] write\(1, "hi\\n", 3\) = 3`,
      String.raw`rm\[\d+\] unlink\("/tmp/x"\) = 0`,
      String.raw`ls\[\d+\] newfstatat\(AT_FDCWD, "/nowhere", 0x[0-9a-f]+, 0\) = -1 ENOENT`,
      String.raw`ls\[\d+\] exit_group\(\d\) = \?`,
    ])
      expect(stdout).toMatch(new RegExp(String.raw`^\d+\.\d{6} vcpu0 ${call}$`, "m"));
    machine.process.kill();
    await machine.ended;
  });

  it("vm kvmi conf: what LibVMI is told of a kernel, also one that has moved itself", async () => {
    const socket = join(dir, "conf");
    const map = join(dir, "System.map");
    const machine = vm(...bootFlags("6.1"), "--unpack", "guest", "--kvmi", socket, "--exec", "exec sleep 600");
    const { status, stdout } = await run("kvmi", "conf", "--kvmi", socket, "--sysmap", map, "--name", "guest-1");
    machine.process.kill();
    await machine.ended;
    expect(status).toBe(0);
    const numbers = "linux_name linux_tasks linux_mm linux_pid linux_pgd linux_init_task linux_kaslr kpgd".split(" ");
    const rows = numbers.map((name) => `    ${name} = (0x[0-9a-f]+);\n`).join("");
    const entry = new RegExp(`^guest-1 {\n    ostype = "Linux";\n    sysmap = "${map}";\n${rows}}\n$`).exec(stdout);
    const value = (name: string): bigint => BigInt(entry?.[1 + numbers.indexOf(name)] ?? 0);
    const symbols = readFileSync(map, "utf8");
    expect(symbols).toMatch(/^ffffffff81000000 T _text$/m);
    const linked = BigInt(`0x${/^([0-9a-f]{16}) D init_task$/m.exec(symbols)?.[1]}`);
    expect(value("linux_kaslr")).toBeGreaterThan(0n);
    expect(value("linux_init_task")).toBe(linked + value("linux_kaslr"));
  });
});
