import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { parseSaveRequest } from "../../src/cli/control/protocol.js";
import { ControlSocket } from "../../src/cli/control/socket.js";
import { createMachine, type Machine } from "../../src/index.js";
import { loadSnapshot } from "../../src/node.js";
import { run } from "../td/in-process.js";

const folder = mkdtempSync(join(tmpdir(), "vm-control-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** A machine that runs and listens at a socket. */
async function listening(name: string): Promise<{ machine: Machine; path: string; end: () => Promise<void> }> {
  const path = join(folder, name);
  const machine = await createMachine({ memory: 16 << 20 });
  const close = await (await ControlSocket.prepare(path)).listen(machine);
  void machine.run();
  const end = async (): Promise<void> => {
    close();
    machine.stop();
    await machine.run();
  };
  return { machine, path, end };
}

/** All that is answered to `text`. */
const said = (path: string, text: string): Promise<string> =>
  new Promise((resolve, reject) => {
    let answer = "";
    const socket = connect(path, () => socket.end(text));
    socket.setEncoding("utf8").on("data", (piece: string) => {
      answer += piece;
    });
    socket.on("end", () => resolve(answer)).on("error", reject);
  });

describe("vm snapshot save", () => {
  it("saves a machine that runs, against a parent too, and ends it if asked; what was saved goes on", async () => {
    const { machine, path, end } = await listening("one");
    const [first, second] = [join(folder, "first"), join(folder, "second")];
    const saved = await run("snapshot", "save", first, "--control", path);
    expect(saved).toMatchObject({ status: 0, stdout: "" });
    expect(saved.stderr).toMatch(/^vm: saved to .*first, \d+\.\d MB\n$/);
    expect(machine.ended).toBeNull();
    const next = await run("snapshot", "save", second, "--control", path, "--parent", first, "--stop");
    expect(next.status).toBe(0);
    expect((await machine.run()).reason).toBe("stopped");
    const stored = await loadSnapshot(second);
    const restored = await createMachine({ snapshot: stored });
    await stored.close();
    restored.console.write("exit 9\n");
    expect(await restored.run()).toEqual({ reason: "power-off", status: 9 });
    await end();
    expect(existsSync(path)).toBe(false);
  });

  it.each<[string, string[], RegExp]>([
    [
      "nobody listens",
      ["--control", join(folder, "none")],
      /^vm: --control .*none: no machine listens there: expected/,
    ],
    ["no socket", ["--control", join(folder, "file")], /^vm: --control .*file: (it is no socket|nobody listens)/],
    ["no path of one", ["--control", "x".repeat(200)], /^vm: --control x+: the path has 200 bytes/],
  ])("%s is one sentence", async (_, args, message) => {
    writeFileSync(join(folder, "file"), "");
    const { status, stderr } = await run("snapshot", "save", join(folder, "x"), ...args);
    expect([status, stderr]).toEqual([2, expect.stringMatching(message)]);
    expect(stderr.trim()).not.toContain("\n");
  });

  it("says why it could not be saved, and the guest goes on", async () => {
    const { machine, path, end } = await listening("two");
    const { status, stderr } = await run("snapshot", "save", join(folder, "no", "such"), "--control", path);
    expect(status).toBe(2);
    expect(stderr).toMatch(/cannot be written: the folder that it is to lie in is not there/);
    expect(machine.ended).toBeNull();
    await end();
  });
});

describe("a machine that listens", () => {
  it("answers what is no request with an error, and ends the connection", async () => {
    const { path, end } = await listening("three");
    for (const text of [
      "\n",
      "[]\n",
      "null\n",
      '{"snapshot":"relative"}\n',
      "x".repeat(5000),
      "{}",
      '{"snapshot":"/x","y":1}\n',
    ])
      expect(JSON.parse(await said(path, text))).toEqual({ error: expect.any(String) });
    await end();
  });

  it("is not listened for where another one does, or where no socket can be", async () => {
    const { path, end } = await listening("four");
    await expect(ControlSocket.prepare(path)).rejects.toThrow(/--control .*four: another program listens there/);
    await expect(ControlSocket.prepare(join(folder, "no", "such"))).rejects.toThrow(/no such directory/);
    await end();
  });

  it("reads a request only if it is one", () => {
    expect(parseSaveRequest('{"snapshot":"/a"}')).toEqual({ snapshot: "/a", parent: null, stop: false });
    for (const text of [
      '{"snapshot":"/a\\u0000"}',
      '{"snapshot":"/a","stop":1}',
      '{"snapshot":"/a","parent":"b"}',
      "{",
    ])
      expect(() => parseSaveRequest(text)).toThrow();
  });
});
