import { expect, it } from "vitest";
import { run } from "../cli.js";
import { guests } from "./debian.js";

it.skipIf(guests === null)("without --kernel it is Debian that boots", async () => {
  const ended = await run("boot", "--timeout", "240", "--exec", "mkdir /x && uname -s && ls -d /x");
  expect(ended).toMatchObject({ status: 0, stdout: "Linux\n/x\n", stderr: "" });
});
