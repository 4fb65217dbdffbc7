import type { Process } from "@vm/kvmi";
import { expect, it } from "vitest";
import { listing } from "../src/cli/process-listing.js";

it("processes are listed as busybox lists them", () => {
  const process = { ppid: 0, uid: 0, state: "S" };
  const list = [
    { ...process, pid: 1, name: "init", commandLine: "/bin/sh\0/init\0" },
    { ...process, pid: 7, name: "kworker/0:0-events", commandLine: "" },
    { ...process, pid: 93, uid: 1000, name: "cat", commandLine: "cat\0" },
    { ...process, pid: 94, name: "sh", commandLine: "-sh\0" },
  ];
  expect(listing(list)).toBe(
    [
      "PID   USER     COMMAND",
      "    1 0        {init} /bin/sh /init",
      "    7 0        [kworker/0:0-eve]",
      "   93 1000     cat",
      "   94 0        -sh",
      "",
    ].join("\n"),
  );
});

it("a process has one row, whatever it calls itself and its arguments", () => {
  const process = { ppid: 1, uid: 0, state: "S", pid: 9 };
  const rows = (list: readonly Pick<Process, "name" | "commandLine">[]): string[] =>
    listing(list.map((each) => ({ ...process, ...each })))
      .split("\n")
      .slice(1, -1);
  expect(
    rows([
      { name: "a\n    1 0     init", commandLine: "" },
      { name: "\x1b]0;x\x07", commandLine: "" },
      { name: "\x9b2J", commandLine: "x\0\u202etxt\0" },
      { name: "sh", commandLine: "sh\0-c\0one\ntwo\r\0" },
      { name: "sh", commandLine: "sh\0\udc9b\0" },
    ]),
  ).toEqual([
    "    9 0        [a\\x0a    1 0     i]",
    "    9 0        [\\x1b]0;x\\x07]",
    "    9 0        {\\x9b2J} x \\u202etxt",
    "    9 0        sh -c one\\x0atwo\\x0d",
    "    9 0        sh \\x9b",
  ]);
});
