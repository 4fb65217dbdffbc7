// The folder that a static host serves: the built page, and beside it the guests there are.
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The page as built. */
export const PAGE = fileURLToPath(new URL("../dist/", import.meta.url));

/**
 * @typedef {object} Guest
 * @property {string} series of its kernel, such as "6.1"
 * @property {string} kernel path
 * @property {string} initrd path
 */

/**
 * Puts page and guests into `folder`. Files change in one piece and what is there already stays, so that a server may be serving it.
 * @param {string} folder
 * @param {readonly Guest[]} guests
 */
export function makeSite(folder, guests) {
  const wanted = new Set();
  const put = (/** @type {string} */ from, /** @type {string} */ name) => {
    wanted.add(name);
    copy(from, join(folder, name));
  };
  for (const name of pageFiles(PAGE)) put(join(PAGE, name), name);
  const offered = guests.map(({ series, kernel, initrd }) => {
    const names = { kernel: `vmlinuz-${series}`, initrd: `initramfs-${series}.cpio` };
    put(kernel, `guests/${names.kernel}`);
    put(initrd, `guests/${names.initrd}`);
    return { id: `debian-${series}`, name: `Debian's Linux ${series}`, ...names };
  });
  const manifest = join(folder, "guests/manifest.json");
  writeFileSync(`${manifest}.new`, `${JSON.stringify({ guests: offered }, null, 2)}\n`);
  renameSync(`${manifest}.new`, manifest);
  for (const name of filesBelow(folder)) if (!wanted.has(name)) rmSync(join(folder, name));
}

/**
 * The files of a built page: what lies beside it, and of `assets/` what one of these names, as their names tell their contents. A build that was
 * taken from a cache may lie among files of another.
 * @param {string} folder
 * @returns {string[]} relative paths, with slashes
 */
export function pageFiles(folder) {
  const isAsset = (/** @type {string} */ name) => name.startsWith("assets/");
  const assets = new Set(filesBelow(folder).filter(isAsset));
  const found = filesBelow(folder).filter((name) => !isAsset(name));
  for (const name of found) {
    const text = readFileSync(join(folder, name), "latin1");
    for (const asset of assets)
      if (text.includes(asset.slice("assets/".length))) {
        assets.delete(asset);
        found.push(asset);
      }
  }
  return found;
}

/** @param {string} folder @returns {string[]} relative paths, with slashes */
function filesBelow(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? filesBelow(join(folder, entry.name)).map((name) => `${entry.name}/${name}`) : [entry.name],
  );
}

/** @param {string} from @param {string} to */
function copy(from, to) {
  const { size, atime, mtime } = statSync(from);
  const there = statSync(to, { throwIfNoEntry: false });
  if (there?.size === size && Math.abs(there.mtimeMs - mtime.getTime()) < 1000) return;
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(from, `${to}.new`);
  utimesSync(`${to}.new`, atime, mtime);
  renameSync(`${to}.new`, to);
}
