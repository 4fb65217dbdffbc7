import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { KvmiClient, KvmiServer, reconnect, streamTransport, type Transport, transportPair } from "../src/index.js";
import { FakeVm } from "./fakes.js";
import { IDENTITY } from "./raw-tool.js";

let folder = "";
let path = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "kvmi-"));
  path = join(folder, "sock");
});
afterEach(() => rmSync(folder, { recursive: true }));

/** A tool that listens; resolves with its first connection. */
function listening(onConnection: (socket: Socket) => void): Promise<Server> {
  const server = createServer(onConnection);
  return new Promise((resolve) => server.listen(path, () => resolve(server)));
}

/** A machine that connects to `path` again and again. */
function machine(vm = new FakeVm(), retryMs = 1) {
  const hooks: boolean[] = [];
  const server = new KvmiServer({ vm, identity: IDENTITY, onHook: (hooked) => void hooks.push(hooked) });
  const stop = reconnect({ server, open: () => streamTransport(connect(path)), retryMs });
  return { vm, server, stop, hooks };
}

/** The client of the next connection. */
async function nextClient(): Promise<{ client: KvmiClient; server: Server }> {
  return new Promise((resolve) => {
    const started = listening((socket) => {
      void KvmiClient.accept(streamTransport(socket)).then(async (client) =>
        resolve({ client, server: await started }),
      );
    });
  });
}

it("a machine finds a tool that starts to listen later, and the next one behind it", async () => {
  const { stop, hooks } = machine();
  for (let k = 0; k < 2; k++) {
    const { client, server } = await nextClient();
    expect(await client.vcpuCount()).toBe(1);
    client.close();
    await new Promise((resolve) => server.close(resolve));
  }
  stop();
  expect(hooks.slice(0, 3)).toEqual([true, false, true]);
});

it("tries again at least every 250 ms unless told otherwise", async () => {
  vi.useFakeTimers();
  const server = new KvmiServer({ vm: new FakeVm(), identity: IDENTITY });
  let attempts = 0;
  const open = (): Transport => {
    attempts++;
    const [near, far] = transportPair();
    far.close();
    return near;
  };
  const stop = reconnect({ server, open });
  await vi.advanceTimersByTimeAsync(1000);
  expect(attempts).toBeGreaterThanOrEqual(5);
  stop();
  const before = attempts;
  await vi.advanceTimersByTimeAsync(1000);
  expect(attempts).toBe(before);
  vi.useRealTimers();
});

it("a tool that sends without reading is not read from, and the machine holds no more than the socket does", async () => {
  const { vm, stop } = machine();
  let answered = 0;
  const total = 4000;
  await new Promise<void>((resolve) => {
    const started = listening((socket) => {
      // Handshake, then reads of whole pages, all at once.
      socket.write(new Uint8Array([24, ...new Uint8Array(23)]));
      const request = new Uint8Array(24);
      const view = new DataView(request.buffer);
      view.setUint16(0, 17, true);
      view.setUint16(2, 16, true);
      view.setUint32(16, 4096, true);
      socket.pause();
      for (let k = 0; k < total; k++) socket.write(request.slice());
      let reads = 0;
      const { readPhysical } = vm;
      vm.readPhysical = (gpa, out) => {
        reads++;
        return readPhysical.call(vm, gpa, out);
      };
      const watch = setInterval(() => {
        if (reads === 0) return;
        const before = reads;
        setImmediate(() => {
          if (reads !== before) return;
          clearInterval(watch);
          expect(reads).toBeLessThan(total);
          let size = 0;
          socket.on("data", (bytes) => {
            size += bytes.length;
            answered = Math.floor((size - 96) / (16 + 4096));
            if (answered < total) return;
            socket.destroy();
            void started.then((server) => server.close(() => resolve()));
          });
          socket.resume();
        });
      }, 1);
    });
  });
  stop();
  expect(answered).toBe(total);
});
