/**
 * A kernel as small as it can be and still do what the statements speak of: tasks, memory, user namespaces, capabilities and a few files of `/proc`, as plain
 * objects. What is about time namespaces it leaves to the package.
 */
import {
  Capability,
  CLONE_NEWTIME,
  ClockId,
  ClockMode,
  CloneFlag,
  LinuxError,
  nsFile,
  pageStore,
  type Task,
  TimeCalls,
  type TimeNamespace,
  TimeNamespaces,
  TimensOffsetsFile,
  TimePage,
  type Timespec,
  VVAR_ABIS,
  type VvarAbi,
  type VvarAbiName,
  vvarFault,
  zapOnSwitch,
} from "../src/index.js";
import { ALL, HostCred, HostUserNs } from "./reference-cred.js";

export const SEC = 1_000_000_000n;
export const CLONE_NEWUSER = 0x1000_0000;
const PFN = { time: 1, rng: 2, pvclock: 3 } as const;

export const spec = (ns: bigint): Timespec => ({ sec: Number(ns / SEC), nsec: Number(ns % SEC) });

/** "ok", or what a call failed with. */
export function answer(call: () => unknown): string {
  try {
    call();
    return "ok";
  } catch (error) {
    if (error instanceof LinuxError) return error.code;
    throw error;
  }
}

/** Memory of tasks, as far as it is pages below the image: slot to page. */
class Memory {
  readonly users = new Set<HostTask>();
  readonly ptes: Map<number, number>;
  constructor(ptes: ReadonlyMap<number, number> = new Map()) {
    this.ptes = new Map(ptes);
  }
}

export interface HostOptions {
  readonly compat?: "6.1";
  readonly abi?: VvarAbiName;
}

export class Host {
  readonly abi: VvarAbi;
  readonly user = new HostUserNs(null, 0);
  readonly namespaces: TimeNamespaces;
  readonly calls: TimeCalls;
  readonly init: HostTask;
  readonly frames = new Map<number, Uint8Array>();
  /** Pages of namespaces that are in use. */
  readonly namespacePages = new Set<number>();
  /** Nanoseconds since the host began, and what each clock showed then. */
  now = 0n;
  readonly began = {
    realtime: 1_796_000_000n * SEC + 250_000_000n,
    monotonic: 5_000n * SEC + 7n,
    raw: 4_999n * SEC,
    boottime: 6_000n * SEC + 500_000_000n,
    tai: 1_796_000_037n * SEC,
  };
  readonly idle: Timespec = { sec: 1811, nsec: 860_000_000 };
  readonly #time: TimePage;
  #nextPfn = 100;

  constructor({ compat, abi = "linux-6.18" }: HostOptions = {}) {
    this.abi = VVAR_ABIS[abi];
    this.namespaces = new TimeNamespaces({
      abi: this.abi,
      userNs: this.user,
      clocks: { monotonic: () => this.clock(ClockId.Monotonic), boottime: () => this.clock(ClockId.Boottime) },
      allocPage: () => {
        const pfn = this.#nextPfn++;
        this.namespacePages.add(pfn);
        return { pfn, store: pageStore(this.frame(pfn)), free: () => this.namespacePages.delete(pfn) };
      },
    });
    this.calls = new TimeCalls({
      namespaces: this.namespaces,
      ...(compat && { compat }),
      mayAccess: (task, target) => task.cred.capable(target.cred.userNs, Capability.SysAdmin),
    });
    const memory = new Memory();
    this.init = new HostTask(this, new HostCred(this.user, 0, ALL), memory);
    memory.users.add(this.init);
    this.calls.init(this.init);
    this.#time = new TimePage(pageStore(this.frame(PFN.time)), this.abi);
    this.tick();
  }

  frame(pfn: number): Uint8Array {
    const frame = this.frames.get(pfn) ?? new Uint8Array(4096);
    this.frames.set(pfn, frame);
    return frame;
  }

  /** What a clock shows without an offset, nanoseconds. */
  clock(clock: ClockId): bigint {
    const { realtime, monotonic, raw, boottime, tai } = this.began;
    const began: Partial<Record<ClockId, bigint>> = {
      [ClockId.Realtime]: realtime,
      [ClockId.Monotonic]: monotonic,
      [ClockId.MonotonicRaw]: raw,
      [ClockId.RealtimeCoarse]: realtime,
      [ClockId.MonotonicCoarse]: monotonic,
      [ClockId.Boottime]: boottime,
      [ClockId.BoottimeAlarm]: boottime,
      [ClockId.Tai]: tai,
    };
    return (began[clock] ?? 0n) + this.now;
  }

  /** Writes the page that all read. A counter of the vDSO counts nanoseconds since then. */
  tick(): void {
    const scale = { cycleLast: this.now, mult: 1, shift: 0 };
    const base = (clock: ClockId): { sec: number; shifted: bigint } => {
      const { sec, nsec } = spec(this.clock(clock));
      return { sec, shifted: BigInt(nsec) };
    };
    this.#time.update({
      mode: ClockMode.Tsc,
      scale,
      rawScale: scale,
      realtime: base(ClockId.Realtime),
      monotonic: base(ClockId.Monotonic),
      boottime: base(ClockId.Boottime),
      tai: base(ClockId.Tai),
      raw: base(ClockId.MonotonicRaw),
      realtimeCoarse: spec(this.clock(ClockId.RealtimeCoarse)),
      monotonicCoarse: spec(this.clock(ClockId.MonotonicCoarse)),
      resolutionNs: 1,
    });
  }

  /** What is to be seen in a slot. */
  fault(slot: number, namespace: TimeNamespace): ReturnType<typeof vvarFault> {
    const pages = { ...PFN, hvclock: null };
    return vvarFault({ abi: this.abi, pages, vclocksUsed: new Set(["pvclock"]) }, slot, namespace.page?.pfn ?? null);
  }
}

export class HostTask implements Task {
  nsproxy: Task["nsproxy"] = null;
  readonly startBoottime: bigint;
  #memory: Memory;

  constructor(
    readonly host: Host,
    public cred: HostCred,
    memory: Memory,
  ) {
    this.startBoottime = host.clock(ClockId.Boottime);
    this.#memory = memory;
  }

  singleThreaded(): boolean {
    return [...this.#memory.users].every((task) => task === this);
  }

  joinTimens(): void {
    for (const slot of zapOnSwitch(this.host.abi)) this.#memory.ptes.delete(slot);
  }

  get time(): TimeNamespace {
    return nsFile(this, "time");
  }

  get forChildren(): TimeNamespace {
    return nsFile(this, "time_for_children");
  }

  /** clone3(2) with these flags; `legacy`: clone(2). */
  clone(flags: number, legacy = false): HostTask {
    const shares = (flags & CloneFlag.Vm) !== 0;
    const memory = shares ? this.#memory : new Memory(this.#memory.ptes);
    const child = new HostTask(this.host, this.cred, memory);
    if (legacy) this.host.calls.clone(this, child, flags);
    else this.host.calls.clone3(this, child, flags);
    memory.users.add(child);
    return child;
  }

  fork(): HostTask {
    return this.clone(0);
  }

  vfork(): HostTask {
    return this.clone(CloneFlag.Vm);
  }

  thread(): HostTask {
    return this.clone(CloneFlag.Vm | CloneFlag.Thread);
  }

  execve(): void {
    this.#memory.users.delete(this);
    this.#memory = new Memory();
    this.#memory.users.add(this);
    this.host.calls.execve(this);
  }

  exit(): void {
    this.host.calls.exit(this);
    this.#memory.users.delete(this);
  }

  unshare(flags = CLONE_NEWTIME): void {
    const cred =
      (flags & CLONE_NEWUSER) === 0
        ? this.cred
        : new HostCred(new HostUserNs(this.cred.userNs, this.cred.euid), this.cred.euid, ALL);
    this.host.calls.unshare(this, flags, cred.userNs);
    this.cred = cred;
  }

  setns(namespace: TimeNamespace, flags = CLONE_NEWTIME): void {
    this.host.calls.setns(this, namespace, flags);
  }

  setnsPidfd(target: HostTask | null, flags = CLONE_NEWTIME): void {
    this.host.calls.setnsPidfd(this, target, flags);
  }

  /** Opens `/proc/PID/timens_offsets` of a task. */
  openOffsets(task: HostTask = this): TimensOffsetsFile {
    return new TimensOffsetsFile(task, this.cred);
  }

  write(text: string): number {
    return this.openOffsets().write(text);
  }

  readOffsets(): string {
    return this.openOffsets().read(4096);
  }

  /** clock_gettime(2), nanoseconds. */
  clock(clock: ClockId): bigint {
    return this.time.toNamespace(clock, this.host.clock(clock));
  }

  /** The page a load from a slot reads. */
  load(slot: number): number | "SIGBUS" {
    const { ptes } = this.#memory;
    if (!ptes.has(slot)) for (const { slot: at, pfn } of this.host.fault(slot, this.time) ?? []) ptes.set(at, pfn);
    return ptes.get(slot) ?? "SIGBUS";
  }

  loadPage(page: "time" | "timens"): number | "SIGBUS" {
    return this.load(this.host.abi.pages.indexOf(page));
  }

  /** `__vdso_clock_gettime`: what its code makes of the pages the task sees, nanoseconds. */
  vdsoClock(clock: ClockId): bigint {
    const { clocks, stride, fields } = this.host.abi;
    const view = (page: "time" | "timens"): DataView => {
      const pfn = this.loadPage(page);
      if (pfn === "SIGBUS") throw new Error(`SIGBUS in ${page}`);
      const { buffer } = this.host.frame(pfn);
      return new DataView(buffer, clocks + (clock === ClockId.MonotonicRaw ? stride : 0));
    };
    const pair = (of: DataView): bigint =>
      of.getBigInt64(fields.bases + 16 * clock, true) * SEC + of.getBigUint64(fields.bases + 16 * clock + 8, true);
    const seen = view("time");
    const inside = (seen.getUint32(fields.seq, true) & 1) !== 0;
    if (inside && seen.getUint32(fields.mode, true) !== ClockMode.Timens) throw new Error("an update that never ends");
    const real = inside ? view("timens") : seen;
    const coarse = clock === ClockId.RealtimeCoarse || clock === ClockId.MonotonicCoarse;
    const cycles = coarse ? 0n : this.host.now - real.getBigUint64(fields.cycleLast, true);
    return pair(real) + cycles + (inside ? pair(seen) : 0n);
  }

  /** `/proc/uptime`, and the uptime of sysinfo(2). */
  uptime(): string {
    const text = ({ sec, nsec }: Timespec): string => `${sec}.${String(Math.floor(nsec / 1e7)).padStart(2, "0")}`;
    return `${text(this.time.uptime(spec(this.host.clock(ClockId.Boottime))))} ${text(this.host.idle)}`;
  }

  /** The line `btime` of `/proc/stat`. */
  btime(): number {
    return this.time.btime(spec(this.host.clock(ClockId.Realtime) - this.host.clock(ClockId.Boottime)));
  }

  /** Field 22 of `/proc/PID/stat` of a task. */
  starttime(task: HostTask): bigint {
    return this.time.starttime(task.startBoottime);
  }
}

/** A host with an ordinary task; `inside`: a task whose parent has made a namespace with these offsets for it. */
export function setup(options?: HostOptions) {
  const host = new Host(options);
  const task = host.init.fork();
  const inside = (offsets: string): HostTask => {
    const parent = host.init.fork();
    parent.unshare();
    parent.write(offsets);
    return parent.fork();
  };
  return { host, task, inside, root: host.namespaces.root };
}
