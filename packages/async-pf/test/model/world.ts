import {
  ApfArea,
  type Era,
  GuestAsyncPf,
  type GuestPorts,
  MSR_KVM_ASYNC_PF_ACK,
  offeredFeatures,
  type ResidencyPort,
  type VcpuAsyncPf,
  VmAsyncPf,
} from "../../src/index.js";
import { Cpu, type Plant, type System } from "./cpu.js";
import { Random } from "./random.js";
import { PAGES, randomTask, type Task } from "./task.js";

const features = offeredFeatures({ lapic: true, lazy: true });
const MAX_STEPS = 20_000;

export interface Schedule {
  readonly seed: number;
  readonly plant?: Plant;
  readonly era?: Era;
  /** At most. Default 3. */
  readonly snapshots?: number;
  /** Interrupts may come between a #PF and the moment its task waits. Default false. */
  readonly early?: boolean;
}

/** How a schedule ended. */
export interface Outcome {
  readonly end: "done" | "hang" | "endless";
  readonly injections: number;
  readonly restores: number;
}

interface Left {
  snapshots: number;
  ticks: number;
  evictions: number;
  failures: number;
  hotplugs: number;
}

/** Host, guest, tasks and a backend; what happens next is drawn. */
export class World implements System {
  readonly random: Random;
  readonly plant: Plant;
  readonly early: boolean;
  readonly memory = new Map<number, number>();
  readonly runnable: Task[] = [];
  guest: GuestAsyncPf<number>;
  #vm: VmAsyncPf;
  #hosts: readonly VcpuAsyncPf[];
  readonly #era: Era;
  readonly #tasks: readonly Task[];
  readonly #cpus: readonly Cpu[];
  readonly #resident = new Set<number>();
  #restores = 0;
  /** How often what need not happen still may. */
  readonly #left: Left;

  constructor({ seed, plant = "none", era = "after", snapshots = 3, early = false }: Schedule) {
    this.random = new Random(seed);
    this.plant = plant;
    this.early = early;
    this.#era = era;
    this.#left = { snapshots, ticks: 8, evictions: 4, failures: 2, hotplugs: early ? 0 : 2 };
    this.#cpus = Array.from({ length: 2 + this.random.below(3) }, (_, id) => new Cpu(id, this));
    this.#tasks = Array.from({ length: 4 + this.random.below(3) }, (_, id) => randomTask(id, this.random));
    this.runnable.push(...this.#tasks);
    for (const { area } of this.#cpus)
      for (const at of [ApfArea.Flags, ApfArea.Token, ApfArea.Enabled]) this.memory.set(area + at, 0);
    [this.#vm, this.#hosts] = this.#newHost();
    this.guest = this.#newGuest();
    for (const { id } of this.#cpus) this.guest.online(id);
  }

  resident(gfn: number): boolean {
    return this.#resident.has(gfn);
  }

  run(): Outcome {
    for (let step = 0; step < MAX_STEPS; step++) {
      if (this.#tasks.every(({ finished }) => finished)) return this.#outcome("done");
      const needed = this.#needed();
      if (needed.length === 0) return this.#outcome("hang");
      this.random.of(this.random.once(8) ? [...needed, ...this.#possible()] : needed)();
    }
    return this.#outcome("endless");
  }

  #outcome(end: Outcome["end"]): Outcome {
    const injections = this.#cpus.reduce((sum, cpu) => sum + cpu.injections, 0);
    return { end, injections, restores: this.#restores };
  }

  /** What happens sooner or later, as nothing else does. */
  #needed(): (() => void)[] {
    const cpus = this.#cpus.filter((cpu) => cpu.enabled(this.#host(cpu)));
    return [
      ...cpus.map((cpu) => () => this.#step(cpu)),
      ...this.#vm.fetching.map((gfn) => () => this.#arrive(gfn)),
      ...this.#vm.failures.map(
        ({ gfn }) =>
          () =>
            this.#vm.retry(gfn),
      ),
      ...this.#cpus.filter(({ lapicEnabled }) => !lapicEnabled).map((cpu) => () => this.#enableLapic(cpu)),
      ...this.#cpus.filter(({ online }) => !online).map((cpu) => () => this.#online(cpu)),
    ];
  }

  /** What may happen, but need not. */
  #possible(): (() => void)[] {
    const { random } = this;
    return [
      this.#sometimes("snapshots", () => this.#snapshot()),
      this.#sometimes("ticks", () => {
        random.of(this.#cpus).tick = true;
      }),
      this.#sometimes("evictions", () => this.#resident.delete(random.below(PAGES))),
      this.#sometimes("failures", () => {
        if (this.#vm.fetching.length > 0) this.#vm.failed(random.of(this.#vm.fetching), new Error("connection lost"));
      }),
      this.#sometimes("hotplugs", () => this.#offline(random.of(this.#cpus))),
      this.#sometimes("hotplugs", () => this.#disableLapic(random.of(this.#cpus))),
    ];
  }

  #sometimes(what: keyof Left, act: () => void): () => void {
    return () => {
      if (this.#left[what]-- > 0) act();
    };
  }

  #host({ id }: Cpu): VcpuAsyncPf {
    return this.#hosts[id] as VcpuAsyncPf;
  }

  #step(cpu: Cpu): void {
    const host = this.#host(cpu);
    if (cpu.step(host) === "ack") host.writeMsr(MSR_KVM_ASYNC_PF_ACK, 1, 0);
  }

  /** A page, or the chunk it is in. */
  #arrive(gfn: number): void {
    const count = this.random.of([1, 4, 16]);
    const first = gfn - (gfn % count);
    for (let page = first; page < first + count; page++) this.#resident.add(page);
    this.#vm.arrived(first, count);
  }

  /** By software it keeps what waits in it, by hardware it does not. */
  #disableLapic(cpu: Cpu): void {
    cpu.lapicEnabled = false;
    if (this.random.once(2)) cpu.irr = false;
  }

  #enableLapic(cpu: Cpu): void {
    cpu.lapicEnabled = true;
    this.#host(cpu).rescan();
  }

  #offline(cpu: Cpu): void {
    if (!cpu.online || !cpu.calm || this.#host(cpu).state !== "running") return;
    cpu.online = false;
    this.guest.offline(cpu.id);
    cpu.yieldTask();
  }

  #online(cpu: Cpu): void {
    cpu.init();
    this.#host(cpu).reset();
    cpu.online = true;
    this.guest.online(cpu.id);
  }

  /** Saved and restored at once: what came between would be lost. The pages may have to come anew. */
  #snapshot(): void {
    this.#restores++;
    const saved = this.#vm.save();
    const nextId = this.plant === "tokens counted from 1" ? { nextId: 1 } : {};
    const state = JSON.stringify({ vcpus: saved.vcpus.map((vcpu) => ({ ...vcpu, ...nextId })) });
    const guestState = JSON.stringify(this.guest.save());
    if (this.random.once(2)) this.#resident.clear();
    // Some hosts do not keep it; what is restored makes up for that.
    if (this.random.once(3)) for (const cpu of this.#cpus) cpu.irr = false;
    for (const cpu of this.#cpus) cpu.restored = true;
    [this.#vm, this.#hosts] = this.#newHost();
    this.#vm.restore(JSON.parse(state));
    if (this.plant === "IRR lost") for (const cpu of this.#cpus) cpu.irr = false;
    this.guest = this.#newGuest();
    this.guest.restore(JSON.parse(guestState), (task) => typeof task === "number");
  }

  #newHost(): [VmAsyncPf, readonly VcpuAsyncPf[]] {
    const residency: ResidencyPort = { fetch: () => undefined, report: () => undefined };
    const vm = new VmAsyncPf({ features, residency });
    return [vm, this.#cpus.map((cpu) => vm.addVcpu(cpu.id, cpu.ports))];
  }

  #newGuest(): GuestAsyncPf<number> {
    const cpu = (id: number): Cpu => this.#cpus[id] as Cpu;
    const ports: GuestPorts<number> = {
      words: {
        read: (gpa) => this.memory.get(gpa) ?? false,
        write: (gpa, value) => this.memory.has(gpa) && this.memory.set(gpa, value) !== undefined,
      },
      area: (id) => cpu(id).area,
      wrmsr: (id, msr, lo, hi) => cpu(id).wrmsr(this.#host(cpu(id)), msr, lo, hi, msr === MSR_KVM_ASYNC_PF_ACK),
      eoi: () => undefined,
      wake: (id) => this.runnable.push(this.#tasks[id] as Task),
      reschedule: () => undefined,
      allocate: () => !this.random.once(4),
    };
    return new GuestAsyncPf({ era: this.#era, features, ports });
  }
}
