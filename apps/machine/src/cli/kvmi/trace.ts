import { Errno, GuestOsError, GuestReader, type KvmiClient, KvmiError, type LinuxKernel, whilePaused } from "@vm/kvmi";
import { UsageError } from "../errors.js";
import { ExitCode } from "../exit-code.js";
import { say } from "../report.js";
import { FunctionTrace } from "./functions.js";
import { GuestClock } from "./lines.js";
import { probes } from "./probes.js";
import { SyscallTrace } from "./syscalls.js";
import { linux, type ToolFlags, withMachine } from "./tool.js";
import { MSRS, Tracer } from "./tracer.js";

export interface TraceFlags extends ToolFlags {
  readonly cr3?: true;
  /** true: those of {@link MSRS}. */
  readonly msr?: true | string;
  readonly syscalls?: true;
  readonly exec?: string;
  readonly function?: string;
  readonly return?: true;
  readonly count?: string;
}

const MSR_RANGE = 0x2000;
const HIGH_MSRS = 0xc0000000;
const READ_WRITE = 3;

/** `vm kvmi trace`: prints events of a running guest, one a line. @throws {UsageError} */
export function trace(flags: TraceFlags): Promise<number> {
  const { cr3, msr, syscalls, exec, function: functions, return: returns } = flags;
  if (!cr3 && msr === undefined && !syscalls && exec === undefined && functions === undefined)
    throw new UsageError("nothing to trace: --cr3, --msr, --syscalls, --exec PAGE or --function NAME");
  if (returns && functions === undefined) throw new UsageError("--return needs --function");
  const most = flags.count === undefined ? Number.POSITIVE_INFINITY : Number(flags.count);
  if (most !== Number.POSITIVE_INFINITY && !(Number.isInteger(most) && most >= 1))
    throw new UsageError(`--count "${flags.count}" is no number of events`);
  const msrs = typeof msr === "string" ? msr.split(",").map(parseMsr) : [...MSRS.keys()];
  const page = exec === undefined || isSymbol(exec) ? exec : parseNumber(exec);
  const names = functions?.split(",").filter((name) => name !== "");
  if (names?.length === 0) throw new UsageError(`--function "${functions}" names no function`);
  return withMachine(flags, async (client, stop) => {
    const clock = await GuestClock.of(client);
    const tracer = new Tracer(client, clock, most);
    const kernel = syscalls || names !== undefined || typeof page === "string" ? await linux(client, stop) : null;
    await whilePaused(client, async () => {
      if (syscalls && kernel !== null) tracer.sources.push(await SyscallTrace.start(client, kernel, clock));
      if (names !== undefined && kernel !== null) {
        const { functions: found, left } = probes(kernel, names);
        if (left !== null) say(left);
        const calls = new FunctionTrace(client, kernel, clock, returns === true);
        tracer.sources.push(calls);
        for (const [address, name] of found) await calls.watch(address, name);
      }
      for (let vcpu = 0; vcpu < (await client.vcpuCount()); vcpu++) {
        if (cr3) await watch(client, vcpu, "cr", () => client.controlCr(vcpu, 3, true));
        if (msr !== undefined)
          await watch(client, vcpu, "msr", async () => {
            for (const each of msrs) await client.controlMsr(vcpu, each, true);
          });
        if (page !== undefined) await watch(client, vcpu, "pf", async () => undefined);
      }
      const gpa = typeof page === "string" && kernel !== null ? await addressOf(client, page, kernel) : page;
      if (typeof gpa === "number") await client.setPageAccess(new Map([[gpa, READ_WRITE]]));
    });
    if (!(await tracer.run(stop)) && !stop.aborted) say("the machine has ended");
    return ExitCode.Ok;
  });
}

/** A vCPU that has not been started cannot be watched, and does nothing either. */
async function watch(
  client: KvmiClient,
  vcpu: number,
  event: "cr" | "msr" | "pf",
  then: () => Promise<void>,
): Promise<void> {
  try {
    await client.controlEvent(vcpu, event, true);
    await then();
  } catch (error) {
    if (!(error instanceof KvmiError) || error.errno !== Errno.EAGAIN) throw error;
  }
}

function parseNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isSafeInteger(value) || value < 0) throw new UsageError(`"${text}" is no number`);
  return value;
}

/** Those that a write to can be seen: the two ranges of the MSR bitmaps (SDM vol. 3, 25.6.9). */
function parseMsr(text: string): number {
  const msr = parseNumber(text);
  if (msr < MSR_RANGE || (msr >= HIGH_MSRS && msr < HIGH_MSRS + MSR_RANGE)) return msr;
  throw new UsageError(`--msr ${text}: only 0 to 0x1fff and 0xc0000000 to 0xc0001fff can be watched`);
}

const isSymbol = (page: string): boolean => !/^(0x[0-9a-f]+|\d+)$/i.test(page);

/** Guest-physical address of a symbol of the kernel. */
async function addressOf(client: KvmiClient, symbol: string, kernel: LinuxKernel): Promise<number> {
  const gpa = await new GuestReader(client).translate(kernel.symbol(symbol));
  if (gpa === null) throw new GuestOsError("unmapped", `${symbol} is not mapped`);
  return Number(gpa);
}
