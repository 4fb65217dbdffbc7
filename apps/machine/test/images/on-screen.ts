import { expect } from "vitest";
import { type Running, vm } from "../cli.js";

/** Runs the program until `mark` is on its output, then ends it; returns all that was written. Whoever is slow is told what was seen last. */
export async function untilSeen(mark: string | RegExp, ...args: string[]): Promise<string> {
  const running = vm(...args);
  try {
    await running.until(mark);
    return running.stdout;
  } finally {
    await quit(running);
  }
}

/** Ends a program that is not wanted any more. */
export async function quit(running: Running): Promise<void> {
  running.process.kill("SIGKILL");
  await running.ended;
}

const ESCAPE = "\u001b";
const CONTROL = new RegExp(`${ESCAPE}(\\[[0-9;?]*[A-Za-z]|[()][A-Z0-9])`, "g");

/** A text as it stands on a terminal, without what moves the cursor and paints. */
export const plain = (text: string): string => text.replace(CONTROL, "");

/** The command line's output of a guest that ran one command. */
export function expectCommand(
  { status, stdout, stderr }: { status: number | null; stdout: string; stderr: string },
  output: RegExp,
): void {
  expect(stdout, stderr).toMatch(output);
  expect(status).toBe(0);
}
