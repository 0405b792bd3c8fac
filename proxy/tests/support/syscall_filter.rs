//! The unit's system call filter as a program that a test can load: what systemd would enforce, without systemd.
//!
//! A thread that loads the program and then spawns `tollgate` hands the filter down to it:
//!
//! ```text
//! let Some(program) = syscall_filter::program() else { return };   // the reason was printed
//! let child = std::thread::spawn(move || {
//!     seccompiler::apply_filter(&program).expect("the kernel takes the filter");
//!     Command::new(env!("CARGO_BIN_EXE_tollgate")).args(["run", "gateway.yaml"]).spawn()
//! });
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

/// The filter of `systemd/tollgate.service`; what it does not allow fails with `EPERM`, as the unit says.
/// `None`, with the reason printed, where systemd-analyze is missing.
pub fn program() -> Option<BpfProgram> {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd/tollgate.service");
    let unit = std::fs::read_to_string(&unit).unwrap_or_else(|e| panic!("{}: {e}", unit.display()));
    let names = match allowed(&unit) {
        Ok(names) => names,
        Err(reason) => {
            println!("skipped: {reason}");
            return None;
        }
    };
    let rules: BTreeMap<i64, _> = CALLS
        .iter()
        .filter(|(name, _)| names.contains(name.trim_start_matches("SYS_")))
        .map(|(_, number)| (*number, Vec::new()))
        .collect();
    assert!(rules.len() > 150, "a filter of {} calls is too small to be the unit's", rules.len());
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter =
        SeccompFilter::new(rules, refused, SeccompAction::Allow, TargetArch::x86_64).expect("the two actions differ");
    Some(filter.try_into().expect("a list of numbers compiles"))
}

/// The names of the system calls that a unit's `SystemCallFilter=` lines leave, groups taken apart.
///
/// The lines add up as in systemd.exec(5): the first decides that this is an allow-list, `~` takes away.
pub fn allowed(unit: &str) -> Result<BTreeSet<String>, String> {
    let mut names = BTreeSet::from(["execve".to_owned()]); // systemd allows what it needs to start the program
    for line in unit.lines().filter_map(|line| line.strip_prefix("SystemCallFilter=")) {
        let (take, list) = line.strip_prefix('~').map_or((false, line), |list| (true, list));
        for word in list.split_whitespace() {
            let members = if word.starts_with('@') { group(word)? } else { BTreeSet::from([word.to_owned()]) };
            if take {
                names.retain(|name| !members.contains(name));
            } else {
                names.extend(members);
            }
        }
    }
    names.extend(group("@default")?); // implied by every allow-list
    Ok(names)
}

/// The members of a group, groups within it taken apart.
fn group(name: &str) -> Result<BTreeSet<String>, String> {
    let output = Command::new("systemd-analyze")
        .args(["--no-pager", "syscall-filter", name])
        .output()
        .map_err(|e| format!("systemd-analyze: {e}"))?;
    if !output.status.success() {
        return Err(format!("systemd-analyze syscall-filter {name}: {}", output.status));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut found = BTreeSet::new();
    for member in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#') && *line != name)
    {
        if member.starts_with('@') {
            found.extend(group(member)?);
        } else {
            found.insert(member.to_owned());
        }
    }
    Ok(found)
}

macro_rules! calls {
    ($($name:ident)*) => {
        &[$((stringify!($name), libc::$name)),*]
    };
}

/// What `@system-service` may name on x86-64, with its number.
#[rustfmt::skip]
const CALLS: &[(&str, i64)] = calls![
    SYS_accept SYS_accept4 SYS_access SYS_add_key SYS_alarm SYS_arch_prctl SYS_bind SYS_brk SYS_capget
    SYS_capset SYS_chdir SYS_chmod SYS_chown SYS_clock_getres SYS_clock_gettime SYS_clock_nanosleep SYS_clone
    SYS_clone3 SYS_close SYS_close_range SYS_connect SYS_copy_file_range SYS_creat SYS_dup SYS_dup2 SYS_dup3
    SYS_epoll_create SYS_epoll_create1 SYS_epoll_ctl SYS_epoll_ctl_old SYS_epoll_pwait SYS_epoll_pwait2
    SYS_epoll_wait SYS_epoll_wait_old SYS_eventfd SYS_eventfd2 SYS_execve SYS_execveat SYS_exit SYS_exit_group
    SYS_faccessat SYS_faccessat2 SYS_fadvise64 SYS_fallocate SYS_fchdir SYS_fchmod SYS_fchmodat SYS_fchmodat2
    SYS_fchown SYS_fchownat SYS_fcntl SYS_fdatasync SYS_fgetxattr SYS_flistxattr SYS_flock SYS_fork
    SYS_fremovexattr SYS_fsetxattr SYS_fstat SYS_fstatfs SYS_fsync SYS_ftruncate SYS_futex SYS_futex_waitv
    SYS_futimesat SYS_get_mempolicy SYS_get_robust_list SYS_get_thread_area SYS_getcpu SYS_getcwd SYS_getdents
    SYS_getdents64 SYS_getegid SYS_geteuid SYS_getgid SYS_getgroups SYS_getitimer SYS_getpeername SYS_getpgid
    SYS_getpgrp SYS_getpid SYS_getppid SYS_getpriority SYS_getrandom SYS_getresgid SYS_getresuid SYS_getrlimit
    SYS_getrusage SYS_getsid SYS_getsockname SYS_getsockopt SYS_gettid SYS_gettimeofday SYS_getuid SYS_getxattr
    SYS_inotify_add_watch SYS_inotify_init SYS_inotify_init1 SYS_inotify_rm_watch SYS_io_cancel SYS_io_destroy
    SYS_io_getevents SYS_io_setup SYS_io_submit SYS_io_uring_enter SYS_io_uring_register SYS_io_uring_setup
    SYS_ioctl SYS_ioprio_get SYS_ioprio_set SYS_kcmp SYS_keyctl SYS_kill SYS_lchown SYS_lgetxattr SYS_link
    SYS_linkat SYS_listen SYS_listxattr SYS_llistxattr SYS_lremovexattr SYS_lseek SYS_lsetxattr SYS_lstat
    SYS_madvise SYS_mbind SYS_membarrier SYS_memfd_create SYS_migrate_pages SYS_mkdir SYS_mkdirat SYS_mknod
    SYS_mknodat SYS_mlock SYS_mlock2 SYS_mlockall SYS_mmap SYS_move_pages SYS_mprotect SYS_mq_getsetattr
    SYS_mq_notify SYS_mq_open SYS_mq_timedreceive SYS_mq_timedsend SYS_mq_unlink SYS_mremap SYS_msgctl
    SYS_msgget SYS_msgrcv SYS_msgsnd SYS_msync SYS_munlock SYS_munlockall SYS_munmap SYS_name_to_handle_at
    SYS_nanosleep SYS_newfstatat SYS_open SYS_openat SYS_openat2 SYS_pause SYS_personality SYS_pidfd_open
    SYS_pidfd_send_signal SYS_pipe SYS_pipe2 SYS_poll SYS_ppoll SYS_prctl SYS_pread64 SYS_preadv SYS_preadv2
    SYS_prlimit64 SYS_process_madvise SYS_process_vm_readv SYS_process_vm_writev SYS_pselect6 SYS_pwrite64
    SYS_pwritev SYS_pwritev2 SYS_read SYS_readahead SYS_readlink SYS_readlinkat SYS_readv SYS_recvfrom
    SYS_recvmmsg SYS_recvmsg SYS_remap_file_pages SYS_removexattr SYS_rename SYS_renameat SYS_renameat2
    SYS_request_key SYS_restart_syscall SYS_rmdir SYS_rseq SYS_rt_sigaction SYS_rt_sigpending SYS_rt_sigprocmask
    SYS_rt_sigqueueinfo SYS_rt_sigreturn SYS_rt_sigsuspend SYS_rt_sigtimedwait SYS_rt_tgsigqueueinfo
    SYS_sched_get_priority_max SYS_sched_get_priority_min SYS_sched_getaffinity SYS_sched_getattr
    SYS_sched_getparam SYS_sched_getscheduler SYS_sched_rr_get_interval SYS_sched_setaffinity SYS_sched_setattr
    SYS_sched_setparam SYS_sched_setscheduler SYS_sched_yield SYS_select SYS_semctl SYS_semget SYS_semop
    SYS_semtimedop SYS_sendfile SYS_sendmmsg SYS_sendmsg SYS_sendto SYS_set_mempolicy
    SYS_set_mempolicy_home_node SYS_set_robust_list SYS_set_thread_area SYS_set_tid_address SYS_setfsgid
    SYS_setfsuid SYS_setgid SYS_setgroups SYS_setitimer SYS_setns SYS_setpgid SYS_setpriority SYS_setregid
    SYS_setresgid SYS_setresuid SYS_setreuid SYS_setrlimit SYS_setsid SYS_setsockopt SYS_setuid SYS_setxattr
    SYS_shmat SYS_shmctl SYS_shmdt SYS_shmget SYS_shutdown SYS_sigaltstack SYS_signalfd SYS_signalfd4 SYS_socket
    SYS_socketpair SYS_splice SYS_stat SYS_statfs SYS_statx SYS_symlink SYS_symlinkat SYS_sync
    SYS_sync_file_range SYS_syncfs SYS_sysinfo SYS_tee SYS_tgkill SYS_time SYS_timer_create SYS_timer_delete
    SYS_timer_getoverrun SYS_timer_gettime SYS_timer_settime SYS_timerfd_create SYS_timerfd_gettime
    SYS_timerfd_settime SYS_times SYS_tkill SYS_truncate SYS_umask SYS_uname SYS_unlink SYS_unlinkat SYS_unshare
    SYS_userfaultfd SYS_utime SYS_utimensat SYS_utimes SYS_vfork SYS_vmsplice SYS_wait4 SYS_waitid SYS_write
    SYS_writev
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_allows_what_a_worker_needs_and_no_more() {
        let unit = include_str!("../../../systemd/tollgate.service");
        let names = match allowed(unit) {
            Ok(names) => names,
            Err(reason) => return println!("skipped: {reason}"),
        };
        for needed in ["io_uring_enter", "epoll_wait", "accept4", "sched_setaffinity", "prlimit64", "mmap", "execve"] {
            assert!(names.contains(needed), "{needed}");
        }
        for refused in ["mount", "setuid", "chown", "bpf", "reboot", "setpriority", "ptrace", "init_module"] {
            assert!(!names.contains(refused), "{refused}");
        }
    }
}
