import { Lifecycle } from "../../../src/module/td.js";
import { checkModule } from "../check-module.js";
import { PAGE } from "../host.js";
import { Random } from "../random.js";
import { Tdh } from "../td-host.js";
import { type Actor, type Chooser, Exhaustive, schedule } from "./explorer.js";
import { type Life, newLife } from "./life.js";
import { ModelHost } from "./model-host.js";

/** A vCPU: it enters, touches a page now and then, and leaves; as often as it is let. */
class VcpuActor implements Actor {
  inGuest = false;
  kicked = false;
  done = false;
  #entries = 0;
  #touches = 0;

  constructor(
    readonly name: string,
    readonly life: Life,
    readonly index: number,
    readonly gpa: () => number,
    readonly run: (until: () => boolean) => void,
    readonly isInnermost: () => boolean,
  ) {}

  enabled(): boolean {
    if (this.inGuest) return this.isInnermost();
    return !this.done && !this.kicked;
  }

  step(): void {
    if (!this.inGuest) this.#enter();
    else if (!this.kicked && this.#touches < 2) this.#touch();
    else this.inGuest = false;
  }

  #enter(): void {
    const { cpu } = this.life.vcpu(this.index);
    cpu.onRun = () => {
      this.inGuest = true;
      this.#touches = 0;
      this.run(() => !this.inGuest);
      return { reason: "external-interrupt" };
    };
    this.life.enter(this.index);
    this.done = ++this.#entries >= 2;
  }

  #touch(): void {
    this.#touches++;
    this.life.touch(this.index, this.gpa());
  }
}

/** KVM takes a page away: BLOCK, TRACK, everybody out, REMOVE; what is busy is tried once more after everybody is out. */
class ZapActor implements Actor {
  readonly name = "zap";
  readonly #steps = [Tdh.RangeBlock, Tdh.Track, Tdh.PageRemove];
  #retrying = false;

  constructor(
    readonly life: Life,
    readonly gpa: () => number,
    readonly vcpus: readonly VcpuActor[],
    readonly other: SharedTreeActor,
  ) {}

  get done(): boolean {
    return this.#steps.length === 0;
  }

  enabled(): boolean {
    const waits = this.#retrying || this.#steps[0] === Tdh.PageRemove;
    const isBusy = this.other.inTree || this.vcpus.some(({ inGuest }) => inGuest);
    return !this.done && !(waits && isBusy);
  }

  step(): void {
    const [leaf = 0] = this.#steps;
    const ended = this.life.zapStep(leaf, this.gpa());
    if (!ended && this.#retrying) this.life.host.fail("I8", `leaf ${leaf} failed a second time`);
    this.#retrying = !ended;
    if (ended) this.#steps.shift();
    const out = this.#retrying || this.#steps[0] === Tdh.PageRemove;
    for (const vcpu of this.vcpus) vcpu.kicked = out;
  }
}

/** Another vCPU's fault is being resolved: it has the tree of the secure EPT for itself and others who only add, for a while. */
class SharedTreeActor implements Actor {
  readonly name = "aug";
  inTree = false;
  #left = 2;
  #release: (() => void) | undefined;

  constructor(readonly life: Life) {}

  get done(): boolean {
    return this.#left === 0 && !this.inTree;
  }

  enabled(): boolean {
    return !this.done;
  }

  step(): void {
    if (this.inTree) this.#release?.();
    else {
      this.#left--;
      this.#release = this.life.holdTree();
    }
    this.inTree = !this.inTree;
  }
}

/** One schedule of two vCPUs, a fault of another, and a zap of the page that they use. */
export function zapSchedule(life: Life, gpa: number, choose: Chooser): readonly string[] {
  const trace: string[] = [];
  const actors: Actor[] = [];
  const stack: VcpuActor[] = [];
  const vcpus = [0, 1].map((index): VcpuActor => {
    const run = (until: () => boolean) => {
      stack.push(vcpu);
      schedule(actors, choose, until, trace);
      stack.pop();
    };
    const vcpu: VcpuActor = new VcpuActor(
      `vcpu${index}`,
      life,
      index,
      () => gpa,
      run,
      () => stack.at(-1) === vcpu,
    );
    return vcpu;
  });
  const other = new SharedTreeActor(life);
  const zap = new ZapActor(life, () => gpa, vcpus, other);
  actors.push(zap, other, ...vcpus);
  schedule(actors, choose, () => false, trace);
  life.host.assert(zap.done, "I8", "the page was not taken away");
  return trace;
}

/** An actor that does one thing after the other. */
function sequence(name: string, steps: (() => void)[]): Actor {
  return {
    name,
    enabled: () => steps.length > 0,
    step: () => steps.shift()?.(),
    get done() {
      return steps.length === 0;
    },
  };
}

export function lifeSchedule(life: Life, choose: Chooser): string {
  const { host } = life;
  const trace: string[] = [];
  const actors: Actor[] = [];
  life.begin();
  const { td } = life;
  const stack: VcpuActor[] = [];
  const run = (until: () => boolean) => {
    stack.push(vcpu);
    schedule(actors, choose, until, trace);
    stack.pop();
  };
  const vcpu: VcpuActor = new VcpuActor(
    "vcpu0",
    life,
    0,
    () => PAGE * choose(3),
    run,
    () => stack.at(-1) === vcpu,
  );
  const call = (leaf: number, operands: Parameters<ModelHost["call"]>[1]) => () => life.any(leaf, operands);
  actors.push(
    vcpu,
    sequence("populate", [
      () => life.addTables(),
      () => life.addPage(0),
      call(Tdh.MrExtend, { rcx: 0, rdx: td.tdr }),
      () => life.addPage(PAGE),
      call(Tdh.MrFinalize, { rcx: td.tdr }),
    ]),
    sequence("convert", [
      () => life.augPage(2 * PAGE),
      () => life.any(Tdh.RangeBlock, { rcx: 0, rdx: td.tdr }),
      () => life.any(Tdh.Track, { rcx: td.tdr }),
      () => life.removePage(0),
      () => life.augPage(0),
    ]),
    sequence("teardown", [
      () => life.flush(),
      () => life.any(Tdh.VpFlushDone, { rcx: td.tdr }),
      () => life.any(Tdh.CacheWb, { rcx: 0 }),
      () => life.any(Tdh.KeyFreeId, { rcx: td.tdr }),
      () => life.any(Tdh.PageReclaim, { rcx: td.tdr }),
    ]),
  );
  schedule(actors, choose, () => false, trace);
  checkModule(host.module.state);
  const reached = host.module.state.tds.get(td.tdr);
  life.end();
  return `${Lifecycle[reached?.lifecycle ?? 3]} ${reached?.opState} ${life.statuses.join(" ")}`;
}

/**
 * Tries `count` ways of two vCPUs, a fault and a zap to get along: one after the other, or at random with a seed.
 * @returns the different ones
 */
export function exploreZaps(count: number, seed?: number): number {
  const life = newLife(new ModelHost(new Random(1))).runnable();
  const ways = new Exhaustive();
  const random = seed === undefined ? undefined : new Random(seed);
  const choose: Chooser = random === undefined ? ways.choose : (of) => random.below(of);
  const traces = new Set<string>();
  for (let i = 0; i < count; i++) {
    const gpa = (i % 300) * PAGE;
    life.acceptPage(gpa);
    traces.add(zapSchedule(life, gpa, choose).join(" "));
    if (i % 200 === 0) checkModule(life.host.module.state);
    if (random === undefined && !ways.next()) break;
  }
  checkModule(life.host.module.state);
  return traces.size;
}

/** Tries `count` random ways of a whole life. @returns how many different ones there were, by what each step ended with */
export function exploreLives(seed: number, count: number): number {
  const random = new Random(seed);
  let host = new ModelHost(random);
  const ends = new Set<string>();
  for (let i = 0; i < count; i++) {
    if (i % 100 === 99) host = new ModelHost(random);
    ends.add(lifeSchedule(newLife(host), (choices) => random.below(choices)));
    host.assert(host.tds.length === 0, "I8", "a TD is left");
  }
  return ends.size;
}
