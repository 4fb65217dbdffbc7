import type { PortDevice, PortSize } from "./ports.js";

/** Ports of the debug-exit register. */
export const DEBUG_EXIT_PORTS = 4;

export interface DebugExitDesc {
  /** The guest wrote `code` (unsigned, as wide as it wrote). */
  readonly onExit: (code: number) => void;
}

/**
 * A port whose first write ends the machine, as QEMU's `isa-debug-exit` with an iosize of 4 (QEMU hw/misc/debugexit.c): test programs
 * without an operating system tell their verdict this way. Reads give zeros.
 */
export class DebugExit implements PortDevice {
  readonly #desc: DebugExitDesc;

  constructor(desc: DebugExitDesc) {
    this.#desc = desc;
  }

  ioRead(_port: number, _size: PortSize): number {
    return 0;
  }

  ioWrite(_port: number, _size: PortSize, value: number): void {
    this.#desc.onExit(value);
  }
}

/** Status of the process for a `code` that was written: odd, so never that of a program that ended well. 0-255. */
export const debugExitStatus = (code: number): number => ((code << 1) | 1) & 0xff;
