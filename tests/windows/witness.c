/* A second Windows process beside the program under test. It does what a scanner, an administrator
   or Windows itself does, and reports on standard output:

   witness hold FILE MILLISECONDS HOW    opens FILE, says "held", and closes it after that time; HOW
                                         is `alone` (nobody else may open it), `reading` (nobody may
                                         write or delete it), `shared` (all may), or `mapped` (all
                                         may, but nobody can cut it)
   witness attributes FILE [NUMBER]      sets, or says, the file's attributes
   witness descriptor FILE [SDDL]        sets, or says, owner, group and DACL
   witness task COMMAND FILE             runs COMMAND as Task Scheduler does, with what FILE holds
                                         behind it to the letter, and ends with its exit code */
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

static int hold(const wchar_t *file, DWORD milliseconds, const wchar_t *how)
{
    DWORD all = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
    DWORD sharing = !wcscmp(how, L"alone") ? 0 : !wcscmp(how, L"reading") ? FILE_SHARE_READ : all;
    HANDLE handle = CreateFileW(file, GENERIC_READ, sharing, NULL, OPEN_EXISTING, 0, NULL);
    if (handle == INVALID_HANDLE_VALUE)
        return failed("open");
    if (!wcscmp(how, L"mapped")) {
        HANDLE mapping = CreateFileMappingW(handle, NULL, PAGE_READONLY, 0, 0, NULL);
        if (!mapping || !MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, 0))
            return failed("map");
    }
    say(L"held");
    Sleep(milliseconds);
    return 0;
}

static int task(const wchar_t *command, const wchar_t *file)
{
    wchar_t line[4096];
    char arguments[2048] = "";
    DWORD length, code;
    STARTUPINFOW start = {sizeof start};
    PROCESS_INFORMATION process;
    HANDLE handle = CreateFileW(file, GENERIC_READ, FILE_SHARE_READ, NULL, OPEN_EXISTING, 0, NULL);
    if (handle == INVALID_HANDLE_VALUE || !ReadFile(handle, arguments, sizeof arguments - 1, &length, NULL))
        return failed("read the arguments");
    CloseHandle(handle);
    swprintf(line, sizeof line / sizeof *line, L"%ls %hs", command, arguments);
    if (!CreateProcessW(command, line, NULL, NULL, FALSE, CREATE_NO_WINDOW, NULL, NULL, &start, &process))
        return failed("start the command");
    WaitForSingleObject(process.hProcess, INFINITE);
    if (!GetExitCodeProcess(process.hProcess, &code))
        return failed("get the exit code");
    return code;
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
    if (!wcscmp(verb, L"hold") && argc == 5)
        return hold(argv[2], wcstoul(argv[3], NULL, 10), argv[4]);
    if (!wcscmp(verb, L"attributes"))
        return attributes(argv[2], argc > 3 ? argv[3] : NULL);
    if (!wcscmp(verb, L"descriptor"))
        return descriptor(argv[2], argc > 3 ? argv[3] : NULL);
    if (!wcscmp(verb, L"task") && argc == 4)
        return task(argv[2], argv[3]);
    fputs("witness: not understood\n", stderr);
    return 2;
}
