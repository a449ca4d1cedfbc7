#include "check.h"
#include "rc_cpu.h"

int main(void)
{
    unsigned found = rc_cpu_features();
    CHECK((found & ~(unsigned)RC_CPU_ALL) == 0);
    CHECK(rc_cpu_restrict(0) == 0 && rc_cpu_features() == 0);
    CHECK(rc_cpu_restrict(RC_CPU_AVX512_VBMI | RC_CPU_AVX512_VNNI) == 0); /* they need RC_CPU_AVX512 */
    CHECK(rc_cpu_restrict(RC_CPU_AVX2) == (found & RC_CPU_AVX2));
    CHECK(rc_cpu_restrict(RC_CPU_ALL) == found && rc_cpu_features() == found);
    return 0;
}
