import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Btf } from "@vm/bpf-storage";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { askMachine } from "../../src/cli/bpf/inventory/ask.js";
import { Inventory } from "../../src/cli/bpf/inventory/inventory.js";
import { serve } from "../../src/cli/bpf/inventory/server.js";
import { MachineSocket } from "../../src/cli/bpf/machine-socket.js";
import type { MachineHandle } from "../../src/plugin.js";
import { about, loadedSource, printed } from "./inventory.js";

const kernel = loadedSource("values").loaded.object.btf as Btf;
const source = loadedSource("values", kernel);
const inventory = new Inventory([source]);
let folder = "";
let path = "";
let stop: () => void = () => undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vm-bpf-"));
  path = join(folder, "socket");
});
afterEach(() => {
  stop();
  stop = () => undefined;
  rmSync(folder, { recursive: true, force: true });
});

/** Everything that comes until the other side ends. */
const wholeOf = (socket: Socket): Promise<string> =>
  new Promise((resolve) => {
    let text = "";
    socket.on("data", (piece) => {
      text += piece.toString();
    });
    socket.on("end", () => socket.destroy());
    socket.on("error", () => socket.destroy());
    socket.on("close", () => resolve(text));
  });

/** What is answered to bytes of a client, until the connection ends. */
function said(bytes: string | Buffer): Promise<string> {
  const socket = connect({ path, allowHalfOpen: true });
  socket.write(bytes);
  return wholeOf(socket);
}

const exists = (file: string): boolean => statSync(file, { throwIfNoEntry: false }) !== undefined;

describe("the socket of vm boot --bpf-socket", () => {
  it("answers as the inventory does, for its owner only, and is gone at the end", async () => {
    stop = await serve(path, inventory);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const [here, there] = [about(source), askMachine(path)];
    for (const json of [false, true]) {
      expect(await printed(there, "prog", "show", "", json)).toBe(await printed(here, "prog", "show", "", json));
      expect(await printed(there, "map", "dump", "name values.data", json)).toBe(
        await printed(here, "map", "dump", "name values.data", json),
      );
      expect(await printed(there, "btf", "dump", "id 1", json)).toBe(await printed(here, "btf", "dump", "id 1", json));
      expect(await printed(there, "link", "show", "", json)).toBe(await printed(here, "link", "show", "", json));
    }
    expect(await printed(there, "btf", "show", "id 1")).toMatch(/^1: name \[vmlinux\] /);
    await expect(printed(there, "map", "show", "id 99")).rejects.toThrow("no map with id 99");
    stop();
    expect(exists(path)).toBe(false);
  });

  it("answers several requests of a client one after the other, and several clients", async () => {
    stop = await serve(path, inventory);
    const request = '{"subject":"map","command":"show","id":1}\n';
    const lines = await Promise.all(
      [1, 2, 3].map(async () => {
        const socket = connect({ path, allowHalfOpen: true });
        socket.end(request.repeat(50));
        return (await wholeOf(socket)).split("\n");
      }),
    );
    for (const of of lines) {
      expect(of.length).toBe(51);
      expect(new Set(of.slice(0, 50)).size).toBe(1);
    }
  });

  it("answers what is no request with an error, and ends the connection", async () => {
    stop = await serve(path, inventory);
    const wrong: readonly (readonly [string | Buffer, RegExp])[] = [
      ["GET / HTTP/1.1\r\n\r\n", /no JSON/],
      ["[]\n", /no object/],
      ["null\n", /no object/],
      ['{"subject":"prog"}\n', /command on prog: expected one of show, dump/],
      ['{"subject":"__proto__","command":"show"}\n', /subject: expected one of/],
      ['{"subject":"prog","command":"show","id":-1}\n', /id: expected a number/],
      ['{"subject":"prog","command":"show","id":1,"name":"a"}\n', /expected one of them/],
      ['{"subject":"prog","command":"dump"}\n', /dump of prog: expected one of id, name, tag/],
      ['{"subject":"map","command":"lookup","id":1}\n', /expected a key/],
      ['{"subject":"map","command":"lookup","id":1,"key":"0"}\n', /key: expected bytes/],
      ['{"subject":"prog","command":"show","more":1}\n', /"more": expected one of/],
      [`{"subject":"${"x".repeat(4096)}"}\n`, /more than 4096 bytes/],
      ["x".repeat(100_000), /more than 4096 bytes/],
      [Buffer.from(Array.from({ length: 256 }, (_, k) => k)), /no JSON/],
    ];
    for (const [bytes, reason] of wrong) {
      const { error } = JSON.parse(await said(bytes)) as { error: string };
      expect(error).toMatch(reason);
    }
    // The others have noticed nothing.
    expect(await printed(askMachine(path), "prog", "show", "id 3")).toContain("xdp  name pass");
  });

  it("keeps no more than a piece for a client that does not read, turns it away, and answers others meanwhile", async () => {
    stop = await serve(path, inventory, { patience: 300 });
    const before = process.memoryUsage().arrayBuffers + process.memoryUsage().external;
    const request = '{"subject":"btf","command":"dump","id":2}\n';
    const deaf = Array.from({ length: 8 }, () => {
      const socket = connect({ path });
      socket.on("error", () => socket.destroy());
      // Nobody reads what comes; requests for more of it fill the way there.
      socket.pause();
      for (let k = 0; k < 2000; k++) socket.write(request);
      return socket;
    });
    expect(await printed(askMachine(path), "prog", "show", "id 3")).toContain("xdp  name pass");
    // Each would be answered by 9 MB.
    expect(process.memoryUsage().arrayBuffers + process.memoryUsage().external - before).toBeLessThan(16 << 20);
    // When one who has come later and says nothing is turned away, they have been.
    expect(await wholeOf(connect({ path }))).toBe("");
    for (const socket of deaf) expect((await wholeOf(socket.resume())).length).toBeLessThan(1 << 20);
    expect(await printed(askMachine(path), "prog", "show", "id 1")).toContain("name tail");
  });

  it("turns away a seventeenth client", async () => {
    stop = await serve(path, inventory);
    const clients = await Promise.all(
      Array.from(
        { length: 16 },
        () =>
          new Promise<Socket>((resolve) => {
            const socket = connect({ path }, () => resolve(socket));
          }),
      ),
    );
    expect(await wholeOf(connect({ path }))).toBe("");
    const [first, ...rest] = clients as [Socket, ...Socket[]];
    for (const socket of rest) socket.destroy();
    const answer = wholeOf(first);
    first.end('{"subject":"link","command":"show","id":9}\n');
    expect(JSON.parse(await answer)).toEqual({ error: expect.stringContaining("no link with id 9: there is 1, 2, 3") });
  });

  it("turns away who says nothing", async () => {
    stop = await serve(path, inventory, { patience: 50 });
    expect(await wholeOf(connect({ path }))).toBe("");
  });

  it("does not hold up the event loop: a large table that is empty is looked at in turns with other clients", async () => {
    const big = loadedSource("values");
    const { runtime, loaded } = big;
    const map = runtime.createMap({
      ...{ type: 3, keySize: 4, valueSize: 4, maxEntries: 1 << 20, flags: 0, name: "vast" },
    });
    const maps = new Map([...loaded.maps, ["vast", map] as const]);
    stop = await serve(path, new Inventory([{ ...big, loaded: { ...loaded, maps } }]));
    const order: string[] = [];
    const slow = printed(askMachine(path), "map", "dump", "name vast").then((text) => {
      order.push("slow");
      return text;
    });
    await printed(askMachine(path), "map", "show", "name vast");
    order.push("quick");
    expect(await slow).toBe("Found 0 elements\n");
    expect(order).toEqual(["quick", "slow"]);
  });
});

describe("a machine with --bpf-socket", () => {
  const attached = {
    ...{ runtime: source.runtime, loaded: source.loaded, kernel, lost: 0 },
    *taskStorage() {
      yield { address: 0xffff_8880_0000_1000n, value: new Uint8Array(8) };
    },
  };
  const install = async (socket: MachineSocket): Promise<() => void> =>
    (await socket.plugin.install({} as MachineHandle)) as () => void;
  const listening = async (): Promise<void> => {
    while (!exists(path)) await new Promise((resolve) => setImmediate(resolve));
  };

  it("listens when all objects have been attached or have failed, and not before", async () => {
    const socket = await MachineSocket.prepare(path, 2);
    stop = await install(socket);
    socket.attached(1, "/a/values.bpf.o", attached);
    expect(exists(path)).toBe(false);
    socket.failed();
    await listening();
    const links = await printed(askMachine(path), "link", "show", "");
    expect(links).toMatch(/^1: perf_event {2}prog 1 /);
    stop();
    expect(exists(path)).toBe(false);
  });

  it("does not begin to listen once the machine has ended", async () => {
    const socket = await MachineSocket.prepare(path, 1);
    (await install(socket))();
    socket.attached(0, "values.bpf.o", attached);
    expect(exists(path)).toBe(false);
  });

  it("takes the place of a program that was killed, and of nothing else", async () => {
    stop = await serve(path, inventory);
    await expect(MachineSocket.prepare(path, 1)).rejects.toThrow("another program listens there");
    const file = join(folder, "file");
    writeFileSync(file, "");
    await expect(MachineSocket.prepare(file, 1)).rejects.toThrow("a file that is no socket");
    await expect(MachineSocket.prepare(join(folder, "no", "socket"), 1)).rejects.toThrow("no such directory");
    await expect(MachineSocket.prepare(join(folder, "x".repeat(120)), 1)).rejects.toThrow("a socket's can have 107");
  });
});
