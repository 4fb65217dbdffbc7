import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { connectTransport } from "@vm/kvmi";
import { expect, it } from "vitest";
import { kvmi } from "../../src/plugins/kvmi/plugin.js";
import { machineOf } from "../guest.js";
import { restless, rounds } from "./restless.js";

/** `hookguest`, the example of libkvmi (github.com/bitdefender/libkvmi), unchanged; its library beside it. */
const HOOKGUEST = process.env.VM_LIBKVMI;
/** What it prints of a guest that works: of each kind of event once at least. */
const EXPECTED = [/New handshake: name 'libkvmi-test'/, /PAUSE \(vcpu0\)/, /Set page access gpa/, /CR3 0x\w+ -> 0x\w+/];

it.skipIf(HOOKGUEST === undefined)(
  "libkvmi's own example attaches, sees events, is killed, attaches again; the guest goes on",
  async () => {
    const dir = mkdtempSync(join(tmpdir(), "vm-libkvmi-"));
    const path = join(dir, "socket");
    const machine = await machineOf(restless, {
      plugins: [
        kvmi({
          name: "libkvmi-test",
          open: () => connectTransport((onread) => connect({ path, onread })),
          retryMs: 20,
        }),
      ],
    });
    const ended = machine.run();
    for (const _ of [0, 1]) {
      const env = { ...process.env, LD_LIBRARY_PATH: dirname(HOOKGUEST as string) };
      const tool = spawn("stdbuf", ["-oL", HOOKGUEST as string, path], { env, stdio: ["ignore", "pipe", "inherit"] });
      let seen = "";
      for await (const chunk of tool.stdout.setEncoding("utf8")) {
        seen += chunk;
        if (EXPECTED.every((line) => line.test(seen))) break;
      }
      for (const line of EXPECTED) expect(seen).toMatch(line);
      tool.kill("SIGKILL");
    }
    const before = rounds(machine);
    while (rounds(machine) === before && machine.ended === null) await new Promise((resolve) => setImmediate(resolve));
    expect(machine.ended).toBeNull();
    machine.stop();
    await ended;
    rmSync(dir, { recursive: true });
  },
  60_000,
);
