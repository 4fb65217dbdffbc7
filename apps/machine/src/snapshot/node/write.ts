import { join } from "node:path";
import type { MemoryImage } from "@vm/mmu";
import { Pace } from "../../pace.js";
import { cutChunks } from "../cut.js";
import { hexOf, sha256Of } from "../digest.js";
import { encodeHeader, OWN_DIGEST } from "../header.js";
import { CHUNK_BYTES, HEAD_NAME, LIMITS, NEW_HEAD_NAME, WORKING_SET_NAME } from "../layout.js";
import { encodeManifest } from "../manifest.js";
import { checkMemslots } from "../memory-layout.js";
import type { SnapshotWork } from "../snapshot.js";
import { type Content, encodeTable } from "../table.js";
import { encodeValue } from "../value-codec.js";
import { explain } from "./explain.js";
import { hostPacker, type Packer, PackWriter } from "./pack-writer.js";
import { openParent, type WrittenParent } from "./parent.js";
import { hostFs, type NewFile, type SnapshotFs } from "./snapshot-fs.js";
import { claim, removeOthers, type Target, undo } from "./target.js";

/** What is written. */
export interface SnapshotContents {
  /** What people and tools want to know without a machine. */
  readonly meta?: unknown;
  /** What the machine is restored from. Both: null, booleans, numbers, bigints of 64 bits, text, `Uint8Array`s, arrays and plain objects. */
  readonly state: unknown;
  /** Its pages must not change until the snapshot is written. */
  readonly memory: MemoryImage;
  /** A snapshot in a folder beside: chunks that it has are not stored again. It has to stay as it is. */
  readonly parent?: string | undefined;
}

export interface WriteOptions extends SnapshotWork {
  /** Default: the host's. */
  readonly fs?: SnapshotFs | undefined;
  /** Default: zstd where the host has it, else deflate. */
  readonly packer?: Packer | undefined;
}

export interface WrittenSnapshot {
  readonly id: string;
  /** Bytes of its files, without its parents'. */
  readonly storedBytes: number;
  /** Packs of the snapshot that was replaced and that could not be removed. The next write tries again. */
  readonly leftBehind: readonly string[];
}

/** The sections of a head, and its header. */
interface EncodedHead {
  readonly parts: readonly Uint8Array[];
  readonly id: string;
}

/**
 * Writes a snapshot, in place of one that is there. The pack gets a name of its own and the head a temporary one, both are flushed to the disk, and then the head is renamed: that is
 * the one moment at which the old snapshot ends and the new one begins, so whatever ends this process or the host leaves one of both. What is not of a snapshot is not touched.
 *
 * @throws {SnapshotError} "foreign", "busy", "full", "readonly", "state", "limit", "range", "parent", "chain", "io"; the signal's reason; what the memory image throws. The
 * snapshot that was there is as it was, unless the message says that the new one is in place
 * @example await writeSnapshot("booted", { state: machine.save(), memory: mmu.save() });
 */
export async function writeSnapshot(
  path: string,
  contents: SnapshotContents,
  { fs = hostFs, packer = hostPacker, signal, onProgress }: WriteOptions = {},
): Promise<WrittenSnapshot> {
  const pace = new Pace(signal);
  pace.check();
  const writing = new Writing(fs, path, contents, pace);
  try {
    return await writing.run(packer, onProgress);
  } catch (error) {
    throw explain(error, path, writing.inPlace);
  }
}

class Writing {
  readonly #fs: SnapshotFs;
  readonly #path: string;
  readonly #contents: SnapshotContents;
  readonly #pace: Pace;
  readonly #state: Uint8Array;
  /** Whether the new head may have its name. */
  #renaming = false;
  /** Whether it has. */
  inPlace = false;

  constructor(fs: SnapshotFs, path: string, contents: SnapshotContents, pace: Pace) {
    this.#fs = fs;
    this.#path = path;
    this.#contents = contents;
    this.#pace = pace;
    this.#state = encodeValue(contents.state, "state", LIMITS.state);
    encodeValue(contents.meta ?? null, "meta", LIMITS.manifest);
    checkMemslots(contents.memory.memslots, "the memory");
  }

  async run(packer: Packer, onProgress: SnapshotWork["onProgress"]): Promise<WrittenSnapshot> {
    const target = await claim(this.#fs, this.#path);
    try {
      return await this.#into(target, packer, onProgress);
    } catch (error) {
      if (!this.#renaming) await undo(this.#fs, this.#path, target);
      throw error;
    } finally {
      await target.release();
    }
  }

  async #into(target: Target, packer: Packer, onProgress: SnapshotWork["onProgress"]): Promise<WrittenSnapshot> {
    const { parent: given } = this.#contents;
    const parent = given === undefined ? null : await openParent(this.#fs, this.#path, given, this.#pace);
    let packed: { readonly writer: PackWriter; readonly contents: readonly Content[] } | undefined;
    await this.#create(target.pack, async (file) => {
      const writer = new PackWriter(file, packer, (key) => parent?.has(key) ?? false);
      packed = { writer, contents: await this.#pack(writer, onProgress) };
    });
    const { writer, contents } = packed as NonNullable<typeof packed>;
    const head = await this.#encode(target.pack, parent, writer.chunks, contents);
    await this.#create(NEW_HEAD_NAME, async (file) => {
      for (const part of head.parts) await file.write(part);
    });
    await this.#fs.syncFolder(this.#path);
    this.#pace.check();
    this.#renaming = true;
    if (target.workingSet) await this.#fs.remove(join(this.#path, WORKING_SET_NAME));
    await this.#fs.rename(join(this.#path, NEW_HEAD_NAME), join(this.#path, HEAD_NAME));
    this.inPlace = true;
    await this.#fs.syncFolder(this.#path);
    return {
      id: head.id,
      storedBytes: head.parts.reduce((sum, { length }) => sum + length, writer.bytes),
      leftBehind: await removeOthers(this.#fs, this.#path, target.pack),
    };
  }

  /** Makes a file, which survives the end of the host when this resolves. */
  async #create(name: string, work: (file: NewFile) => Promise<void>): Promise<void> {
    const file = await this.#fs.create(join(this.#path, name));
    try {
      await work(file);
      await file.sync();
    } finally {
      await file.close();
    }
  }

  async #pack(writer: PackWriter, onProgress: SnapshotWork["onProgress"]): Promise<readonly Content[]> {
    let done = 0;
    for (const cut of cutChunks(this.#contents.memory)) {
      if (cut !== null) await writer.add(cut);
      done += CHUNK_BYTES;
      onProgress?.(done);
      await this.#pace.breathe();
    }
    return writer.end(this.#pace);
  }

  async #encode(
    pack: string,
    parent: WrittenParent | null,
    chunks: PackWriter["chunks"],
    contents: readonly Content[],
  ): Promise<EncodedHead> {
    const { meta = null, memory } = this.#contents;
    const manifest = encodeManifest({
      meta,
      memslots: memory.memslots.map(({ slot, gpa, size, readonly = false, hugepages = false, dirtyLog = false }) => ({
        slot,
        gpa,
        size,
        readonly,
        hugepages,
        dirtyLog,
      })),
      parent: parent === null ? null : { name: parent.name, id: parent.id },
      pack,
      chunks: chunks.length,
      contents: contents.length,
    });
    const table = await encodeTable(contents, chunks, this.#pace);
    const section = async (bytes: Uint8Array): Promise<{ length: number; digest: Uint8Array }> => ({
      length: bytes.length,
      digest: await sha256Of(bytes, this.#pace),
    });
    const header = encodeHeader({
      manifest: await section(manifest),
      table: await section(table),
      state: await section(this.#state),
    });
    return { parts: [header, manifest, table, this.#state], id: hexOf(header.subarray(OWN_DIGEST)) };
  }
}
