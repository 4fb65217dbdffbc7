/**
 * What the page and the Worker with the machine say to each other. A Worker runs one machine: `start` comes first and once, `ended` or
 * `failed` is the last that it says. Bytes are handed over, not copied.
 */

/** Rows and columns of the terminal. */
export interface Dimensions {
  readonly rows: number;
  readonly columns: number;
}

/** What boots. */
export type GuestSource =
  | { readonly kind: "builtin" }
  | { readonly kind: "files"; readonly kernel: Blob; readonly initrd: Blob | null }
  /** Absolute addresses of files that the page's own server has. */
  | { readonly kind: "served"; readonly kernel: string; readonly initrd: string };

/** What the guest finds as /dev/vda. */
export type DiskSource =
  | { readonly kind: "none" }
  /** The page's own disk, kept by the browser; made with `bytes` bytes if there is none. */
  | { readonly kind: "kept"; readonly bytes: number }
  /** A file, which is only read; what the guest writes is kept by the browser. */
  | { readonly kind: "image"; readonly file: File };

export interface Start {
  readonly kind: "start";
  readonly guest: GuestSource;
  readonly disk: DiskSource;
  /** Bytes of RAM. */
  readonly memory: number;
  readonly cpus: number;
  /** Words for the kernel command line. */
  readonly words: string;
  readonly dimensions: Dimensions;
}

export type ToWorker =
  | Start
  /** Typed. The Worker says `hungry` once more can be typed; until then the page keeps what comes. */
  | { readonly kind: "input"; readonly bytes: Uint8Array<ArrayBuffer> }
  /** So many bytes of output are on the screen. */
  | { readonly kind: "shown"; readonly count: number }
  | { readonly kind: "resize"; readonly dimensions: Dimensions }
  | { readonly kind: "pause" }
  | { readonly kind: "resume" }
  /** Ends the machine at its next instruction; `ended` follows once its disk is closed. */
  | { readonly kind: "stop" };

/** A second of a machine's life. */
export interface Pulse {
  /** Million instructions in the last second; a guest that waits has few. */
  readonly mips: number;
  /** Million instructions a second of executing, since the start. */
  readonly speed: number;
  /** Guest RAM that was ever touched, bytes. */
  readonly touched: number;
}

export type ToPage =
  /** What is being done before the guest runs, as a sentence. */
  | { readonly kind: "progress"; readonly sentence: string }
  | { readonly kind: "running" }
  | { readonly kind: "paused" }
  | { readonly kind: "output"; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly kind: "hungry" }
  | { readonly kind: "pulse"; readonly pulse: Pulse }
  /** Something the user should know, while the guest goes on. */
  | { readonly kind: "notice"; readonly sentence: string }
  | { readonly kind: "ended"; readonly sentence: string }
  /** Nothing was started, or it broke down. */
  | { readonly kind: "failed"; readonly sentence: string };

/** One end of the line between page and Worker: a `Worker` on the page, the global scope in the Worker. */
export interface Line<Out, In> {
  postMessage(message: Out, transfer: Transferable[]): void;
  addEventListener(type: "message", listener: (event: MessageEvent<In>) => void): void;
}
