// From a fresh clone to built packages, with nothing but Node and npm.
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter } from "node:path";
import { inTurn } from "./_lock.mjs";
import { readJson, root } from "./_paths.mjs";
import { capture, step } from "./_step.mjs";

const stamp = `${root}node_modules/.installed`;
export const bin = `${root}node_modules/.bin`;
/** What the tools need in their environment: turbo looks for pnpm on the path. */
export const toolEnv = {
  PATH: `${bin}${delimiter}${process.env.PATH ?? ""}`,
  TURBO_TELEMETRY_DISABLED: "1",
  FORCE_COLOR: "0",
};

/** Hash of all that an installation depends on: the lockfile and every manifest of the workspace. */
function wanted() {
  const hash = createHash("sha256").update(process.version);
  const manifests = ["packages", "apps", "tooling"].flatMap((floor) =>
    readdirSync(`${root}${floor}`)
      .sort()
      .map((name) => `${floor}/${name}/package.json`),
  );
  for (const file of ["package.json", "pnpm-lock.yaml", "pnpm-workspace.yaml", ...manifests])
    if (existsSync(root + file)) hash.update(file).update(readFileSync(root + file));
  return hash.digest("hex");
}

/** The pinned pnpm: the one on this machine if it is that, else npm fetches it. */
async function pnpm() {
  const version = readJson(`${root}package.json`).packageManager.replace("pnpm@", "");
  const found = await capture("pnpm", ["--version"]).catch(() => undefined);
  if (found?.status === 0 && found.output.trim() === version) return ["pnpm"];
  return ["npx", "--yes", `pnpm@${version}`];
}

/** Installs the dependencies exactly as locked, unless they are. */
export async function install() {
  const hash = wanted();
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === hash) return;
  const [program, ...args] = await pnpm();
  await step("installing dependencies", program, [...args, "install", "--frozen-lockfile"], { env: { CI: "true" } });
  writeFileSync(stamp, hash);
}

/** Builds packages and what they depend on; turbo keeps what has not changed. No names: everything. */
export async function build(...names) {
  const filters = names.map((name) => `--filter=${name}`);
  await step("building", `${bin}/turbo`, ["run", "build", "--output-logs=errors-only", ...filters], { env: toolEnv });
}

/** Installs and builds; another process of this clone that does so is waited for. */
export async function prepare(...names) {
  const make = async () => {
    await install();
    await build(...names);
  };
  await inTurn(`${root}.cache/prepare`, make, (pid) =>
    process.stderr.write(`waiting for process ${pid}, which is building\n`),
  );
}
