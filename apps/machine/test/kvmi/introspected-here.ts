import { onTestFinished } from "vitest";
import { introspected as anywhere, type Introspected } from "./introspected.js";

/** A machine and its tool for one test: a guest that is never told to begin would wait beside all tests that follow. */
export async function introspected(...args: Parameters<typeof anywhere>): Promise<Introspected> {
  const made = await anywhere(...args);
  onTestFinished(async () => {
    made.machine.stop();
    await made.ended;
  });
  return made;
}
