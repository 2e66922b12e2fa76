/* For tests under wine 8 alone, which lacks bcryptprimitives.dll: the one function of it that Rust's
   standard library imports. It never ships; where wine or Windows has its own, that one is used. */
#include <windows.h>

BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG length); /* RtlGenRandom, in advapi32 */

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE buffer, SIZE_T length)
{
    return SystemFunction036(buffer, (ULONG)length);
}
