import { KvmFeature } from "../abi.js";
import { AsyncPfError, FetchError } from "../errors.js";
import { type Covers, checkGfn, range } from "./gfn.js";
import type { ResidencyPort, VcpuPorts } from "./ports.js";
import { checkedState, type VmAsyncPfState } from "./state.js";
import { MAX_VCPUS } from "./token.js";
import { type Shared, Vcpu } from "./vcpu.js";
import type { VcpuAsyncPf } from "./vcpu-async-pf.js";

const FEATURES = KvmFeature.AsyncPf | KvmFeature.AsyncPfInt | KvmFeature.AsyncPfVmexit;

export interface VmAsyncPfDesc {
  /** Bits of CPUID 0x40000001 EAX that the guest sees, of {@link KvmFeature}; `offeredFeatures` says which make sense. */
  readonly features: number;
  readonly residency: ResidencyPort;
  /** false: HLT does not leave the guest, so that no vCPU is halted on account of a miss. Default true. */
  readonly hltExits?: boolean;
}

/**
 * Asynchronous page faults of a VM: which frames are on their way, and who waits for them. Deterministic: the same calls lead to the same calls of the ports.
 */
export class VmAsyncPf {
  /** Bits of CPUID 0x40000001 EAX. */
  readonly features: number;
  readonly #residency: ResidencyPort;
  readonly #shared: Shared;
  readonly #vcpus: Vcpu[] = [];
  /** Frames that the backend has been asked for and has not answered. */
  readonly #fetching = new Set<number>();
  readonly #failures = new Map<number, FetchError>();

  /** @throws AsyncPfError "option": features that are not of asynchronous page faults */
  constructor({ features, residency, hltExits = true }: VmAsyncPfDesc) {
    if (!Number.isInteger(features) || (features & ~FEATURES) !== 0 || features > FEATURES)
      throw new AsyncPfError("option", `features ${features}: bits 4, 10 and 14`);
    this.features = features;
    this.#residency = residency;
    this.#shared = {
      features,
      hltExits,
      fetch: (gfn) => this.#fetch(gfn),
      failure: (needs) => this.#failure(needs),
      dropped: () => this.#dropFailures((gfn) => !this.#vcpus.some((vcpu) => vcpu.needs(gfn))),
    };
  }

  /** @throws AsyncPfError "vcpu": a number above 4095, which tokens have no room for, or one that is taken */
  addVcpu(id: number, ports: VcpuPorts): VcpuAsyncPf {
    if (!Number.isInteger(id) || id < 0 || id >= MAX_VCPUS || this.#vcpus.some((vcpu) => vcpu.id === id))
      throw new AsyncPfError("vcpu", `vCPU ${id}: an integer from 0 to ${MAX_VCPUS - 1} that no other one has`);
    const vcpu = new Vcpu(id, ports, this.#shared);
    this.#vcpus.push(vcpu);
    return vcpu;
  }

  /** Frames that the backend has been asked for and has not answered. */
  get fetching(): readonly number[] {
    return [...this.#fetching];
  }

  /** Frames without which some vCPU cannot go on, and that could not be brought. */
  get failures(): readonly FetchError[] {
    return [...this.#failures.values()];
  }

  /**
   * Frames are resident, asked for or not: a chunk of 64 KiB is 16 at once. Everybody who waits for one of them goes on or is told.
   * @throws AsyncPfError "gfn"
   */
  arrived(firstGfn: number, count = 1): void {
    const covers = range(firstGfn, count);
    this.#answered(covers);
    this.#dropFailures(covers);
    for (const vcpu of this.#vcpus) vcpu.arrived(covers);
  }

  /**
   * Frames could not be brought; those that nobody has asked for are passed over. vCPUs that need one are paused, and the port `report` is told.
   * @throws AsyncPfError "gfn"
   */
  failed(firstGfn: number, cause: unknown, count = 1): void {
    for (const gfn of this.#answered(range(firstGfn, count))) {
      const needing = this.#vcpus.filter((vcpu) => vcpu.needs(gfn)).map(({ id }) => id);
      const error = new FetchError(gfn, needing, cause);
      if (needing.length > 0) this.#failures.set(gfn, error);
      this.#residency.report(error);
    }
  }

  /**
   * Asks again for a frame that could not be brought; who is paused for it waits again.
   * @throws AsyncPfError "gfn"; "order": there is no such failure
   */
  retry(gfn: number): void {
    checkGfn(gfn);
    if (!this.#failures.delete(gfn))
      throw new AsyncPfError("order", `frame 0x${gfn.toString(16)}: one of those in failures`);
    this.#fetch(gfn);
  }

  /** What is outstanding is not part of it: after {@link restore}, whoever waited misses again. */
  save(): VmAsyncPfState {
    return { vcpus: this.#vcpus.map((vcpu) => vcpu.save()) };
  }

  /**
   * To be called when the guest's memory and the local APICs are what they are to be. Every task of the guest that sleeps because of a page is woken, on every
   * vCPU that is switched on, and an interrupt that was raised for a token is raised again. Answers of the backend to earlier calls are passed over.
   * @param state what {@link save} returned, for vCPUs with the same numbers in the same order
   * @throws AsyncPfError "state": out of range, or not possible with these vCPUs; nothing has changed
   */
  restore(state: unknown): void {
    const ids = this.#vcpus.map(({ id }) => id);
    const restored = checkedState(state, ids).map((saved, index) => ({ saved, vcpu: this.#vcpus[index] as Vcpu }));
    for (const { saved, vcpu } of restored) {
      const why = vcpu.refuses(saved);
      if (why !== null) throw new AsyncPfError("state", `state of vCPU ${vcpu.id}: ${why}`);
    }
    this.#fetching.clear();
    for (const { saved, vcpu } of restored) vcpu.restore(saved);
  }

  #fetch(gfn: number): void {
    if (this.#fetching.has(gfn) || this.#failures.has(gfn)) return;
    this.#fetching.add(gfn);
    try {
      this.#residency.fetch(gfn);
    } catch (cause) {
      this.failed(gfn, cause);
    }
  }

  /** Frames that were asked for, which the backend has answered now. */
  #answered(covers: Covers): readonly number[] {
    const frames = [...this.#fetching].filter(covers);
    for (const gfn of frames) this.#fetching.delete(gfn);
    return frames;
  }

  /** Asked for before every slice of a run: mostly there is none. */
  #failure(needs: Covers): FetchError | null {
    for (const error of this.#failures.values()) if (needs(error.gfn)) return error;
    return null;
  }

  #dropFailures(covers: Covers): void {
    for (const gfn of [...this.#failures.keys()].filter(covers)) this.#failures.delete(gfn);
  }
}
