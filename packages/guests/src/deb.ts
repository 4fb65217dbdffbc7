import { spawn } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { GuestError } from "./errors.js";
import { readTar } from "./tar.js";

/**
 * Unpacks the regular files of a .deb whose path (`boot/vmlinuz-6.1.0`) `wanted` accepts below `into`, without installing
 * anything. dpkg-deb undoes the compression, whatever it is.
 *
 * @throws GuestError `bad-package` when the file is not a whole Debian package.
 */
export async function unpackDeb(deb: string, into: string, wanted: (path: string) => boolean): Promise<void> {
  const child = spawn("dpkg-deb", ["--fsys-tarfile", deb], { stdio: ["ignore", "pipe", "pipe"] });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const closed = new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  const unpacked = (async () => {
    for await (const { path, data } of readTar(child.stdout, wanted)) {
      const target = join(into, path);
      await mkdir(dirname(target), { recursive: true });
      await writeFile(target, data);
    }
  })();
  const [status, outcome] = await Promise.all([
    closed,
    unpacked.then(
      () => undefined,
      (error: unknown) => error,
    ),
  ]);
  if (status !== 0 || outcome !== undefined)
    throw new GuestError("bad-package", `${deb} is not a whole Debian package: ${stderr.trim() || String(outcome)}`, {
      cause: outcome,
    });
}
