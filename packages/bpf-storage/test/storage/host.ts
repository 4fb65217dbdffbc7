import { ERRNO } from "../../src/errors.js";
import type { MapHost, ValueFields } from "../../src/maps/map.js";
import { Arena } from "../../src/memory/arena.js";
import { Rcu } from "../../src/memory/rcu.js";
import { LocalStorages, type StorageFunction } from "../../src/storage/local-storages.js";
import { type Generation, type HelperRules, StorageHelpers } from "../../src/storage/storage-helpers.js";
import { StorageMap } from "../../src/storage/storage-map.js";
import { MapFlag, MapType } from "../../src/uapi/map-types.js";

/** An object: a reference count and its cell. */
const OBJECT = { usage: 0, cell: 8, size: 16 };
export const HIGH = 0xffff8000;

const TASKS: HelperRules = { guard: "recursive", refers: false };

export interface HostDesc {
  readonly generation?: Generation;
  readonly cpus?: number;
  /** Bytes that every object may be charged with. */
  readonly allowance?: number;
  /** Default: those of tasks. */
  readonly rules?: HelperRules;
}

/** A host with objects of one kind, told apart by file descriptors, and nothing else. */
export class ReferenceHost {
  readonly maps: MapHost;
  readonly storages: LocalStorages;
  readonly helpers: StorageHelpers;
  readonly byAddress = new Map<number, StorageMap>();
  readonly fds = new Map<number, number>();
  readonly charged = new Map<number, number>();
  cpu = 0;
  entered: (name: StorageFunction, ...args: number[]) => void = () => undefined;
  #nextId = 1;

  constructor({ generation = "6.12", cpus = 2, allowance, rules = TASKS }: HostDesc = {}) {
    const arena = new Arena();
    this.maps = { arena, rcu: new Rcu(), cpus, cpu: () => this.cpu };
    const account = (cell: number, bytes: number): boolean => {
      const sum = (this.charged.get(cell) ?? 0) + bytes;
      if (allowance === undefined || sum > allowance) return false;
      this.charged.set(cell, sum);
      return true;
    };
    this.storages = new LocalStorages(
      this.maps,
      {
        cell: (lo, hi) => (hi === HIGH ? lo + OBJECT.cell : 0),
        cellOffset: OBJECT.cell,
        live: (cell) => arena.u32(cell - OBJECT.cell + OBJECT.usage) !== 0,
        fromFd: (fd) => {
          const object = this.fds.get(fd);
          return object === undefined ? -ERRNO.EBADF : object + OBJECT.cell;
        },
        ...(allowance === undefined
          ? {}
          : { charge: account, uncharge: (cell: number, bytes: number) => void account(cell, -bytes) }),
      },
      (name, ...args) => this.entered(name, ...args),
    );
    this.helpers = new StorageHelpers({ storages: this.storages, generation, rules });
  }

  /** A new object, which `fd` stands for. @returns its pointer's lower half */
  object(fd: number): number {
    const at = this.maps.arena.alloc(OBJECT.size);
    this.maps.arena.setU32(at + OBJECT.usage, 1);
    this.fds.set(fd, at);
    return at;
  }

  /** The object's reference count falls to 0. */
  dying(object: number): void {
    this.maps.arena.setU32(object + OBJECT.usage, 0);
  }

  /** The object is freed. */
  freed(object: number): void {
    this.storages.release(object + OBJECT.cell, (address) => this.byAddress.get(address) as StorageMap);
    this.maps.arena.free(object);
  }

  map(
    valueSize = 8,
    { flags = MapFlag.NoPrealloc as number, fields = undefined as ValueFields | undefined } = {},
  ): StorageMap {
    const desc = { type: MapType.TaskStorage, keySize: 4, valueSize, maxEntries: 0, flags, name: "m", fields };
    const map = new StorageMap(this.storages, desc, this.#nextId++);
    this.byAddress.set(map.address, map);
    return map;
  }

  /** Offset of a value with these words. */
  value(...words: number[]): number {
    const at = this.maps.arena.alloc(Math.max(4 * words.length, 8));
    for (const [k, word] of words.entries()) this.maps.arena.setU32(at + 4 * k, word);
    return at;
  }

  key(fd: number): number {
    return this.value(fd);
  }

  word(at: number): number {
    return this.maps.arena.u32(at);
  }
}
