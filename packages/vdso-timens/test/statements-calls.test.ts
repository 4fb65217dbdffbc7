/** Rules of time namespaces, a test each: 1 to 19, what system calls make of them (`man 7 time_namespaces`; Linux 6.1 and 6.18). */
import { describe, expect, test } from "vitest";
import { Capability, CLONE_NEWTIME, ClockId, CloneFlag, NsIoctl, nsIoctl } from "../src/index.js";
import { ALL, HostCred, HostUserNs, unprivileged } from "./reference-cred.js";
import { answer, CLONE_NEWUSER, SEC, setup } from "./reference-host.js";

const CLONE_NEWUTS = 0x0400_0000;
const SIGCHLD = 17;

test("1 unshare(CLONE_NEWTIME): the caller stays, only time_for_children changes", () => {
  const { task, root } = setup();
  task.unshare();
  expect(task.time).toBe(root);
  expect(task.forChildren.inode).not.toBe(root.inode);
});

test("2 clone3(CLONE_NEWTIME): the child is in the new namespace at once, and its offsets are final", () => {
  const { task, root } = setup();
  const child = task.clone(CLONE_NEWTIME);
  expect(child.time).not.toBe(root);
  expect(child.forChildren).toBe(child.time);
  expect(answer(() => child.write("monotonic 5 6\n"))).toBe("EACCES");
  expect([task.time, task.forChildren]).toEqual([root, root]);
});

test("3 clone(0x80 | SIGCHLD) makes no namespace: 0x80 is part of the signal", () => {
  const { task, root } = setup();
  const child = task.clone(CLONE_NEWTIME | SIGCHLD, true);
  expect([child.time, child.forChildren]).toEqual([root, root]);
});

test("4 clone3 with a bit of 0xff other than CLONE_NEWTIME, or with CLONE_DETACHED: EINVAL", () => {
  const { task } = setup();
  for (let bit = 0; bit < 7; bit++) expect(answer(() => task.clone(1 << bit))).toBe("EINVAL");
  expect(answer(() => task.clone(CloneFlag.Detached))).toBe("EINVAL");
  expect(answer(() => task.clone(CLONE_NEWTIME | CloneFlag.Detached))).toBe("EINVAL");
  expect(answer(() => task.clone(CLONE_NEWTIME))).toBe("ok");
});

test("5 CLONE_NEWTIME without CAP_SYS_ADMIN in the user namespace: EPERM, unless it comes with CLONE_NEWUSER", () => {
  const { host, task } = setup();
  task.cred = unprivileged(host.user);
  expect(answer(() => task.unshare())).toBe("EPERM");
  expect(answer(() => task.clone(CLONE_NEWTIME))).toBe("EPERM");
  expect(answer(() => task.fork())).toBe("ok");
  expect(answer(() => task.unshare(CLONE_NEWUSER | CLONE_NEWTIME))).toBe("ok");
  expect(task.forChildren.userNs).toBe(task.cred.userNs);
});

test("6 the first namespace has inode 4026531834, and both links are time:[N]", () => {
  const { task, root } = setup();
  expect(root.inode).toBe(4_026_531_834);
  expect([task.time.link, task.forChildren.link]).toEqual(["time:[4026531834]", "time:[4026531834]"]);
  task.unshare();
  expect(task.forChildren.link).toBe(`time:[${0xf000_0000}]`);
});

test("7 offsets of the first namespace are final: EACCES", () => {
  const { task } = setup();
  expect(answer(() => task.write("monotonic 5 6\n"))).toBe("EACCES");
});

test("8 the next child after unshare joins, and has its offsets; the parent does not change", () => {
  const { host, task, root } = setup();
  task.unshare();
  task.write("monotonic 864000 5\n");
  const child = task.fork();
  expect(child.time).toBe(task.forChildren);
  expect(child.forChildren).toBe(child.time);
  expect(child.clock(ClockId.Monotonic)).toBe(host.clock(ClockId.Monotonic) + 864_000n * SEC + 5n);
  expect(task.time).toBe(root);
  expect(task.clock(ClockId.Monotonic)).toBe(host.clock(ClockId.Monotonic));
});

describe("9 vfork after unshare", () => {
  test("since 6.2: the child keeps the old namespace until execve, then it joins", () => {
    const { task, root } = setup();
    task.unshare();
    task.write("boottime 1000 0\n");
    const child = task.vfork();
    expect(child.time).toBe(root);
    expect(task.forChildren.frozen).toBe(false);
    child.execve();
    expect(child.time).toBe(task.forChildren);
    expect(child.uptime()).toBe("7000.50 1811.86");
    expect(task.time).toBe(root);
  });

  test("6.1: EINVAL", () => {
    const { task } = setup({ compat: "6.1" });
    task.unshare();
    expect(answer(() => task.vfork())).toBe("EINVAL");
    expect(answer(() => task.fork())).toBe("ok");
  });
});

describe("10 clone with CLONE_VM or CLONE_THREAD while time_ns is not time_ns_for_children", () => {
  const flags = [CloneFlag.Vm, CloneFlag.Vm | CloneFlag.Thread, CloneFlag.Thread];
  test("6.1: EINVAL, and else they share the namespace", () => {
    const { task, root } = setup({ compat: "6.1" });
    expect(task.clone(CloneFlag.Vm).time).toBe(root);
    task.unshare();
    expect(flags.map((bits) => answer(() => task.clone(bits)))).toEqual(["EINVAL", "EINVAL", "EINVAL"]);
    // Once they are the same again, it is allowed.
    expect(answer(() => task.fork().clone(CloneFlag.Vm))).toBe("ok");
  });

  test("6.1: execve leaves the task where it is", () => {
    const { task, root } = setup({ compat: "6.1" });
    task.unshare();
    task.execve();
    expect(task.time).toBe(root);
  });

  test("since 6.2: the child has both of its parent", () => {
    const { task, root } = setup();
    task.unshare();
    const child = task.clone(CloneFlag.Vm);
    expect([child.time, child.forChildren]).toEqual([root, task.forChildren]);
    const other = task.clone(CloneFlag.Vm | CLONE_NEWTIME);
    expect(other.time).toBe(root);
    expect([root, task.forChildren]).not.toContain(other.forChildren);
  });
});

describe("11 pthread_create after unshare", () => {
  test("since 6.2: succeeds", () => {
    const { task, root } = setup();
    task.unshare();
    const thread = task.thread();
    expect([thread.time, thread.forChildren]).toEqual([root, task.forChildren]);
    expect(thread.fork().time).toBe(task.forChildren);
  });

  test("6.1: EINVAL", () => {
    const { task } = setup({ compat: "6.1" });
    task.unshare();
    expect(answer(() => task.thread())).toBe("EINVAL");
  });
});

test("12 setns to a time namespace while there are threads: EUSERS", () => {
  const { task, root } = setup();
  const thread = task.thread();
  expect(answer(() => task.setns(root))).toBe("EUSERS");
  expect(answer(() => thread.setns(root))).toBe("EUSERS");
  thread.exit();
  expect(answer(() => task.setns(root))).toBe("ok");
});

test("13 setns(fd, CLONE_NEWUTS): EINVAL; (fd, 0) and (fd, CLONE_NEWTIME): ok; without CAP_SYS_ADMIN in both user namespaces: EPERM", () => {
  const { host, task, root } = setup();
  expect(
    [CLONE_NEWUTS, CLONE_NEWUTS | CLONE_NEWTIME, 0, CLONE_NEWTIME].map((flags) =>
      answer(() => task.setns(root, flags)),
    ),
  ).toEqual(["EINVAL", "EINVAL", "ok", "ok"]);
  // All of its own user namespace, nothing of the other; and the other way round.
  const own = new HostUserNs(host.user, 1000);
  task.cred = new HostCred(own, 1000, ALL);
  expect(answer(() => task.setns(root))).toBe("EPERM");
  task.cred = unprivileged(host.user);
  const other = host.init.fork();
  other.cred = new HostCred(host.user, 65_534, ALL);
  other.unshare(CLONE_NEWUSER | CLONE_NEWTIME);
  expect(task.cred.capable(other.forChildren.userNs, Capability.SysAdmin)).toBe(true);
  expect(answer(() => task.setns(other.forChildren))).toBe("EPERM");
});

test("14 setns changes time and time_for_children, and makes the offsets of the target final", () => {
  const { task } = setup();
  task.unshare();
  const target = task.forChildren;
  target.get();
  task.unshare();
  expect(target.frozen).toBe(false);
  task.setns(target);
  expect([task.time, task.forChildren]).toEqual([target, target]);
  expect(target.frozen).toBe(true);
  expect(answer(() => task.write("monotonic 5 6\n"))).toBe("EACCES");
});

describe("15 setns back to the first namespace", () => {
  test.each(["linux-5.6", "linux-6.18"] as const)(
    "clocks jump back, the pages are those of the first one again: %s",
    (abi) => {
      const { host, inside, root, task } = setup({ abi });
      const child = inside("monotonic 864000 0\n");
      expect([child.loadPage("time"), child.loadPage("timens")]).toEqual([child.time.page?.pfn, 1]);
      child.setns(root);
      expect(child.clock(ClockId.Monotonic)).toBe(host.clock(ClockId.Monotonic));
      expect([child.loadPage("time"), child.loadPage("timens")]).toEqual([1, "SIGBUS"]);
      expect(child.vdsoClock(ClockId.Monotonic)).toBe(task.vdsoClock(ClockId.Monotonic));
    },
  );
});

test("16 setns on a pidfd with CLONE_NEWTIME joins the time_ns of that task", () => {
  const { host, task, inside, root } = setup();
  const target = inside("monotonic 5 6\n");
  target.unshare();
  expect([0, 1, CLONE_NEWTIME | CloneFlag.Vm].map((flags) => answer(() => task.setnsPidfd(target, flags)))).toEqual([
    "EINVAL",
    "EINVAL",
    "EINVAL",
  ]);
  task.setnsPidfd(target, CLONE_NEWUTS);
  expect(task.time).toBe(root);
  task.setnsPidfd(target);
  expect([task.time, task.forChildren]).toEqual([target.time, target.time]);
  expect(target.time).not.toBe(target.forChildren);
  expect(answer(() => task.setnsPidfd(null))).toBe("ESRCH");
  target.exit();
  expect(answer(() => task.setnsPidfd(target))).toBe("ESRCH");
  task.cred = unprivileged(host.user);
  expect(answer(() => task.setnsPidfd(host.init, CLONE_NEWUTS))).toBe("EPERM");
});

test("17 execve keeps the namespace, and the vDSO of the new program agrees with the system call", () => {
  const { host, inside, root } = setup();
  const task = inside("monotonic 864000 5\nboottime -3000 7\n");
  const before = task.time;
  task.execve();
  host.now += 3n * SEC + 1n;
  expect(task.time).toBe(before);
  expect(task.time).not.toBe(root);
  for (const clock of [ClockId.Monotonic, ClockId.Boottime]) expect(task.vdsoClock(clock)).toBe(task.clock(clock));
});

test("18 a new namespace has the offsets of the one that children were to be in before", () => {
  const { task } = setup();
  task.unshare();
  task.write("monotonic 5 6\n");
  task.unshare();
  expect(task.readOffsets()).toBe("monotonic           5         6\nboottime            0         0\n");
  task.write("boottime 7 8\n");
  expect(task.clone(CLONE_NEWTIME).readOffsets()).toBe(
    "monotonic           5         6\nboottime            7         8\n",
  );
});

test("19 more than /proc/sys/user/max_time_namespaces: ENOSPC, of the user namespace and of those above", () => {
  const { host, task } = setup();
  task.unshare();
  host.user.maxTimeNamespaces = 2;
  const { forChildren } = task;
  const second = task.clone(CLONE_NEWTIME);
  expect(answer(() => task.unshare())).toBe("ENOSPC");
  expect(answer(() => task.clone(CLONE_NEWTIME))).toBe("ENOSPC");
  expect(task.forChildren).toBe(forChildren);
  expect(answer(() => task.unshare(CLONE_NEWUSER | CLONE_NEWTIME))).toBe("ENOSPC");
  // Each user on its own.
  task.cred = new HostCred(host.user, 1000, ALL);
  expect(answer(() => task.clone(CLONE_NEWTIME))).toBe("ok");
  // One goes with the last task that is in it.
  task.cred = host.init.cred;
  second.exit();
  expect(answer(() => task.unshare(CLONE_NEWUSER | CLONE_NEWTIME))).toBe("ok");
});

test("NS_GET_NSTYPE is CLONE_NEWTIME, NS_GET_USERNS the owner for those who are in it or above", () => {
  const { host, task } = setup();
  task.unshare(CLONE_NEWUSER | CLONE_NEWTIME);
  const { userNs } = task.cred;
  expect(nsIoctl(task.forChildren, NsIoctl.GetNstype, userNs)).toBe(0x80);
  expect(nsIoctl(task.forChildren, NsIoctl.GetUserns, userNs)).toBe(userNs);
  expect(nsIoctl(task.forChildren, NsIoctl.GetUserns, host.user)).toBe(userNs);
  expect(answer(() => nsIoctl(task.time, NsIoctl.GetUserns, userNs))).toBe("EPERM");
  expect(
    [NsIoctl.GetParent, NsIoctl.GetOwnerUid, 0xb7ff].map((request) =>
      answer(() => nsIoctl(task.time, request, host.user)),
    ),
  ).toEqual(["EINVAL", "EINVAL", "ENOTTY"]);
});
