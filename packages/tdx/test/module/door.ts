import { Gpr } from "../../src/module/gpr.js";
import { SysState } from "../../src/module/module-state.js";
import { STATUS_CODE, Status, statusName } from "../../src/module/status.js";
import { checkModule, InvariantError } from "./check-module.js";
import { GIB, Host, MEMORY, MIB, PAGE, SCRATCH } from "./host.js";
import type { Random } from "./random.js";
import { TdHost } from "./td-host.js";

/** SEAMCALLs until everything is built anew. */
const WORLD = 4000;
const LEAVES = 100;
export const VP_ENTER = 0;

/** A module with TDs in all kinds of states, and the values that mean something to it. */
export class World {
  readonly host = new Host().bringUp();
  readonly values: bigint[];

  constructor(readonly random: Random) {
    const { host } = this;
    const building = new TdHost(host, 17).build({ attributes: 1n }).addVcpu().addPage(0).augPage(PAGE);
    const running = new TdHost(host, 18).runnable().augPage(2 * PAGE);
    const young = new TdHost(host, 19).create().configureKeys();
    const large = host.alloc(2 * MIB);
    const pages = [building, running].flatMap((td) => [
      td.tdr,
      td.tdcx[0] ?? 0,
      td.tdcx[3] ?? 0,
      ...td.tables,
      ...td.pages.values(),
      ...td.vps.flatMap(({ tdvpr, tdcx }) => [tdvpr, tdcx[0] ?? 0]),
    ]);
    building.writeParams();
    this.values = [
      ...pages,
      young.tdr,
      large,
      ...Array.from({ length: 24 }, () => host.alloc()),
      ...[0, PAGE, 2 * PAGE, 3 * PAGE, 2 * MIB, GIB, 2 ** 39, 2 ** 47, 2 ** 48, 2 ** 52].flatMap((gpa) =>
        [0, 1, 2, 3, 4].map((level) => gpa + level),
      ),
      ...[16, 17, 18, 19, 20, SCRATCH, SCRATCH + 512, 16 * MIB, MEMORY, MEMORY - PAGE, 1024, 32, 256],
    ].map(BigInt);
    this.values.push(2n ** 64n - 1n, 1n << 63n, 0x1110_0003_0000_0000n, 0x9100_0001_0000_0008n, 0x2000_0000_0000_000bn);
  }

  value(): bigint {
    const { random } = this;
    if (random.chance(40)) return random.u64();
    const value = random.pick(this.values);
    return random.chance(12) ? value ^ (1n << BigInt(random.below(64))) : value;
  }

  registers(): BigUint64Array {
    const { random } = this;
    const regs = BigUint64Array.from({ length: 16 }, () => this.value());
    // SYS.SHUTDOWN with a good operand is the end, and comes seldom.
    let leaf = random.below(LEAVES);
    if (leaf === 52 && !random.chance(50)) leaf = 6;
    const version = random.chance(8) ? random.below(3) : 0;
    regs[Gpr.Rax] = random.chance(100) ? random.u64() : BigInt(leaf) | (BigInt(version) << 16n);
    return regs;
  }
}

export function isKnown(status: bigint, leaf: number): boolean {
  const entered = leaf === VP_ENTER && (status & STATUS_CODE) === Status.SUCCESS;
  return statusName(status) !== undefined || entered;
}

/**
 * Makes `calls` random SEAMCALLs, and checks what has to hold now and then.
 * @returns names of the statuses that they ended with
 * @throws InvariantError
 */
export function knock(random: Random, calls: number): ReadonlySet<string> {
  let world = new World(random);
  const reached = new Set<string>();
  for (let i = 0; i < calls; i++) {
    if (i % WORLD === WORLD - 1 || world.host.module.state.sys === SysState.Shutdown) {
      checkModule(world.host.module.state);
      world = new World(random);
    }
    const regs = world.registers();
    const before = regs.slice();
    world.host.module.seamcall(random.below(3), regs);
    const status = regs[Gpr.Rax] ?? 0n;
    const leaf = Number((before[Gpr.Rax] ?? 0n) & 0xffffn);
    if (!isKnown(status, leaf)) throw new InvariantError("status", `0x${status.toString(16)} after ${before}`);
    reached.add(statusName(status) ?? "?");
    if (i % 500 === 0) checkModule(world.host.module.state);
  }
  return reached;
}
