import { agentImage } from "./agent-image.js";
import { AGENT_IN_INITRD } from "./agent-paths.js";

/** Where an archive of an initial ram disk may begin (Linux Documentation/driver-api/early-userspace/buffer-format.rst), and cpio's block. */
const BLOCK = 512;

/**
 * The initial ram disk with the agent in it. The kernel unpacks archives that follow one another, so the agent's comes first, as it is, and
 * the user's behind it, compressed or not.
 */
export function withAgent(initrd: Uint8Array | undefined): Uint8Array {
  const name = AGENT_IN_INITRD.slice(1);
  const archive = concat([member(name, 0o100755, agentImage()), member("TRAILER!!!", 0, new Uint8Array(0))], BLOCK);
  return initrd === undefined ? archive : concat([archive, initrd], 1);
}

/** A member of a "newc" archive: ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check. */
function member(name: string, mode: number, data: Uint8Array): Uint8Array {
  const fields = [1, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, name.length + 1, 0];
  const header = `070701${fields.map((field) => field.toString(16).toUpperCase().padStart(8, "0")).join("")}${name}\0`;
  const start = Math.ceil(header.length / 4) * 4;
  const bytes = new Uint8Array(start + Math.ceil(data.length / 4) * 4);
  bytes.set(new TextEncoder().encode(header));
  bytes.set(data, start);
  return bytes;
}

/** The parts one after the other, with zeros up to a multiple of `block`. */
function concat(parts: readonly Uint8Array[], block: number): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const bytes = new Uint8Array(Math.ceil(length / block) * block);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
