// One process of a clone at a time: a build takes files away that another build reads.
import { linkSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const POLL_MS = 100;

/** Numbers of the turns in `folder`, ascending. */
const turns = (folder) =>
  readdirSync(folder)
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .sort((a, b) => a - b);

/** The process whose turn it is, undefined if nobody's: it has finished, or was killed. */
function holder(folder, turn) {
  try {
    const pid = Number(readFileSync(join(folder, String(turn)), "utf8"));
    if (pid > 0 && process.kill(pid, 0)) return pid;
  } catch (error) {
    if (error.code === "EPERM") return "of another user";
    if (!["ENOENT", "ESRCH"].includes(error.code)) throw error;
  }
  return undefined;
}

/**
 * Runs `body` while no other process does so with the same folder. `onWait` hears once who is waited for.
 *
 * The folder holds a file for each turn, named by its number, with the process id of who has it; an empty one is over. Only the highest counts, and
 * the next is made by a link, which one process alone can make: so a turn whose process was killed is passed without being taken away.
 * @template T
 * @param {string} folder
 * @param {() => T | Promise<T>} body
 * @param {(pid: number | string) => void} onWait
 */
export async function inTurn(folder, body, onWait = () => undefined) {
  mkdirSync(folder, { recursive: true });
  const mine = join(folder, `of-${process.pid}`);
  writeFileSync(mine, String(process.pid));
  let turn = 0;
  for (let waited = false; ; ) {
    const last = turns(folder).at(-1) ?? 0;
    const other = holder(folder, last);
    if (other !== undefined) {
      if (!waited) onWait(other);
      waited = true;
      await sleep(POLL_MS);
      continue;
    }
    turn = last + 1;
    try {
      linkSync(mine, join(folder, String(turn)));
    } catch (error) {
      if (error.code === "EEXIST") continue;
      throw error;
    }
    if (turns(folder).at(-1) === turn) break;
    // Others have had this turn and later ones since it was looked for.
    rmSync(join(folder, String(turn)));
  }
  rmSync(mine);
  for (const over of turns(folder).filter((number) => number < turn)) rmSync(join(folder, String(over)));
  try {
    return await body();
  } finally {
    writeFileSync(join(folder, String(turn)), "");
  }
}
