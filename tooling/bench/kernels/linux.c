typedef unsigned int u32;
void work_main(u32,u32);
#ifdef __x86_64__
static long sc(long n,long a,long b,long c){long r;__asm__ volatile("syscall":"=a"(r):"a"(n),"D"(a),"S"(b),"d"(c):"rcx","r11","memory");return r;}
#define NR_W 1
#define NR_E 231
__asm__(".globl _start\n_start: xor %ebp,%ebp; mov %rsp,%rdi; and $-16,%rsp; call cstart\n");
#else
static long sc(long n,long a,long b,long c){long r;__asm__ volatile("int $0x80":"=a"(r):"a"(n),"b"(a),"c"(b),"d"(c):"memory");return r;}
#define NR_W 4
#define NR_E 252
__asm__(".globl _start\n_start: xor %ebp,%ebp; mov %esp,%eax; and $-16,%esp; sub $12,%esp; push %eax; call cstart\n");
#endif
void put(const char*s,u32 n){sc(NR_W,1,(long)s,n);}
static u32 num(const char*s){u32 v=0;while(*s>='0'&&*s<='9')v=v*10+*s++-'0';return v;}
__attribute__((used)) void cstart(long*sp){long argc=sp[0];char**v=(char**)(sp+1);work_main(argc>1?num(v[1]):1,argc>2?num(v[2]):0);sc(NR_E,0,0,0);}
