/* Runs a command under ptrace and seccomp and does something at the n-th of its calls that reach below a folder.
 *
 *     inject CALLS N DEED FOLDER LOG COMMAND…
 *
 * CALLS: names of calls, with commas. N: from 1; 0 only counts. DEED: `fail:ERRNO` lets the call fail, `fail-on:ERRNO` it and all after it, `short`
 * halves what a write writes, `before` and `after` kill the process just before or just after the call, `interrupt` sends it SIGINT.
 * LOG gets `hit NAME PATH` where something was done, and `total COUNT`. The exit code is the command's, 128 + the signal's number where one ended it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#if !defined(__x86_64__)
#error "registers are read as on x86-64"
#endif

/* Where a call says what it is about. */
enum target { FD, PATH, AT, AT_TARGET };

static const struct call {
    const char *name;
    int number;
    enum target target;
} known[] = {
    {"read", SYS_read, FD},           {"pread64", SYS_pread64, FD},       {"write", SYS_write, FD},
    {"writev", SYS_writev, FD},       {"pwrite64", SYS_pwrite64, FD},     {"fsync", SYS_fsync, FD},
    {"fdatasync", SYS_fdatasync, FD}, {"ftruncate", SYS_ftruncate, FD},   {"copy_file_range", SYS_copy_file_range, FD},
    {"open", SYS_open, PATH},         {"openat", SYS_openat, AT},         {"rename", SYS_rename, PATH},
    {"renameat", SYS_renameat, AT},   {"renameat2", SYS_renameat2, AT},   {"link", SYS_link, PATH},
    {"linkat", SYS_linkat, AT},       {"symlink", SYS_symlink, AT_TARGET}, {"symlinkat", SYS_symlinkat, AT_TARGET},
    {"unlink", SYS_unlink, PATH},     {"unlinkat", SYS_unlinkat, AT},     {"mkdir", SYS_mkdir, PATH},
    {"mkdirat", SYS_mkdirat, AT},     {"rmdir", SYS_rmdir, PATH},
};
enum { KNOWN = sizeof known / sizeof *known };

static int wanted[KNOWN], wanted_count;

static void want(char *names) {
    for (char *name = strtok(names, ","); name; name = strtok(NULL, ",")) {
        int at = 0;
        while (at < KNOWN && strcmp(known[at].name, name)) at++;
        if (at == KNOWN) fprintf(stderr, "inject: unknown call %s\n", name), exit(97);
        wanted[wanted_count++] = at;
    }
}

static void run(char **command) {
    struct sock_filter filter[2 * KNOWN + 2] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
    int length = 1;
    for (int i = 0; i < wanted_count; i++) {
        filter[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, known[wanted[i]].number, 0, 1);
        filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
    }
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {length, filter};
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) _exit(97);
    execvp(command[0], command);
    _exit(98);
}

/* A text of another process; it may end at a page that is not there. */
static void text_at(pid_t process, unsigned long address, char *text, size_t size) {
    memset(text, 0, size);
    for (size_t done = 0; done < size - 1 && !memchr(text, 0, done);) {
        size_t in_page = 4096 - (address + done) % 4096, part = in_page < size - 1 - done ? in_page : size - 1 - done;
        struct iovec local = {text + done, part}, remote = {(char *)address + done, part};
        if (process_vm_readv(process, &local, 1, &remote, 1, 0) <= 0) return;
        done += part;
    }
}

static void opened(pid_t process, int fd, char *path, size_t size) {
    char link[64];
    if (fd == AT_FDCWD) snprintf(link, sizeof link, "/proc/%d/cwd", process);
    else snprintf(link, sizeof link, "/proc/%d/fd/%d", process, fd);
    ssize_t length = readlink(link, path, size - 1);
    path[length < 0 ? 0 : length] = 0;
}

/* The path that a stopped call is about. */
static void path_of(pid_t process, const struct call *call, const struct user_regs_struct *at, char *path, size_t size) {
    int folder = AT_FDCWD;
    unsigned long name = at->rdi;
    switch (call->target) {
    case FD: opened(process, (int)at->rdi, path, size); return;
    case PATH: break;
    case AT: folder = (int)at->rdi, name = at->rsi; break;
    case AT_TARGET: name = call->number == SYS_symlink ? at->rsi : at->rdx; break;
    }
    text_at(process, name, path, size);
    if (path[0] == '/') return;
    char relative[8192], base[4096];
    snprintf(relative, sizeof relative, "%s", path);
    opened(process, folder, base, sizeof base);
    if (snprintf(path, size, "%s/%s", base, relative) >= (int)size) path[0] = 0;
}

/* Whether an `open` counts: one that makes a file does with the calls that write, another with those that read. */
static int counts(const struct call *call, const struct user_regs_struct *at, int reads) {
    if (call->number != SYS_open && call->number != SYS_openat) return 1;
    int flags = (int)(call->number == SYS_open ? at->rsi : at->rdx);
    return reads ? !(flags & O_DIRECTORY) : flags & O_CREAT;
}

int main(int count, char **words) {
    if (count < 7) return 97;
    int reads = strstr(words[1], "read") != NULL;
    want(words[1]);
    long n = atol(words[2]), total = 0;
    const char *deed = words[3], *folder = words[4], *colon = strchr(deed, ':');
    int code = colon ? atoi(colon + 1) : 0, keeps_failing = !strncmp(deed, "fail-on", 7);
    FILE *log = fopen(words[5], "w");
    if (!log) return 97;

    pid_t child = fork();
    if (!child) run(words + 6);
    int status, result = 0, has_started = 0;
    pid_t last = 0;
    waitpid(child, &status, 0);
    ptrace(PTRACE_SETOPTIONS, child, 0,
           PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL);
    ptrace(PTRACE_CONT, child, 0, 0);
    for (;;) {
        pid_t thread = waitpid(-1, &status, __WALL);
        if (thread < 0) break;
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            if (thread != child) continue;
            result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            break;
        }
        int event = status >> 16, signal = WSTOPSIG(status);
        if (event == PTRACE_EVENT_EXEC) has_started = 1;
        if (event == PTRACE_EVENT_SECCOMP && has_started) {
            struct user_regs_struct at;
            char path[8192];
            ptrace(PTRACE_GETREGS, thread, 0, &at);
            const struct call *call = NULL;
            for (int i = 0; i < wanted_count; i++)
                if (known[wanted[i]].number == (int)at.orig_rax) call = &known[wanted[i]];
            if (call && counts(call, &at, reads)) {
                path_of(thread, call, &at, path, sizeof path);
                int is_hit = !strncmp(path, folder, strlen(folder)) && ++total >= n && n > 0 && (total == n || keeps_failing);
                if (is_hit) {
                    if (total == n) fprintf(log, "hit %s %s\n", call->name, path), fflush(log);
                    if (colon) at.orig_rax = -1, at.rax = -code, ptrace(PTRACE_SETREGS, thread, 0, &at);
                    else if (!strcmp(deed, "short") && strstr(call->name, "write") && call->number != SYS_writev && at.rdx > 1)
                        at.rdx /= 2, ptrace(PTRACE_SETREGS, thread, 0, &at);
                    else if (!strcmp(deed, "before")) kill(child, SIGKILL);
                    else if (!strcmp(deed, "interrupt")) kill(child, SIGINT);
                    else if (!strcmp(deed, "after")) {
                        last = thread;
                        ptrace(PTRACE_SYSCALL, thread, 0, 0);
                        continue;
                    }
                }
            }
        }
        if (thread == last && signal == SIGTRAP && !event) kill(child, SIGKILL), last = 0;
        int is_ours = event || signal == SIGTRAP || signal == SIGSTOP;
        ptrace(PTRACE_CONT, thread, 0, is_ours ? 0 : signal);
    }
    fprintf(log, "total %ld\n", total);
    fclose(log);
    return result;
}
