import { expect, it } from "vitest";
import { createMachine } from "../src/index.js";

it("boots", async () => {
  const m = await createMachine({ commandLine: 'exec="echo hello"', clock: "icount" });
  let out = "";
  m.console.onOutput((b) => {
    out += new TextDecoder().decode(b);
  });
  const exit = await m.run();
  console.log(out, exit, m.stats());
  expect(exit).toEqual({ reason: "power-off", status: 0 });
});
it("interactive", async () => {
  const m = await createMachine({});
  let out = "";
  m.console.onOutput((b) => {
    out += new TextDecoder().decode(b);
    if (out.endsWith("vm> ")) m.console.write(out.includes("ticks\r") ? "exit 7\r" : "ticks\r");
  });
  const exit = await m.run();
  console.log(out, exit, m.stats());
});
