import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { checkApi, writeReports } from "../src/index.js";
import { samplePackage } from "./packages.js";

const TYPES = `import { EventEmitter } from "node:events";
/** A comment. */
declare class Machine extends EventEmitter {
    #private;
    private secret;
    private constructor();
    /** Another. */
    readonly state: State;
}
interface State {
    on: boolean;
}
interface Unused {
}
declare function boot(name: string): Machine;
declare function boot(): Machine;
declare const LIMIT = 3;
type Options = { on?: boolean };
export { LIMIT, type Machine, type Options as BootOptions, boot };
`;
const CODE = "export const LIMIT = 3;\nexport function boot() {}\n";

const report = (folder: string) => readFileSync(join(folder, "api.md"), "utf8");

it("lists exports by name with what they mention, without comments and private members", () => {
  const folder = samplePackage(TYPES, CODE);
  writeReports([folder]);
  expect(report(folder).split("```")[1]).toBe(`ts
import { EventEmitter } from "node:events";

export { LIMIT };
const LIMIT = 3;

export { type Machine };
class Machine extends EventEmitter {
  private constructor();
  readonly state: State;
}

export { type Options as BootOptions };
type Options = {
  on?: boolean;
};

// not exported
interface State {
  on: boolean;
}

export { boot };
function boot(name: string): Machine;
function boot(): Machine;
`);
});

it("a report that is missing or stale is named with the command that writes it", async () => {
  const folder = samplePackage(TYPES, CODE);
  const complaint = `${join(folder, "api.md")} is not what the package exports: run npm run api`;
  expect(await checkApi([folder])).toEqual([complaint]);
  writeReports([folder]);
  expect(await checkApi([folder])).toEqual([]);
  writeFileSync(join(folder, "dist/index.d.ts"), TYPES.replace("LIMIT = 3", "LIMIT = 4"));
  expect(await checkApi([folder])).toEqual([complaint]);
});

it("comments and the order of declarations do not change it", () => {
  const folder = samplePackage(TYPES, CODE);
  writeReports([folder]);
  const first = report(folder);
  const moved = TYPES.replace("/** A comment. */\n", "").replace("interface Unused {\n}\n", "");
  writeFileSync(join(folder, "dist/index.d.ts"), moved.replace("export {", "interface Unused {\n}\nexport {"));
  writeReports([folder]);
  expect(report(folder)).toBe(first);
});
