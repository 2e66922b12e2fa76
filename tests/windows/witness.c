/* A second Windows process beside the program under test. It does what a scanner, an administrator
   or Windows itself does, and reports on standard output:

   witness hold FILE MILLISECONDS        opens FILE as one who lets nobody delete it, says "held",
                                         and closes it after that time
   witness attributes FILE [NUMBER]      sets, or says, the file's attributes
   witness descriptor FILE [SDDL]        sets, or says, owner, group and DACL */
#include <windows.h>
#include <sddl.h>
#include <stdio.h>
#include <wchar.h>

#define PARTS (OWNER_SECURITY_INFORMATION | GROUP_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION)

static int failed(const char *what)
{
    fprintf(stderr, "witness: %s: error %lu\n", what, GetLastError());
    return 1;
}

static void say(const wchar_t *text)
{
    char utf8[16384];
    WideCharToMultiByte(CP_UTF8, 0, text, -1, utf8, sizeof utf8, NULL, NULL);
    puts(utf8);
    fflush(stdout);
}

static int hold(const wchar_t *file, DWORD milliseconds)
{
    HANDLE handle = CreateFileW(file, GENERIC_READ, FILE_SHARE_READ, NULL, OPEN_EXISTING, 0, NULL);
    if (handle == INVALID_HANDLE_VALUE)
        return failed("open");
    say(L"held");
    Sleep(milliseconds);
    CloseHandle(handle);
    return 0;
}

static int attributes(const wchar_t *file, const wchar_t *wanted)
{
    if (wanted && !SetFileAttributesW(file, wcstoul(wanted, NULL, 0)))
        return failed("set attributes");
    printf("%lu\n", GetFileAttributesW(file));
    return 0;
}

static int descriptor(const wchar_t *file, const wchar_t *wanted)
{
    BYTE bytes[8192];
    DWORD needed;
    PSECURITY_DESCRIPTOR new;
    wchar_t *text;
    if (wanted && !ConvertStringSecurityDescriptorToSecurityDescriptorW(wanted, SDDL_REVISION_1, &new, NULL))
        return failed("understand the descriptor");
    if (wanted && !SetFileSecurityW(file, DACL_SECURITY_INFORMATION, new))
        return failed("set the descriptor");
    if (!GetFileSecurityW(file, PARTS, bytes, sizeof bytes, &needed))
        return failed("get the descriptor");
    if (!ConvertSecurityDescriptorToStringSecurityDescriptorW(bytes, SDDL_REVISION_1, PARTS, &text, NULL))
        return failed("write the descriptor");
    say(text);
    return 0;
}

int wmain(int argc, wchar_t **argv)
{
    const wchar_t *verb = argc > 2 ? argv[1] : L"";
    if (!wcscmp(verb, L"hold") && argc == 4)
        return hold(argv[2], wcstoul(argv[3], NULL, 10));
    if (!wcscmp(verb, L"attributes"))
        return attributes(argv[2], argc > 3 ? argv[3] : NULL);
    if (!wcscmp(verb, L"descriptor"))
        return descriptor(argv[2], argc > 3 ? argv[3] : NULL);
    fputs("witness: not understood\n", stderr);
    return 2;
}
