/*
 * Prints the cases of linux tools/testing/selftests/bpf/test_verifier.c as JSON, one case a line.
 *
 * Nothing of those tests is kept here: the file is found by -I at the time of the test, and with it "verifier/tests.h", which the caller
 * writes: the include of each file of cases in turn, each after an entry { .descr = "@<file>" } that names the category.
 */
/* Names of the kernel that libbpf's own headers bring along, and the installed ones do not. */
#define u32 unsigned int
#define u64 unsigned long long
#define main test_verifier_main
#include "test_verifier.c"
#undef main

static void print_string(const char *text)
{
	putchar('"');
	for (; text && *text; text++) {
		unsigned char c = *text;

		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < ' ')
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

static void print_fixup(const char *name, const int *at)
{
	printf(",\"%s\":[", name);
	for (int i = 0; i < MAX_FIXUPS && at[i]; i++)
		printf("%s%d", i ? "," : "", at[i]);
	putchar(']');
}

static void print_insns(const struct bpf_insn *insns, int count)
{
	const unsigned char *bytes = (const unsigned char *)insns;

	printf(",\"insns\":\"");
	for (size_t i = 0; i < count * sizeof(*insns); i++)
		printf("%02x", bytes[i]);
	putchar('"');
}

static void print_words(const char *name, const __u32 *words, int count)
{
	printf(",\"%s\":[", name);
	for (int i = 0; i < count; i++)
		printf("%s%u", i ? "," : "", words[i]);
	putchar(']');
}

int main(void)
{
	const char *file = "";

	for (size_t i = 0; i < ARRAY_SIZE(tests); i++) {
		struct bpf_test *test = &tests[i];
		const struct bpf_insn *insns = test->insns;
		int count, words = 0;

		if (test->descr[0] == '@') {
			file = test->descr + 1;
			continue;
		}
		if (test->fill_helper) {
			test->fill_insns = calloc(MAX_TEST_INSNS, sizeof(struct bpf_insn));
			test->fill_helper(test);
			insns = test->fill_insns;
			count = test->prog_len;
		} else {
			count = probe_filter_length(insns);
		}
		printf("{\"file\":");
		print_string(file);
		printf(",\"name\":");
		print_string(test->descr);
		printf(",\"type\":%d,\"attach\":%d,\"flags\":%d,\"result\":%d,\"resultUnpriv\":%d", test->prog_type,
		       test->expected_attach_type, test->flags, test->result, test->result_unpriv);
		printf(",\"error\":");
		print_string(test->errstr);
		printf(",\"kfunc\":");
		print_string(test->kfunc);
#define FIXUP(field) print_fixup(#field, test->fixup_##field)
		printf(",\"fixups\":{\"none\":[]");
		FIXUP(map_hash_8b);
		FIXUP(map_hash_48b);
		FIXUP(map_hash_16b);
		FIXUP(map_array_48b);
		FIXUP(map_sockmap);
		FIXUP(map_sockhash);
		FIXUP(map_xskmap);
		FIXUP(map_stacktrace);
		FIXUP(prog1);
		FIXUP(prog2);
		FIXUP(map_in_map);
		FIXUP(cgroup_storage);
		FIXUP(percpu_cgroup_storage);
		FIXUP(map_spin_lock);
		FIXUP(map_array_ro);
		FIXUP(map_array_wo);
		FIXUP(map_array_small);
		FIXUP(sk_storage_map);
		FIXUP(map_event_output);
		FIXUP(map_reuseport_array);
		FIXUP(map_ringbuf);
		FIXUP(map_timer);
		FIXUP(map_kptr);
		printf("},\"kfuncs\":[");
		for (int k = 0; k < MAX_FIXUPS && test->fixup_kfunc_btf_id[k].kfunc; k++)
			printf("%s[\"%s\",%d]", k ? "," : "", test->fixup_kfunc_btf_id[k].kfunc,
			       test->fixup_kfunc_btf_id[k].insn_idx);
		printf("],\"funcInfo\":[");
		for (int k = 0; k < test->func_info_cnt; k++)
			printf("%s[%u,%u]", k ? "," : "", test->func_info[k].insn_off, test->func_info[k].type_id);
		printf("],\"btfStrings\":\"");
		for (size_t k = 0; k < sizeof(test->btf_strings); k++)
			printf("%02x", (unsigned char)test->btf_strings[k]);
		putchar('"');
		while (words < MAX_BTF_TYPES && test->btf_types[words] != BTF_END_RAW)
			words++;
		print_words("btfTypes", test->btf_types, words == MAX_BTF_TYPES ? 0 : words);
		print_insns(insns, count);
		printf("}\n");
	}
	return 0;
}
