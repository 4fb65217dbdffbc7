import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "@vm/presets/testing";
import { expect, it } from "vitest";
import { inTurn } from "../_lock.mjs";

const LOCK = JSON.stringify(new URL("../_lock.mjs", import.meta.url).href);

/** Another process that has its turn in `folder`, or waits for it; what it says on stdout. */
function other(folder: string, body: string) {
  const code = `import { inTurn } from ${LOCK};
    await inTurn(${JSON.stringify(folder)}, async () => { ${body} }, (pid) => console.log("waits for", pid));`;
  return spawn(process.execPath, ["--input-type=module", "-e", code], { stdio: ["pipe", "pipe", "inherit"] });
}

it("one process at a time has its turn, and who waits is told of whom", async () => {
  const folder = temporaryFolder();
  const log = join(temporaryFolder(), "log");
  writeFileSync(log, "");
  const work = `const { appendFileSync: add } = await import("node:fs");
    for (const word of ["(", ")"]) { add(${JSON.stringify(log)}, word); await new Promise(setImmediate); }`;
  await Promise.all(
    Array.from({ length: 4 }, async () => expect(await once(other(folder, work), "exit")).toEqual([0, null])),
  );
  expect(readFileSync(log, "utf8")).toBe("()".repeat(4));
});

it("who waits goes on when the holder is done", async () => {
  const folder = temporaryFolder();
  const holder = other(folder, 'console.log("mine"); for await (const _ of process.stdin);');
  await once(holder.stdout, "data");
  const waiting = inTurn(
    folder,
    () => "done",
    (pid) => {
      expect(pid).toBe(holder.pid);
      holder.stdin.end();
    },
  );
  expect(await waiting).toBe("done");
});

it("a turn whose process was killed is passed", async () => {
  const folder = temporaryFolder();
  const holder = other(folder, 'console.log("mine"); for await (const _ of process.stdin);');
  await once(holder.stdout, "data");
  holder.kill("SIGKILL");
  await once(holder, "exit");
  expect(await inTurn(folder, () => "done")).toBe("done");
});

it("a body that throws gives its turn back, and one small file is all that stays", async () => {
  const folder = temporaryFolder();
  const fails = inTurn(folder, () => {
    throw new Error("no");
  });
  await expect(fails).rejects.toThrow("no");
  expect(await inTurn(folder, () => "done")).toBe("done");
  expect(readdirSync(folder)).toEqual(["2"]);
});
