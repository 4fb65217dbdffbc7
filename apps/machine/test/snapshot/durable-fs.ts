import { SnapshotError } from "../../src/snapshot/error.js";
import type { NewFile, SnapshotFs } from "../../src/snapshot/node/snapshot-fs.js";
import type { SnapshotFile, SnapshotSource } from "../../src/snapshot/source.js";

/** The host ends here: nothing more is done. */
export class PowerLoss extends Error {}

interface Inode {
  bytes: Uint8Array;
  /** Bytes of it that are on the disk for certain. */
  synced: number;
}

/** A change of names of which it is not certain that it is on the disk. */
type NameChange = (names: Map<string, Inode>) => void;

/**
 * One folder of a file system that keeps for certain only what was flushed: names by `syncFolder`, contents by `sync`. Of the rest, a power loss keeps any changes of names, each wholly or
 * not at all and whatever their order, and of each file any beginning, with anything behind it.
 */
export class DurableFs implements SnapshotFs {
  #names = new Map<string, Inode>();
  #durable = new Map<string, Inode>();
  #changes: NameChange[] = [];
  #calls = 0;
  /** Number of the call before which power is lost. */
  lossAt = Number.POSITIVE_INFINITY;

  get calls(): number {
    return this.#calls;
  }

  #step(): void {
    if (++this.#calls >= this.lossAt) throw new PowerLoss("power loss");
  }

  #change(change: NameChange): void {
    this.#step();
    change(this.#names);
    this.#changes.push(change);
  }

  /** Power comes back. @param below a number below another, at random */
  restart(below: (limit: number) => number): void {
    for (const change of this.#changes) if (below(2) === 1) change(this.#durable);
    for (const inode of this.#durable.values()) {
      if (inode.synced === inode.bytes.length) continue;
      const kept = inode.synced + below(inode.bytes.length - inode.synced + 1);
      const tail = below(2) === 1 ? 0 : below(inode.bytes.length - kept + 1);
      inode.bytes = Uint8Array.from([...inode.bytes.subarray(0, kept), ...new Array<number>(tail).fill(0)]);
      inode.synced = inode.bytes.length;
    }
    this.#names = new Map(this.#durable);
    this.#changes = [];
    this.#calls = 0;
    this.lossAt = Number.POSITIVE_INFINITY;
  }

  readonly kindOf: SnapshotFs["kindOf"] = async () => "folder";
  readonly identityOf: SnapshotFs["identityOf"] = async (path) => path;
  readonly list: SnapshotFs["list"] = async () => [...this.#names.keys()];
  readonly makeFolder: SnapshotFs["makeFolder"] = async () => undefined;
  readonly removeFolder: SnapshotFs["removeFolder"] = async () => undefined;
  readonly lock: SnapshotFs["lock"] = async () => async () => undefined;
  readonly source: SnapshotFs["source"] = (path) => new DurableSource(path, this.#names);

  readonly create: SnapshotFs["create"] = async (path): Promise<NewFile> => {
    const inode: Inode = { bytes: new Uint8Array(), synced: 0 };
    this.#change((names) => void names.set(nameOf(path), inode));
    return {
      write: async (bytes) => {
        this.#step();
        inode.bytes = Buffer.concat([inode.bytes, bytes]);
      },
      sync: async () => {
        this.#step();
        inode.synced = inode.bytes.length;
      },
      close: async () => undefined,
    };
  };

  readonly remove: SnapshotFs["remove"] = async (path) => this.#change((names) => void names.delete(nameOf(path)));

  readonly rename: SnapshotFs["rename"] = async (from, to) => {
    const inode = this.#names.get(nameOf(from)) as Inode;
    this.#change((names) => {
      names.delete(nameOf(from));
      names.set(nameOf(to), inode);
    });
  };

  readonly syncFolder: SnapshotFs["syncFolder"] = async () => {
    this.#step();
    this.#durable = new Map(this.#names);
    this.#changes = [];
  };
}

const nameOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1);

class DurableSource implements SnapshotSource {
  constructor(
    readonly name: string,
    readonly names: ReadonlyMap<string, Inode>,
  ) {}

  async open(file: string): Promise<SnapshotFile> {
    const inode = this.names.get(file);
    if (inode === undefined) throw new SnapshotError("absent", `${file} is not there`);
    const { bytes } = inode;
    return {
      size: bytes.length,
      read: async (offset, dst) => {
        const part = bytes.subarray(offset, offset + dst.length);
        dst.set(part);
        return part.length;
      },
      close: async () => undefined,
    };
  }

  async beside(): Promise<SnapshotSource> {
    throw new SnapshotError("absent", "there is one folder");
  }
}
