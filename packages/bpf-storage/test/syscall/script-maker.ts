import { Command, encodeInsns, ProgramType } from "../../src/index.js";
import { assemble } from "../engine/assemble.js";
import { type Buffer, type IdAt, madeBy, type Patch, type Script, slotAt } from "./script.js";
import { MapScripts, STORAGES, TYPES } from "./script-maps.js";
import type { Fields } from "./script-writer.js";

/** Programs of a few instructions: some that are fine, some that are not. */
const PROGRAMS: readonly (readonly [type: number, source: string])[] = [
  [ProgramType.SocketFilter, "mov %r0, 0\nexit"],
  [ProgramType.RawTracepoint, "mov %r0, 3\nexit"],
  [ProgramType.RawTracepoint, "ldxdw %r0, [%r1+8]\nexit"],
  [ProgramType.RawTracepoint, "exit"],
  [ProgramType.Xdp, "mov %r0, 2\nexit"],
  [ProgramType.SchedCls, "ldxw %r0, [%r1]\nexit"],
  [ProgramType.SocketFilter, "stdw [%r10-8], 9\nldxdw %r0, [%r10-8]\nexit"],
  [ProgramType.Syscall, "ldxdw %r2, [%r1]\nadd %r2, 1\nstxdw [%r1], %r2\nmov %r0, 5\nexit"],
  [ProgramType.RawTracepoint, "call local f\nexit\nf:\nmov %r0, 1\nexit"],
  [ProgramType.Kprobe, "mov %r0, 0\nexit"],
  [77, "mov %r0, 0\nexit"],
];

/** Makes scripts: calls that build on one another, some of them wrong. */
export class ScriptMaker extends MapScripts {
  make(length: number): Script {
    this.loadBtf(true);
    this.createMap();
    while (this.steps.length < length) this.next();
    for (const map of this.maps) if (!STORAGES.includes(map.type)) this.walk(map);
    return this.steps;
  }

  protected next(): void {
    const steps: readonly (readonly [weight: number, make: () => void])[] = [
      [14, () => this.createMap()],
      [30, () => this.element()],
      [8, () => this.batch()],
      [3, () => this.freeze()],
      [8, () => this.program()],
      [6, () => this.run()],
      [8, () => this.info()],
      [5, () => this.ids()],
      [3, () => this.loadBtf(this.chance(50))],
      [2, () => this.bind()],
      [4, () => this.other()],
    ];
    let at = this.below(steps.reduce((sum, [weight]) => sum + weight, 0));
    for (const [weight, make] of steps) {
      if (at < weight) {
        make();
        return;
      }
      at -= weight;
    }
  }

  protected program(): void {
    const [type, source] = this.one(PROGRAMS);
    const uses = this.chance(25) ? this.map() : undefined;
    // `r1 = map` in front of the rest, which may overwrite it.
    const naming = uses === undefined ? [] : [0x18, 0x19, ...Array(14).fill(0)];
    const insns = Uint8Array.from([...naming, ...encodeInsns(assemble(source))]);
    const named: Patch[] = uses === undefined ? [] : [{ at: 4, kind: "F", of: this.fd(uses.step) }];
    const typed = this.chance(25) ? this.records(insns.length / 8, source.includes("call local")) : null;
    const flags = type === ProgramType.Syscall ? 16 : this.chance(90) ? 0 : this.one([1, 2, 16, 32, 256]);
    const logged = this.chance(10);
    const step = this.push(
      `load ${type}: ${source.replaceAll("\n", "; ")}`,
      Command.ProgLoad,
      {
        ...{ 0: type, 4: insns.length / 8, 8: this.slot(0), 16: this.slot(1), 44: flags },
        ...(this.chance(30)
          ? { 48: new TextEncoder().encode(this.one(["prog", "x.y", "x y", "0123456789abcdef"])) }
          : {}),
        ...(logged
          ? {
              24: this.one([0, 1, 2, 16]),
              28: this.one([0, 1, 65536]),
              32: this.chance(80) ? BigInt(slotAt(2)) : 0n,
            }
          : {}),
        ...(this.chance(5) ? { 108: this.one([1, 9999999]) } : {}),
        ...(this.chance(5) ? { 68: this.one([1, 23, 37, 60]) } : {}),
        ...(typed?.fields ?? {}),
      },
      {
        patches: typed === null ? [] : [{ at: 72, kind: "F", of: this.fd(this.btfs[0]) }],
        buffers: [
          { bytes: insns, shown: 0, patches: named },
          { bytes: new TextEncoder().encode("GPL\0"), shown: 0 },
          { bytes: new Uint8Array(0), shown: 0 },
          ...(typed?.buffers ?? []),
        ],
      },
    );
    this.programs.push({ step, type });
  }

  /** What a loader says of functions and lines, some of it wrong. */
  protected records(insns: number, calls: boolean): { readonly fields: Fields; readonly buffers: readonly Buffer[] } {
    const words = (...rows: readonly (readonly number[])[]): Uint8Array =>
      new Uint8Array(Uint32Array.from(rows.flat()).buffer);
    const odd = (good: number): number => (this.chance(8) ? this.odd() : good);
    const size = odd(this.one([8, 8, 12]));
    const pad = size === 12 ? [odd(0)] : [];
    const second = calls ? [[insns - 2, odd(TYPES.part), ...pad]] : [];
    const functions = words([odd(0), odd(TYPES.main), ...pad], ...second);
    const line = (at: number): number[] => [odd(at), odd(1), odd(1), 0x401];
    const lines = words(line(0), line(calls ? insns - 2 : insns - 1));
    const [slotOfFunctions, slotOfLines] = [3, 4];
    const fields = {
      ...{ 76: size, 80: BigInt(slotAt(slotOfFunctions)), 88: odd(calls ? 2 : 1) },
      ...(this.chance(60) ? { 92: odd(16), 96: BigInt(slotAt(slotOfLines)), 104: odd(2) } : {}),
    };
    return {
      fields,
      buffers: [
        { bytes: functions, shown: 0 },
        { bytes: lines, shown: 0 },
      ],
    };
  }

  protected run(): void {
    const program = this.programs.length === 0 ? undefined : this.one(this.programs);
    if (program === undefined) return;
    const packet = [ProgramType.SocketFilter, ProgramType.Xdp, ProgramType.SchedCls].includes(program.type as never);
    const context = packet ? (this.chance(60) ? 0 : this.one([4, 24, 192, 196])) : this.one([0, 8, 16, 96, 97, 104]);
    const size = packet ? this.one([13, 14, 14, 64, 64, 100, 5000]) : 0;
    const room = packet ? this.one([0, 14, 200]) : 0;
    const contextRoom = packet && this.chance(40) ? this.one([0, 8, 24, 192, 200]) : 0;
    this.push(
      `run of step ${program.step}`,
      Command.ProgTestRun,
      {
        ...{ 8: size, 12: room, 16: packet ? this.slot(0) : 0n, 24: room > 0 ? this.slot(1) : 0n },
        ...{ 32: packet ? this.one([0, 1, 3]) : this.chance(5) ? 1 : 0 },
        ...{ 40: context, 48: context > 0 ? this.slot(2) : 0n },
        ...{ 44: contextRoom, 56: contextRoom > 0 ? this.slot(3) : 0n },
        ...(this.chance(5) ? { 64: this.one([1, 4, 8]), 68: this.one([0, 1, 4096]) } : {}),
      },
      {
        patches: [{ at: 0, kind: "F", of: this.fd(program.step) }],
        buffers: [
          { bytes: this.bytes(size), shown: 0 },
          { bytes: new Uint8Array(0), shown: 200 },
          {
            bytes: packet
              ? this.packetContext(context, size, program.type === ProgramType.Xdp)
              : Uint8Array.from({ length: context }, (_, k) => k),
            shown: context,
          },
          { bytes: new Uint8Array(0), shown: contextRoom },
        ],
        outputs: [4, 12, 44],
      },
    );
  }

  /** `struct __sk_buff` or `struct xdp_md`, as callers may give it, or nearly so. */
  protected packetContext(size: number, packet: number, xdp: boolean): Uint8Array {
    const bytes = new Uint8Array(size);
    if (size < 24) return bytes;
    const view = new DataView(bytes.buffer);
    if (xdp) {
      view.setUint32(0, this.one([0, 0, 4, 8, 3, 36]), true);
      view.setUint32(4, this.chance(90) ? packet : this.odd(), true);
      if (this.chance(10)) view.setUint32(4 * this.one([2, 4, 5]), 1, true);
      return bytes;
    }
    const allowed = [8, 32, 36, 48, 64, 152, 164, 176, 184].filter((at) => at + 4 <= size);
    for (const at of allowed) if (this.chance(30)) view.setUint32(at, this.below(1000), true);
    if (this.chance(15)) view.setUint32(4 * this.below(Math.floor(size / 4)), this.one([1, 64, 100000]), true);
    return bytes;
  }

  protected info(): void {
    const of = this.chance(30) ? this.one([...this.btfs, ...this.programs.map(({ step }) => step)]) : this.map()?.step;
    if (of === undefined) return;
    const about = this.steps[of];
    const command = about === undefined ? -1 : madeBy(about);
    const sizes =
      command === Command.ProgLoad
        ? [4, 20, 80, 200, 228, 232, 236]
        : command === Command.BtfLoad
          ? [0, 4, 16, 32, 40]
          : [0, 4, 24, 80, 88, 96];
    const size = this.one(sizes);
    const shown = command === Command.ProgLoad ? 232 : Math.min(size, 88);
    const ids: IdAt[] = [[command === Command.BtfLoad ? 12 : 4, command]];
    if (command === Command.MapCreate) ids.push([64, Command.BtfLoad]);
    if (command === Command.ProgLoad) ids.push([128, Command.BtfLoad]);
    // How long programs become, and when they were loaded, is nobody's to compare.
    const hidden =
      command === Command.ProgLoad
        ? ([
            [16, 24],
            [40, 48],
            [168, 172],
            [192, 200],
          ] as const)
        : [];
    this.push(
      `info of step ${of}`,
      Command.ObjGetInfoByFd,
      { 4: size, 8: this.slot(0) },
      {
        patches: [{ at: 0, kind: "F", of }],
        buffers: [{ bytes: new Uint8Array(0), shown, ids, hidden }],
        outputs: [4],
      },
    );
  }

  protected ids(): void {
    const [of, next, byId] = this.one([
      [this.map()?.step, Command.MapGetNextId, Command.MapGetFdById] as const,
      [this.programs[0]?.step, Command.ProgGetNextId, Command.ProgGetFdById] as const,
      [this.btfs[0], Command.BtfGetNextId, Command.BtfGetFdById] as const,
    ]);
    if (of === undefined) return;
    if (this.chance(50)) {
      // An id that is none leads to somebody else's object.
      if (this.steps[of]?.kind === "call")
        this.push(`next id after step ${of}`, next, {}, { patches: [{ at: 0, kind: "I", of, plus: -1 }] });
      return;
    }
    const flags = byId === Command.MapGetFdById && this.chance(30) ? this.one([8, 16, 24, 1]) : 0;
    const step = this.push(
      `descriptor by id of step ${of}`,
      byId,
      { 8: flags },
      { patches: [{ at: 0, kind: "I", of }] },
    );
    const map = this.maps.find((each) => each.step === of);
    if (map !== undefined) this.maps.push({ ...map, step });
  }

  protected loadBtf(good: boolean): void {
    const bytes = TYPES.bytes.slice();
    if (!good) bytes[this.below(64)] = this.below(256);
    const size = good || this.chance(70) ? bytes.length : this.below(bytes.length);
    const step = this.push(
      "load BTF",
      Command.BtfLoad,
      { 0: good ? BigInt(slotAt(0)) : this.slot(0), 16: size },
      { buffers: [{ bytes, shown: 0 }] },
    );
    if (good) this.btfs.push(step);
  }

  protected bind(): void {
    const program = this.programs[0]?.step;
    if (program === undefined) return;
    this.push(
      "bind",
      Command.ProgBindMap,
      { 8: this.chance(90) ? 0 : 1 },
      {
        patches: [
          { at: 0, kind: "F", of: this.fd(program) },
          { at: 4, kind: "F", of: this.fd(this.map()?.step) },
        ],
      },
    );
  }

  /** Paths of a file system that the kernel which is asked does not have. */
  protected pin(): void {
    const of = this.one([this.map()?.step, this.programs[0]?.step, this.btfs[0]]);
    const path = { bytes: new TextEncoder().encode(`/sys/fs/bpf/${this.below(3)}\0`), shown: 0 };
    if (this.chance(50))
      this.push(
        "pin",
        Command.ObjPin,
        { 0: this.slot(0) },
        { patches: [{ at: 8, kind: "F", of: this.fd(of) }], buffers: [path] },
      );
    else this.push("get", Command.ObjGet, { 0: this.slot(0), 12: this.one([0, 0, 8, 16, 24, 1]) }, { buffers: [path] });
  }

  /** Commands that nothing here takes, and some that nobody knows. */
  protected other(): void {
    if (this.pins && this.chance(50)) {
      this.pin();
      return;
    }
    const fd = (at: number): Patch => ({ at, kind: "F", of: this.fd(this.programs[0]?.step) });
    const command = this.one([
      Command.LinkCreate,
      Command.LinkUpdate,
      Command.LinkDetach,
      Command.IterCreate,
      Command.EnableStats,
      99,
      0x7fffffff,
    ]);
    const attach = command === Command.LinkCreate ? { 8: this.one([0, 26, 41, 60]) } : {};
    this.push(`command ${command}`, command, attach, {
      patches: command === Command.EnableStats || command > 50 ? [] : [fd(0)],
    });
  }
}
