#!/usr/bin/env node
/** Fetches the guests and prints where they are, as JSON. Exit status: 0, 1 (could not), 2 (usage), 3 (no apt here). */
import { ensureDistro } from "./distro.js";
import { GuestError } from "./errors.js";
import { ensureGuests } from "./guests.js";
import { progressLine } from "./progress.js";
import { SERIES } from "./resolve.js";

const USAGE = `usage: vm-guests [--refresh | --distro]
Prints a JSON object: busybox, kernels and initrds by series; with --distro, the Debian root, which is made if need be.
`;

async function main(args: readonly string[]): Promise<number> {
  if (args.includes("--help")) {
    process.stdout.write(USAGE);
    return 0;
  }
  const unknown = args.find((arg) => !["--refresh", "--distro"].includes(arg));
  if (unknown !== undefined) {
    process.stderr.write(`unknown argument ${unknown}\n${USAGE}`);
    return 2;
  }
  const line = progressLine(process.stderr);
  try {
    if (args.includes("--distro")) {
      const distro = await ensureDistro({ onProgress: line.show });
      line.end();
      process.stdout.write(`${JSON.stringify(distro, undefined, 2)}\n`);
      return 0;
    }
    const guests = await ensureGuests({ refresh: args.includes("--refresh"), onProgress: line.show });
    const present = SERIES.filter((series) => guests.kernels[series] !== undefined);
    const initrds = Object.fromEntries(present.map((series) => [series, guests.initrd(series)]));
    line.end();
    process.stdout.write(
      `${JSON.stringify({ busybox: guests.busybox, kernels: guests.kernels, initrds }, undefined, 2)}\n`,
    );
    return 0;
  } catch (error) {
    line.end();
    if (!(error instanceof GuestError)) throw error;
    process.stderr.write(`${error.message}\n`);
    return error.code === "no-apt" ? 3 : 1;
  }
}

process.exitCode = await main(process.argv.slice(2));
