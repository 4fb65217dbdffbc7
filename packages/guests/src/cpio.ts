/**
 * Packer for the "newc" cpio format (magic 070701) of Linux's initramfs.
 * Source: Linux Documentation/driver-api/early-userspace/buffer-format.rst.
 *
 * The bytes are a function of the entries alone: members are sorted by path, every time stamp is 0, every owner is root.
 */

/** One member of the archive. Paths are relative, with `/` between components and none at either end. */
export type CpioEntry =
  | { readonly path: string; readonly type: "directory"; readonly mode?: number }
  | { readonly path: string; readonly type: "file"; readonly mode?: number; readonly data: Uint8Array }
  | { readonly path: string; readonly type: "symlink"; readonly target: string };

/** A path that is none, one given twice, one whose directory is missing, a file that is too large. */
export type CpioErrorCode = "path" | "twice" | "directory" | "size";

/** Thrown for a member the archive cannot hold; nothing has been packed. */
export class CpioError extends Error {
  override readonly name = "CpioError";

  constructor(
    readonly code: CpioErrorCode,
    message: string,
  ) {
    super(message);
  }
}

const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const S_IFLNK = 0o120000;
const HEADER_BYTES = 110;
const TRAILER = "TRAILER!!!";
const MAX_FILE_BYTES = 0xffff_ffff;

const align4 = (n: number): number => (n + 3) & ~3;

function validate(entries: readonly CpioEntry[]): void {
  const seen = new Set<string>();
  for (const { path } of entries) {
    const components = path.split("/");
    if (components.some((part) => part === "" || part === "." || part === ".." || part.includes("\0")))
      throw new CpioError(
        "path",
        `cpio member path ${JSON.stringify(path)}: want relative components without "", "." or ".."`,
      );
    if (seen.has(path)) throw new CpioError("twice", `cpio member ${JSON.stringify(path)} is given twice`);
    seen.add(path);
  }
  const directories = new Set(entries.filter((entry) => entry.type === "directory").map((entry) => entry.path));
  for (const { path } of entries) {
    const parent = path.slice(0, Math.max(0, path.lastIndexOf("/")));
    if (parent !== "" && !directories.has(parent))
      throw new CpioError(
        "directory",
        `cpio member ${JSON.stringify(path)}: its directory ${JSON.stringify(parent)} is not a member`,
      );
  }
}

/**
 * Packs members into one archive, ended by its trailer and padded to 512 bytes.
 *
 * @throws CpioError for a path that is empty, absolute, not normal, given twice, or whose directory is not a member.
 */
export function packCpio(entries: readonly CpioEntry[]): Uint8Array {
  validate(entries);
  const encoder = new TextEncoder();
  const members = entries
    .map((entry) => ({ entry, name: encoder.encode(`${entry.path}\0`), ...content(entry, encoder) }))
    .sort((a, b) => (a.entry.path < b.entry.path ? -1 : 1));
  const records = [
    ...members,
    { entry: undefined, name: encoder.encode(`${TRAILER}\0`), mode: 0, data: new Uint8Array(0) },
  ];
  const sizes = records.map(({ name, data }) => align4(HEADER_BYTES + name.length) + align4(data.length));
  const bytes = new Uint8Array(Math.ceil(sizes.reduce((sum, size) => sum + size, 0) / 512) * 512);
  let at = 0;
  records.forEach(({ entry, name, mode, data }, index) => {
    const links = entry === undefined ? 1 : entry.type === "directory" ? 2 : 1;
    const ino = entry === undefined ? 0 : index + 1;
    // ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
    const fields = [ino, mode, 0, 0, links, 0, data.length, 0, 0, 0, 0, name.length, 0];
    const header = `070701${fields.map((field) => field.toString(16).toUpperCase().padStart(8, "0")).join("")}`;
    bytes.set(encoder.encode(header), at);
    bytes.set(name, at + HEADER_BYTES);
    const dataAt = at + align4(HEADER_BYTES + name.length);
    bytes.set(data, dataAt);
    at = dataAt + align4(data.length);
  });
  return bytes;
}

function content(entry: CpioEntry, encoder: InstanceType<typeof TextEncoder>): { mode: number; data: Uint8Array } {
  switch (entry.type) {
    case "directory":
      return { mode: S_IFDIR | (entry.mode ?? 0o755), data: new Uint8Array(0) };
    case "symlink":
      return { mode: S_IFLNK | 0o777, data: encoder.encode(entry.target) };
    case "file":
      if (entry.data.length > MAX_FILE_BYTES)
        throw new CpioError(
          "size",
          `cpio member ${JSON.stringify(entry.path)} has ${entry.data.length} bytes; the limit is 4 GiB`,
        );
      return { mode: S_IFREG | (entry.mode ?? 0o644), data: entry.data };
  }
}
