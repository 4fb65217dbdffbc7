import type { BlockBackend } from "@vm/devices";

/** A disk that holds something of its host's until it is closed. */
export interface Disk extends BlockBackend {
  /** Waits for what is under way, makes what was written durable and lets go of the image. Nothing may be asked afterwards. */
  close(): Promise<void>;
}
