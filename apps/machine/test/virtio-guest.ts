import { type Assembler, ebx, mem, rbx } from "@vm/asm";
import * as L from "../src/layout.js";
import type { Machine } from "../src/machine.js";

/** Where the guests that drive the first disk of a machine have their rings, request headers, status bytes and data. */
export const RING = { desc: 0x40_0000, avail: 0x41_0000, used: 0x42_0000 } as const;
const HEADERS = 0x43_0000;
const STATUSES = 0x44_0000;
export const DATA = 0x50_0000;
export const [IN, OUT, FLUSH] = [0, 1, 4] as const;
const NEXT = 1;
const WRITE = 2;

const setRegister = (a: Assembler, register: number, value: number): Assembler =>
  a.mov(mem(rbx, { disp: register, size: 4 }), value);

/** Initialises the first disk, with one queue of 256; RBX is its window from then on. */
export function startDisk(a: Assembler): void {
  const set = (register: number, value: number): Assembler => setRegister(a, register, value);
  a.mov(ebx, L.VIRTIO);
  for (const status of [0, 1, 3]) set(0x70, status);
  set(0x24, 1);
  set(0x20, 1);
  set(0x70, 11);
  set(0x30, 0);
  set(0x38, 256);
  for (const [register, at] of [
    [0x80, RING.desc],
    [0x90, RING.avail],
    [0xa0, RING.used],
  ] as const) {
    set(register, at);
    set(register + 4, 0);
  }
  set(0x44, 1);
  set(0x70, 15);
}

/** Tells the disk that there is something in its queue. */
export function notifyDisk(a: Assembler): void {
  setRegister(a, 0x50, 0);
}

export interface DiskRequest {
  readonly type: number;
  readonly sector: number;
  /** Lengths of the data buffers, bytes. */
  readonly buffers: readonly number[];
}

/** Lays requests out in guest memory, the data of all of them from {@link DATA} on one behind the other, or all at the same place. */
export function layRequests(machine: Machine, requests: readonly DiskRequest[], { shared = false } = {}): void {
  let slot = 0;
  let data = DATA;
  const put = (at: number, ...words: number[]): void => {
    machine.memory.write(at, new Uint8Array(Uint32Array.from(words).buffer));
  };
  const describe = (gpa: number, length: number, flags: number): void => {
    put(RING.desc + 16 * slot, gpa, 0, length, flags | ((slot + 1) << 16));
    slot++;
  };
  const heads = requests.map(({ type, sector, buffers }, k) => {
    const head = slot;
    put(HEADERS + 16 * k, type, 0, sector, 0);
    describe(HEADERS + 16 * k, 16, NEXT);
    for (const length of buffers) {
      describe(data, length, NEXT | (type === IN ? WRITE : 0));
      if (!shared) data += length;
    }
    describe(STATUSES + k, 1, WRITE);
    return head;
  });
  machine.memory.write(RING.avail, new Uint8Array(Uint16Array.from([0, heads.length, ...heads]).buffer));
}
