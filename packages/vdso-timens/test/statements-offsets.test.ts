/** Rules of time namespaces, a test each: 20 to 38, their offsets and who sees them (`man 7 time_namespaces`; Linux 6.1 and 6.18). */
import { describe, expect, test } from "vitest";
import {
  ABSTIME,
  Capability,
  CLONE_NEWTIME,
  ClockId,
  Futex,
  KTIME_MAX,
  type TimedCall,
  timeToHost,
} from "../src/index.js";
import { HostCred, unprivileged } from "./reference-cred.js";
import { answer, CLONE_NEWUSER, type HostTask, SEC, setup, spec } from "./reference-host.js";

const ZERO = "monotonic           0         0\nboottime            0         0\n";

test("20 a read shows the offsets for children, as two lines of 32 bytes", () => {
  const { task } = setup();
  expect(task.readOffsets()).toBe(ZERO);
  task.unshare();
  task.write("monotonic -5 123456789\nboottime 4611600000 1\n");
  expect(task.readOffsets()).toBe("monotonic          -5 123456789\nboottime   4611600000         1\n");
  expect(task.time.readOffsets()).toBe(ZERO);
});

test("21 a line is a clock (monotonic, boottime, 1 or 7), seconds and nanoseconds; spaces before and anything after them count for nothing", () => {
  const { task } = setup();
  task.unshare();
  for (const line of [
    "monotonic 5 6\n",
    "1 5 6\n",
    "   monotonic   5   6  \n",
    "monotonic 5 6 junk\n",
    "monotonic 5 6junk\n",
  ]) {
    task.write("monotonic 0 0");
    expect(task.write(line)).toBe(line.length);
    expect(task.readOffsets()).toBe("monotonic           5         6\nboottime            0         0\n");
  }
  for (const line of ["boottime 5 6\n", "7 5 6\n"]) {
    task.write("boottime 0 0");
    expect(task.write(line)).toBe(line.length);
    expect(task.readOffsets()).toContain("boottime            5         6\n");
  }
});

test("22 the last line may lack its end; a third line is ignored, and the write returns what the first two are", () => {
  const { task } = setup();
  task.unshare();
  expect(task.write("monotonic 5 6")).toBe(13);
  expect(task.write("monotonic 1 2\nboottime 3 4\nmonotonic 5 6\n")).toBe(27);
  expect(task.readOffsets()).toBe("monotonic           1         2\nboottime            3         4\n");
});

test("23 an empty write, a field that is missing, another clock, nanoseconds that are negative or a second: EINVAL", () => {
  const { task } = setup();
  task.unshare();
  const wrong = [
    "",
    "\n",
    "monotonic",
    "monotonic 5",
    "monotonic 5\n6\n",
    "0 5 6",
    "realtime 5 6",
    "monotonic 5 1000000000",
    "monotonic 5 -1",
  ];
  for (const text of wrong) expect([text, answer(() => task.write(text))]).toEqual([text, "EINVAL"]);
  expect(task.readOffsets()).toBe(ZERO);
  expect(answer(() => task.write("monotonic 5 999999999"))).toBe("ok");
});

test("24 4096 bytes or more, or a position other than 0: EINVAL; pwrite: ESPIPE", () => {
  const { task } = setup();
  task.unshare();
  const line = "monotonic 5 6\n";
  expect(task.write("monotonic 5 6".padEnd(4095))).toBe(4095);
  expect(answer(() => task.write("monotonic 5 6".padEnd(4096)))).toBe("EINVAL");
  const file = task.openOffsets();
  file.read(1);
  expect(answer(() => file.write(line))).toBe("EINVAL");
  file.lseek(0, 0);
  expect([file.write(line), file.write(line)]).toEqual([14, 14]);
  expect(answer(() => file.pwrite())).toBe("ESPIPE");
});

test("25 an offset of more than 9223372036 s, or a clock before 0 or after 4611686018 s: ERANGE", () => {
  const { host, task } = setup();
  task.unshare();
  // With a clock that stands elsewhere nothing but the size of the offset is wrong.
  host.began.monotonic = 9_223_372_040n * SEC;
  const at = (text: string): string => answer(() => task.write(text));
  expect([at("monotonic -9223372036 0"), at("monotonic -9223372037 0")]).toEqual(["ok", "ERANGE"]);
  host.began.monotonic = -5_000_000_000n * SEC;
  expect([at("monotonic 9223372036 0"), at("monotonic 9223372037 0")]).toEqual(["ok", "ERANGE"]);
  host.began.monotonic = 100n * SEC + 600_000_000n;
  expect([at("monotonic -101 400000000"), at("monotonic -101 399999999")]).toEqual(["ok", "ERANGE"]);
  expect([at("monotonic 4611685918 399999999"), at("monotonic 4611685919 0")]).toEqual(["ok", "ERANGE"]);
  expect([at("monotonic 4611685918 999999999")]).toEqual(["ERANGE"]);
});

test("26 boottime -1 0 while uptime is more than a second and monotonic 4611600000 0: ok; monotonic -10000000 0 and 4611686018 0: ERANGE", () => {
  const { task } = setup();
  task.unshare();
  expect(
    ["boottime -1 0", "monotonic 4611600000 0", "monotonic -10000000 0", "monotonic 4611686018 0"].map((text) =>
      answer(() => task.write(text)),
    ),
  ).toEqual(["ok", "ok", "ERANGE", "ERANGE"]);
  // Each clock is its own measure: they stand at 5000 and 6000 s.
  expect(["boottime -5500 0", "monotonic -5500 0"].map((text) => answer(() => task.write(text)))).toEqual([
    "ok",
    "ERANGE",
  ]);
});

test("27 all lines are checked before any counts", () => {
  const { task } = setup();
  task.unshare();
  expect(answer(() => task.write("monotonic 5 6\nboottime -10000000 0\n"))).toBe("ERANGE");
  expect(answer(() => task.write("monotonic 5 6\nrealtime 7 8\n"))).toBe("EINVAL");
  expect(task.readOffsets()).toBe(ZERO);
});

test("28 final offsets: EACCES, after the range is checked", () => {
  const { inside } = setup();
  const task = inside("monotonic 5 6\n");
  expect(
    ["monotonic 7 8", "monotonic -10000000 0", "monotonic 7"].map((text) => answer(() => task.write(text))),
  ).toEqual(["EACCES", "ERANGE", "EINVAL"]);
});

test("29 without CAP_SYS_TIME of the opener in the user namespace that owns the time namespace: EPERM", () => {
  const { host, task } = setup();
  task.unshare();
  const opened = task.openOffsets();
  task.cred = new HostCred(host.user, 0, new Set([Capability.SysAdmin]));
  expect(answer(() => task.write("monotonic 100 0\n"))).toBe("EPERM");
  // Before the range is looked at, after the text is.
  expect(answer(() => task.write("monotonic -10000000 0\n"))).toBe("EPERM");
  expect(answer(() => task.write("monotonic 100\n"))).toBe("EINVAL");
  expect(opened.write("monotonic 100 0\n")).toBe(16);
  task.cred = unprivileged(host.user);
  task.unshare(CLONE_NEWUSER | CLONE_NEWTIME);
  expect(task.write("monotonic 200 0\n")).toBe(16);
});

test("29 another task's file sets the offsets for children of that task", () => {
  const { task, host } = setup();
  const child = task.fork();
  child.unshare();
  const file = task.openOffsets(child);
  file.write("monotonic 5 6\n");
  expect(child.readOffsets()).toContain("monotonic           5         6\n");
  expect(task.readOffsets()).toBe(ZERO);
  child.exit();
  expect(answer(() => file.write("monotonic 5 6\n"))).toBe("ESRCH");
  expect(file.read(100)).toBe("");
  expect(host.namespacePages.size).toBe(0);
});

describe("30 clock_gettime of 1, 4 and 6 adds monotonic, of 7 and 9 boottime; the vDSO agrees", () => {
  test.each(["linux-5.6", "linux-6.18"] as const)("%s", (abi) => {
    const { host, inside } = setup({ abi });
    const task = inside("monotonic 864000 999999999\nboottime -3000 7\n");
    host.now += 5n * SEC;
    host.tick();
    host.now += 123_456n;
    const shift = (clock: ClockId): bigint => task.clock(clock) - host.clock(clock);
    expect([1, 4, 6].map(shift)).toEqual(Array(3).fill(864_000n * SEC + 999_999_999n));
    expect([7, 9].map(shift)).toEqual(Array(2).fill(-3000n * SEC + 7n));
    for (const clock of [ClockId.Monotonic, ClockId.MonotonicRaw, ClockId.Boottime])
      expect(task.vdsoClock(clock)).toBe(task.clock(clock));
    expect(task.vdsoClock(ClockId.MonotonicCoarse)).toBe(task.clock(ClockId.MonotonicCoarse) - 123_456n);
  });
});

test("31 an absolute timer waits for t - offset, for KTIME_MAX at most; a t before the offset has expired", () => {
  const { inside } = setup();
  const ahead = inside("monotonic 1000 0\n").time;
  expect(
    [1000n * SEC - 1n, 1000n * SEC, 1500n * SEC + 3n, KTIME_MAX].map((t) => ahead.toHost(ClockId.Monotonic, t)),
  ).toEqual([0n, 0n, 500n * SEC + 3n, KTIME_MAX - 1000n * SEC]);
  const behind = inside("monotonic -1000 0\n").time;
  expect(
    [0n, KTIME_MAX - 1000n * SEC, KTIME_MAX - 999n * SEC, KTIME_MAX].map((t) => behind.toHost(ClockId.Monotonic, t)),
  ).toEqual([1000n * SEC, KTIME_MAX, KTIME_MAX, KTIME_MAX]);
});

test("32 so do clock_nanosleep, timer_settime and timerfd_settime with TIMER_ABSTIME, and futex; of MONOTONIC, BOOTTIME and BOOTTIME_ALARM", () => {
  const { inside } = setup();
  const { time } = inside("monotonic 1000 0\nboottime 2000 0\n");
  const at = (call: TimedCall): bigint => (5000n * SEC - timeToHost(time, call, 5000n * SEC)) / SEC;
  for (const call of ["clock_nanosleep", "timer_settime", "timerfd_settime"] as const) {
    const clocks = [1, 7, 9, 0, 8, 11, 4].map((clock) => at({ call, clock, flags: ABSTIME }));
    expect([call, clocks]).toEqual([call, [1000n, 2000n, 2000n, 0n, 0n, 0n, 0n]]);
  }
  const futex = (op: number): bigint => at({ call: "futex", op });
  expect(
    [Futex.WaitBitset, Futex.WaitRequeuePi, Futex.LockPi2, Futex.WaitBitset | Futex.PrivateFlag].map(futex),
  ).toEqual([1000n, 1000n, 1000n, 1000n]);
  expect(
    [Futex.Wait, Futex.Wait | Futex.PrivateFlag, Futex.LockPi, Futex.WaitBitset | Futex.ClockRealtime].map(futex),
  ).toEqual([0n, 0n, 0n, 0n]);
  expect([1, 0].map((clock) => at({ call: "futex_waitv", clock }))).toEqual([1000n, 0n]);
});

test("33 relative times stay as they are", () => {
  const { inside } = setup();
  const { time } = inside("monotonic 1000 0\nboottime 1000 0\n");
  for (const call of ["clock_nanosleep", "timer_settime", "timerfd_settime"] as const)
    for (const clock of [ClockId.Monotonic, ClockId.Boottime])
      expect(timeToHost(time, { call, clock, flags: 2 }, 5n * SEC)).toBe(5n * SEC);
});

test("34 field 1 of /proc/uptime and the uptime of sysinfo have the offset of boottime, the idle time has not", () => {
  const { inside, task } = setup();
  expect(task.uptime()).toBe("6000.50 1811.86");
  expect(inside("monotonic 5 0\nboottime 1728000 500000000\n").uptime()).toBe("1734001.00 1811.86");
});

test("35 btime of /proc/stat is less by the offset of boottime", () => {
  const { host, inside, task } = setup();
  host.began.realtime = 1_795_187_464n * SEC + host.began.boottime;
  expect(task.btime()).toBe(1_795_187_464);
  expect(inside("monotonic 5 0\nboottime 1728000 0\n").btime()).toBe(1_793_459_464);
  expect(inside("boottime 1728000 1\n").btime()).toBe(1_793_459_463);
});

test("36 starttime, field 22 of /proc/PID/stat, has the offset of boottime of whoever reads it", () => {
  const { host, inside, task } = setup();
  host.began.boottime = 1_073_789_000_000n;
  const started = host.init.fork();
  expect(task.starttime(started)).toBe(107_378n);
  const reader = inside("monotonic 5 0\nboottime 1728000 0\n");
  expect(reader.starttime(started)).toBe(172_907_378n);
  expect(task.starttime(reader)).toBe(107_378n);
  // What began before the clock of the reader did: as the kernel has it, without a sign.
  const late = inside("boottime -1073 0\n");
  host.began.boottime = 140_000_000n;
  expect(late.starttime(host.init.fork())).toBe((2n ** 64n - 1_072_860_000_000n) / 10_000_000n);
});

test("37 REALTIME, TAI, gettimeofday and time are the same in all namespaces", () => {
  const { host, inside, task } = setup();
  const child = inside("monotonic 864000 5\nboottime 1728000 7\n");
  host.now += 42n;
  for (const clock of [
    ClockId.Realtime,
    ClockId.RealtimeCoarse,
    ClockId.Tai,
    ClockId.RealtimeAlarm,
    ClockId.ProcessCputime,
    ClockId.ThreadCputime,
  ])
    expect(child.clock(clock)).toBe(host.clock(clock));
  // Those that gettimeofday and time are made of.
  for (const clock of [ClockId.Realtime, ClockId.RealtimeCoarse, ClockId.Tai])
    expect(child.vdsoClock(clock)).toBe(task.vdsoClock(clock));
  expect(spec(child.vdsoClock(ClockId.Realtime))).toEqual({ sec: 1_796_000_000, nsec: 250_000_042 });
});

describe("38 offsets are final once a task has been in the namespace", () => {
  test.each([
    ["fork", (task: HostTask): void => void task.fork()],
    ["setns", (task: HostTask): void => task.setns(task.forChildren)],
    ["vfork and execve", (task: HostTask): void => task.vfork().execve()],
    ["execve", (task: HostTask): void => task.execve()],
    ["a child that is gone", (task: HostTask): void => task.fork().exit()],
  ])("%s", (_, enter) => {
    const { task } = setup();
    task.unshare();
    task.write("monotonic 5 6\n");
    enter(task);
    expect(answer(() => task.write("monotonic 7 8\n"))).toBe("EACCES");
    expect(task.readOffsets()).toBe("monotonic           5         6\nboottime            0         0\n");
  });
});
