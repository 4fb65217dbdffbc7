import { expect, it } from "vitest";
import { BootWatch } from "../src/cli/boot-watch.js";

function watch(...pieces: string[]): { why: string | null; lastWords: string; over: number } {
  let over = 0;
  const watched = new BootWatch(() => over++);
  for (const piece of pieces) watched.push(Buffer.from(piece, "latin1"));
  return { why: watched.why, lastWords: watched.lastWords, over };
}

it.each([
  [
    "a panic, at its end",
    [
      "[    1.5] Kernel panic - not syncing: VFS: Unable to mount root fs on unk",
      "nown-block(0,0)\r\n[    1.6] ---[ end Kernel panic - not",
    ],
    "the kernel panicked: VFS: Unable to mount root fs on unknown-block(0,0)",
    1,
  ],
  [
    "a root that is not there, before the panic that follows",
    [
      "ALERT!  /dev/vdx does not exist.  Dropping to a shell!\r\n",
      "[ 2.0] Kernel panic - not syncing: Attempted to kill init!\r\n",
    ],
    "its initial ram disk found no root: /dev/vdx does not exist.",
    0,
  ],
  ["the shell of a ram disk that gave up", ["BusyBox\n\n(initramfs) "], "its initial ram disk gave up", 1],
  [
    "a login prompt",
    ["Debian GNU/Linux 12 host ttyS0\r\n\r\nhost lo", "gin: "],
    "it booted to its login: its initial ram disk does not follow init=",
    1,
  ],
])("the console tells of %s", (_, pieces, why, over) => {
  expect(watch(...pieces)).toMatchObject({ why, over: expect.any(Number) });
  expect(watch(...pieces).over > 0).toBe(over > 0);
});

it("keeps the last words, short and without anything that steers a terminal", () => {
  expect(watch(`first\r\n\x1b[31m${"x".repeat(1000)}`).lastWords).toBe(`\\x1b[31m${"x".repeat(395)}`);
  expect(watch("first\r\n\r\n  \r\n").lastWords).toBe("first");
});
