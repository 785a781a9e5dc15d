//! A disk with faults: a library that the server is started with, and files that switch a fault on.
//! Building Tidegate takes a C compiler, for SQLite.

use crate::project::{Project, Server};
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

const CODE: &str = r#"
    #define _GNU_SOURCE
    #include <errno.h>
    #include <fcntl.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <sys/syscall.h>
    #include <unistd.h>
    static int is(const char *fault, int note) {
        char path[4096], seen[4096];
        const char *folder = getenv("DISK_FAULTS");
        if (!folder) return 0;
        snprintf(path, sizeof path, "%s/%s", folder, fault);
        if (access(path, F_OK) != 0) return 0;
        snprintf(seen, sizeof seen, "%s/%s.seen", folder, fault);
        if (note) close(open(seen, O_CREAT | O_WRONLY, 0600));
        return 1;
    }
    static int sync_fails(void) {
        if (is("stall", 1)) while (is("stall", 0)) usleep(1000);
        if (is("unsynced", 1)) { errno = EIO; return 1; }
        return 0;
    }
    static ssize_t put(int fd, const void *bytes, size_t count, off_t at) {
        if (is("full", 1)) { errno = ENOSPC; return -1; }
        if (is("broken", 1)) { errno = EIO; return -1; }
        return syscall(SYS_pwrite64, fd, bytes, count, at);
    }
    ssize_t pwrite(int fd, const void *b, size_t n, off_t at) { return put(fd, b, n, at); }
    ssize_t pwrite64(int fd, const void *b, size_t n, off_t at) { return put(fd, b, n, at); }
    int fsync(int fd) { return sync_fails() ? -1 : syscall(SYS_fsync, fd); }
    int fdatasync(int fd) { return sync_fails() ? -1 : syscall(SYS_fdatasync, fd); }
"#;

/// What is wrong with the disk.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// A sync does not return.
    Stall,
    /// Writing finds no room.
    Full,
    /// Writing is an I/O error.
    Broken,
    /// Syncing is an I/O error.
    Unsynced,
}

impl Fault {
    fn file(self) -> &'static str {
        match self {
            Fault::Stall => "stall",
            Fault::Full => "full",
            Fault::Broken => "broken",
            Fault::Unsynced => "unsynced",
        }
    }
}

/// The disk of one server.
pub(crate) struct Disk {
    folder: TempDir,
    library: PathBuf,
}

impl Disk {
    /// One that is well.
    pub(crate) fn new() -> Disk {
        let folder = TempDir::new().unwrap();
        let (source, library) = (folder.path().join("disk.c"), folder.path().join("disk.so"));
        std::fs::write(&source, CODE).unwrap();
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let mut cc = Command::new(compiler);
        cc.args(["-shared", "-fPIC", "-o"]).args([&library, &source]);
        assert!(cc.status().unwrap().success());
        Disk { folder, library }
    }

    /// Starts a project's server on it.
    pub(crate) fn serve(&self, project: &Project) -> Server {
        self.serve_with(project, &[])
    }

    /// The same with more environment variables.
    pub(crate) fn serve_with(&self, project: &Project, more: &[(&str, &str)]) -> Server {
        let (library, folder) = (self.library.to_str(), self.folder.path().to_str());
        let env = [("LD_PRELOAD", library.unwrap()), ("DISK_FAULTS", folder.unwrap())];
        Server::start(&project.root, &[&env, more].concat())
    }

    /// Switches a fault on.
    pub(crate) fn has(&self, fault: Fault) {
        std::fs::write(self.folder.path().join(fault.file()), "").unwrap();
    }

    /// Switches it off; it must have been met.
    #[track_caller]
    pub(crate) fn recovers_from(&self, fault: Fault) {
        assert!(self.was_met(fault), "{fault:?} was never met");
        std::fs::remove_file(self.folder.path().join(fault.file())).unwrap();
    }

    /// Whether the server has met the fault.
    pub(crate) fn was_met(&self, fault: Fault) -> bool {
        self.folder.path().join(format!("{}.seen", fault.file())).exists()
    }
}
