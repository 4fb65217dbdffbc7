import {
  GuestReader,
  type KvmiClient,
  KvmiError,
  type KvmiEvent,
  type LinuxKernel,
  type Prototype,
  UnmappedError,
} from "@vm/kvmi";
import { printable } from "../printable.js";
import { argumentsText, resultText } from "./arguments.js";
import type { GuestClock, Line, Source } from "./lines.js";
import { who } from "./who.js";

/** Calls whose return is waited for; the oldest are given up. */
const CALLS_MOST = 4096;
/** Places that calls return to, at which there are breakpoints; those not used for longest go. */
const SITES_MOST = 256;
const WORD = 8n;

/** A function that is looked at. */
interface Probe {
  readonly name: string;
  readonly prototype: Prototype | null;
}

/** A call that has not returned. */
interface Call extends Line {
  readonly probe: Probe;
  readonly returnsTo: bigint;
}

/** Sees calls of kernel functions by breakpoints on their first instruction, and their returns by some where they return to. */
export class FunctionTrace implements Source {
  readonly #client: KvmiClient;
  readonly #kernel: LinuxKernel;
  readonly #clock: GuestClock;
  readonly #probes = new Map<bigint, Probe>();
  readonly #returns: boolean;
  /** By the stack pointer behind the return address. */
  readonly #calls = new Map<bigint, Call>();
  /** In the order of their last use. */
  readonly #sites = new Set<bigint>();

  /** @param returns whether results are of interest */
  constructor(client: KvmiClient, kernel: LinuxKernel, clock: GuestClock, returns: boolean) {
    this.#client = client;
    this.#kernel = kernel;
    this.#clock = clock;
    this.#returns = returns;
  }

  /** Looks at the function at `address`. @throws {BtfError} */
  async watch(address: bigint, name: string): Promise<void> {
    this.#probes.set(address, { name, prototype: this.#kernel.prototype(name) });
    await this.#client.breakpoint(address);
  }

  async take(event: KvmiEvent): Promise<readonly Line[]> {
    if (event.name !== "breakpoint") return [];
    const { rip, rsp, rax } = event.state.regs;
    const lines: Line[] = [];
    const returned = this.#calls.get(rsp);
    if (returned?.returnsTo === rip) {
      this.#calls.delete(rsp);
      lines.push(withResult(returned, resultText(returned.probe.prototype?.result ?? null, rax)));
    }
    const probe = this.#probes.get(rip);
    if (probe !== undefined) lines.push(...(await this.#call(event, probe)));
    return lines;
  }

  rest(): readonly Line[] {
    return [...this.#calls.values()].map((call) => withResult(call, "?"));
  }

  async #call(event: KvmiEvent, probe: Probe): Promise<readonly Line[]> {
    const { vcpu, state } = event;
    const reader = new GuestReader(this.#client, vcpu);
    const [time, task, given] = await Promise.all([
      this.#clock.now(vcpu),
      who(this.#kernel, reader, state),
      argumentsText(probe.prototype, state.regs, reader),
    ]);
    const line: Line = { time, vcpu, text: `${task} ${printable(probe.name)}(${given})` };
    if (!this.#returns) return [line];
    const returnsTo = await this.#returnSite(reader, state.regs.rsp);
    if (returnsTo === null) return [withResult(line, "?")];
    const key = BigInt.asUintN(64, state.regs.rsp + WORD);
    const lost = this.#makeRoom(key);
    this.#calls.set(key, { ...line, probe, returnsTo });
    return lost;
  }

  /** Where a call returns to, with a breakpoint there; null if it cannot be seen. */
  async #returnSite(reader: GuestReader, rsp: bigint): Promise<bigint | null> {
    try {
      const site = await reader.u64(rsp);
      if (!this.#sites.delete(site) && !this.#probes.has(site)) await this.#client.breakpoint(site);
      this.#sites.add(site);
      const [oldest] = this.#sites;
      if (this.#sites.size > SITES_MOST && oldest !== undefined) {
        this.#sites.delete(oldest);
        if (!this.#probes.has(oldest)) await this.#client.breakpoint(oldest, false);
      }
      return site;
    } catch (error) {
      if (error instanceof UnmappedError || error instanceof KvmiError) return null;
      throw error;
    }
  }

  /** Gives up what will not return: what lay where the new call lies, and the oldest of too many. */
  #makeRoom(key: bigint): readonly Line[] {
    const stale = this.#calls.has(key) ? key : this.#calls.size >= CALLS_MOST ? [...this.#calls.keys()][0] : undefined;
    const call = stale === undefined ? undefined : this.#calls.get(stale);
    if (stale === undefined || call === undefined) return [];
    this.#calls.delete(stale);
    return [withResult(call, "?")];
  }
}

const withResult = ({ time, vcpu, text }: Line, result: string): Line => ({ time, vcpu, text: `${text} = ${result}` });
