import { Violation } from "./door.js";

export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Turns of the event loop after which what has not happened never will. */
const PATIENCE = 30_000;

/** Waits for `done`; not for ever. @throws {Violation} */
export async function until(what: string, done: () => boolean): Promise<void> {
  for (let turns = 0; !done(); turns++) {
    if (turns === PATIENCE) throw new Violation("hang", `${what} has not happened in ${PATIENCE} turns`);
    await turn();
  }
}

/** Waits for `work`; not for ever. @throws {Violation} */
export async function inTime<T>(what: string, work: Promise<T>): Promise<T> {
  let settled = false;
  const settle = (): void => {
    settled = true;
  };
  work.then(settle, settle);
  await until(what, () => settled);
  return work;
}
