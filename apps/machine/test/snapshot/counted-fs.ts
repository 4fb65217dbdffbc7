import { hostFs, type NewFile, type SnapshotFs } from "../../src/snapshot/node/snapshot-fs.js";

/**
 * The host's file system with a say before each call that changes something or makes it last, and another in the middle of each write. Nothing is flushed in fact: that
 * is for the end of the host, and takes its time.
 * @param before told of the call, by name; what it throws the call throws
 */
export function countedFs(before: (call: string) => void): SnapshotFs {
  const say = <T extends readonly unknown[], R>(name: string, call: (...args: T) => Promise<R>) => {
    return async (...args: T): Promise<R> => {
      before(name);
      return call(...args);
    };
  };
  const counted = (file: NewFile): NewFile => ({
    write: async (bytes) => {
      before("write");
      const half = bytes.length >> 1;
      await file.write(bytes.subarray(0, half));
      before("rest of a write");
      await file.write(bytes.subarray(half));
    },
    sync: say("sync", async () => undefined),
    close: () => file.close(),
  });
  return {
    ...hostFs,
    makeFolder: say("makeFolder", hostFs.makeFolder),
    create: say("create", async (path: string) => counted(await hostFs.create(path))),
    remove: say("remove", hostFs.remove),
    rename: say("rename", hostFs.rename),
    syncFolder: say("syncFolder", async () => undefined),
  };
}
