/** Names in the origin's private file system of what the page keeps. */

/** The folder with the page's disks. */
export const DISK_FOLDER = "disks";
/** The page's own disk, a raw image. */
export const KEPT_DISK = "disk.img";

/** Where what was written over a dropped image is kept: the same file, unchanged, finds it again. */
export function writesName({ name, size, lastModified }: Pick<File, "name" | "size" | "lastModified">): string {
  return `${encodeURIComponent(name)},${size},${lastModified}.qcow2`;
}

/** What a kept file is, for people. */
export function describeKept(name: string): string {
  const [, image] = /^(.*),\d+,\d+\.qcow2$/.exec(name) ?? [];
  if (name === KEPT_DISK) return "the page's disk";
  return image === undefined ? name : `written over ${decodeURIComponent(image)}`;
}
