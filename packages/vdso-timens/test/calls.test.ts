/** The scenarios of record-calls.c, step by step as there, against what kernels answered. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type Capability, CLONE_NEWTIME, CloneFlag, NsIoctl, nsIoctl, type TimeNamespace } from "../src/index.js";
import { ALL, HostCred } from "./reference-cred.js";
import { answer, CLONE_NEWUSER, Host, type HostTask } from "./reference-host.js";

type Recorded = Readonly<Record<string, readonly string[]>>;
const recorded = (kernel: string): Recorded =>
  JSON.parse(readFileSync(new URL(`data/calls-${kernel}.json`, import.meta.url), "utf8"));

const CLONE_NEWUTS = 0x0400_0000;
const SIGCHLD = 17;

class Scenario {
  readonly answers: string[] = [];
  readonly #names = new Map<TimeNamespace, string>();

  constructor(
    readonly host: Host,
    readonly task: HostTask,
  ) {
    this.#names.set(host.namespaces.root, "root");
  }

  say(text: string): void {
    this.answers.push(text);
  }

  try(call: () => unknown): void {
    this.say(answer(call));
  }

  /** A child, unless there is none: then why. */
  child(make: () => HostTask): HostTask | null {
    try {
      return make();
    } catch {
      this.try(make);
      return null;
    }
  }

  pair(task: HostTask | null = this.task): void {
    if (task === null) return;
    this.say(`${this.#name(() => task.time)}/${this.#name(() => task.forChildren)}`);
  }

  unshare(task = this.task, flags = CLONE_NEWTIME): void {
    this.try(() => task.unshare(flags));
  }

  #name(namespace: () => TimeNamespace): string {
    const failed = answer(namespace);
    if (failed !== "ok") return failed;
    const name = this.#names.get(namespace()) ?? String.fromCharCode(96 + this.#names.size);
    this.#names.set(namespace(), name);
    return name;
  }
}

const scenarios: Record<string, (s: Scenario) => void> = {
  unshare: (s) => {
    s.pair();
    s.unshare();
    s.pair();
    s.pair(s.task.fork());
    s.pair();
  },
  unshare_twice: (s) => {
    s.unshare();
    s.try(() => s.task.write("monotonic 5 6\n"));
    s.unshare();
    s.pair();
    s.try(() => s.task.write("boottime 7 8\n"));
    s.say(s.task.readOffsets().replaceAll("\n", "|"));
  },
  clone3: (s) => {
    const child = s.task.clone(CLONE_NEWTIME);
    s.pair(child);
    s.try(() => child.write("monotonic 5 6\n"));
    s.pair();
  },
  clone_legacy: (s) => s.pair(s.task.clone(CLONE_NEWTIME | SIGCHLD, true)),
  clone3_flags: (s) => {
    for (let bit = 0; bit < 7; bit++) s.try(() => s.task.clone(1 << bit));
    s.try(() => s.task.clone(CloneFlag.Detached));
    s.try(() => s.task.clone(CLONE_NEWTIME | 0x11));
  },
  vfork_exec: (s) => {
    s.unshare();
    const child = s.child(() => s.task.vfork());
    s.pair(child);
    child?.execve();
    s.pair(child);
    s.pair();
  },
  clone_vm: (s) => {
    s.unshare();
    s.pair(s.child(() => s.task.vfork()));
  },
  exec: (s) => {
    s.unshare();
    s.pair();
    s.task.execve();
    s.pair();
  },
  exec_in_namespace: (s) => {
    s.unshare();
    const child = s.task.fork();
    s.pair(child);
    child.execve();
    s.pair(child);
  },
  thread: (s) => {
    s.unshare();
    s.pair(s.child(() => s.task.thread()));
  },
  unshare_in_thread: (s) => {
    const thread = s.task.thread();
    s.unshare(thread);
    s.pair(thread);
    s.pair(thread.fork());
    s.pair();
  },
  setns_threads: (s) => {
    const { time } = s.task;
    for (const other of [s.task.thread(), s.task.vfork()]) {
      s.try(() => other.setns(time));
      other.exit();
    }
    s.try(() => s.task.setns(time));
  },
  setns_flags: (s) => {
    s.unshare();
    const { forChildren } = s.task;
    s.try(() => s.task.setns(forChildren, CLONE_NEWUTS));
    s.try(() => s.task.setns(forChildren, CLONE_NEWTIME | CLONE_NEWUTS));
    s.pair();
    s.try(() => s.task.setns(forChildren, 0));
    s.pair();
  },
  setns_freezes: (s) => {
    const root = s.task.time;
    s.unshare();
    s.try(() => s.task.write("monotonic 5 6\n"));
    s.try(() => s.task.setns(s.task.forChildren));
    s.pair();
    s.try(() => s.task.write("monotonic 7 8\n"));
    s.try(() => s.task.setns(root));
    s.pair();
    s.try(() => s.task.write("monotonic 7 8\n"));
  },
  setns_pidfd: (s) => {
    s.unshare();
    s.pair();
    const child = s.task.fork();
    child.unshare();
    s.pair(child);
    for (const flags of [0, CLONE_NEWTIME | CloneFlag.Vm, CLONE_NEWTIME]) s.try(() => s.task.setnsPidfd(child, flags));
    s.pair();
    child.exit();
    s.try(() => s.task.setnsPidfd(null));
  },
  other_task: (s) => {
    const child = s.task.fork();
    child.unshare();
    s.pair(child);
    const file = s.task.openOffsets(child);
    s.try(() => file.write("monotonic 5 6\n"));
    s.pair();
    child.exit();
    s.try(() => file.write("monotonic 5 6\n"));
    s.say(String(file.read(128).length));
    s.pair(child);
    s.try(() => file.write("monotonic 5 6\n"));
    s.try(() => file.write("monotonic 5\n"));
  },
  unprivileged: (s) => {
    const root = s.task.time;
    const own = (): HostCred => s.task.cred;
    s.task.cred = new HostCred(s.host.user, 65_534, new Set<Capability>());
    s.unshare();
    s.try(() => s.task.clone(CLONE_NEWTIME));
    s.try(() => s.task.setns(root));
    s.pair();
    s.unshare(s.task, CLONE_NEWUSER | CLONE_NEWTIME);
    s.pair();
    s.try(() => s.task.setns(root));
    const { forChildren } = s.task;
    s.say(nsIoctl(forChildren, NsIoctl.GetUserns, own().userNs) === own().userNs ? "owner" : "not the owner");
    s.say(nsIoctl(forChildren, NsIoctl.GetNstype, own().userNs).toString(16));
    s.try(() => nsIoctl(forChildren, NsIoctl.GetParent, own().userNs));
    s.try(() => nsIoctl(root, NsIoctl.GetUserns, own().userNs));
    s.try(() => s.task.setns(forChildren));
    s.pair();
  },
  limits: (s) => {
    s.unshare(s.task, CLONE_NEWUSER);
    s.task.cred.userNs.maxTimeNamespaces = 2;
    s.unshare();
    const first = s.task.forChildren.get();
    s.unshare();
    s.unshare();
    s.pair();
    first.put();
    s.unshare();
    s.unshare(s.task, CLONE_NEWUSER);
    s.task.forChildren.get();
    s.unshare();
    s.unshare();
  },
};

describe.each([
  { kernel: "6.18", options: {} },
  { kernel: "6.1", options: { compat: "6.1" } },
] as const)("Linux $kernel", ({ kernel, options }) => {
  const answers = recorded(kernel);

  test("every recorded scenario is played", () => {
    expect(Object.keys(scenarios)).toEqual(Object.keys(answers));
  });

  test.each(Object.entries(scenarios))("%s", (name, play) => {
    const host = new Host(options);
    const task = host.init.fork();
    task.cred = new HostCred(host.user, 0, ALL);
    const scenario = new Scenario(host, task);
    play(scenario);
    expect(scenario.answers).toEqual(answers[name]);
  });
});
