import type { BlockBackend } from "@vm/devices";

/** What was written to a disk that keeps it in memory. */
export interface OverlayState {
  /** Numbers of the blocks of 64 KiB, 32 bits each. */
  readonly blocks: Uint8Array;
  /** For each block 128 bytes, 1 for a sector that was written. */
  readonly written: Uint8Array;
  /** For each block 64 KiB. */
  readonly bytes: Uint8Array;
}

/** A disk that holds something of its host's until it is closed. */
export interface Disk extends BlockBackend {
  /** What to call it. */
  name?: string | undefined;
  /** As `ByteStore.version` of the image and of all that it is made of, once nothing is under way. Absent: that cannot be told. */
  version?(): Promise<string>;
  /** What of it is in memory, and saved with a machine. @throws {DiskError} `unsupported` if that is too much */
  save?(): OverlayState;
  /** Takes what {@link save} gave, before anything is written. @throws {DiskError} `format` for anything else */
  restore?(state: OverlayState): void;
  /** Waits for what is under way, makes what was written durable and lets go of the image. Nothing may be asked afterwards. */
  close(): Promise<void>;
}
