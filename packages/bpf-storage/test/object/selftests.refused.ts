/** Objects of Linux 6.1's selftests that are refused, by the code of the error, and why: libbpf refuses the same. */
export const REFUSED: Readonly<Record<string, readonly [code: string, why: string]>> = {
  linked_funcs1: ["extern", "half of an object: functions are in linked_funcs2"],
  linked_funcs2: ["extern", "half of an object: functions are in linked_funcs1"],
  linked_maps1: ["extern", "half of an object: maps are in linked_maps2"],
  linked_maps2: ["extern", "half of an object: maps are in linked_maps1"],
  linked_vars1: ["extern", "half of an object: variables are in linked_vars2"],
  linked_vars2: ["extern", "half of an object: variables are in linked_vars1"],
  test_pinning_invalid: ["map", "made to be refused: pinning 2"],
  test_sk_assign: ["map", "maps as before libbpf 1.0"],
  test_subskeleton: ["extern", "half of an object: functions are in test_subskeleton_lib"],
  test_subskeleton_lib: ["extern", "half of an object: maps are in test_subskeleton_lib2"],
  test_usdt_multispec: ["extern", "half of an object: variables are in test_usdt"],
};

/** Objects of linux 6.12's that libbpf 1.1, as Debian 12 has it, loads otherwise than later ones, and why. */
export const UNLIKE_LIBBPF_1_1: Readonly<Record<string, string>> = {
  task_kfunc_success: "it does not know flavours of kfuncs",
  test_ksyms_weak: "it calls kfunc 0 where later ones poison calls of missing kfuncs",
  test_log_fixup: "it calls kfunc 0 where later ones poison calls of missing kfuncs",
};
