import { writeSnapshot } from "../../src/snapshot/node/write.js";
import { countedFs } from "./counted-fs.js";
import { imageOf, memslot, PAGES } from "./guest-memory.js";

// A process of its own: writes the snapshot of `state` into `path`, again and again with the next state, and ends by SIGKILL before its call number `last`.
const [path, state, last] = process.argv.slice(2);

let calls = 0;
const fs = countedFs(() => {
  if (++calls === Number(last)) process.kill(process.pid, "SIGKILL");
});

for (let next = Number(state); ; next++) {
  const pages = Array.from({ length: 6 }, (_, k) => [k * PAGES, next * 10 + k] as const);
  await writeSnapshot(path as string, { state: next, memory: imageOf([memslot(0, 0, 6 * PAGES)], pages) }, { fs });
}
