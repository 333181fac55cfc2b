//! A file system that gets full: a small tmpfs, which takes the right to mount one.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A small file system of its own.
#[derive(Debug)]
pub struct SmallDisk {
    /// Where it is mounted.
    pub path: PathBuf,
}

impl SmallDisk {
    /// None without the right to mount.
    pub fn mount(path: &Path, options: &str) -> Option<Self> {
        unmount_left_over();
        std::fs::create_dir_all(path).unwrap();
        run(
            "mount",
            &[
                "-t",
                "tmpfs",
                "-o",
                options,
                "tidegate-tests",
                path.to_str()?,
            ],
        )
        .then(|| Self {
            path: path.to_owned(),
        })
    }

    /// Makes it this large.
    pub fn grow(&self, size: &str) {
        let options = format!("remount,size={size}");
        assert!(run("mount", &["-o", &options, self.path.to_str().unwrap()]));
    }
}

impl SmallDisk {
    /// Fills it to the last byte.
    pub fn fill(&self) {
        use std::io::Write;
        let mut file = std::fs::File::create(self.filling()).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        while file.write_all(&[0]).is_ok() {}
    }

    /// Frees what filled it.
    pub fn free(&self) {
        let _ = std::fs::remove_file(self.filling());
    }

    fn filling(&self) -> PathBuf {
        self.path.join("filling")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run("umount", &["--lazy", self.path.to_str().unwrap()]);
    }
}

/// A test that is killed unmounts nothing. The path names the process that mounted it.
fn unmount_left_over() {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    for mount in mounts
        .lines()
        .filter_map(|line| line.strip_prefix("tidegate-tests "))
    {
        let path = mount.split(' ').next().unwrap_or_default();
        let owner = path
            .split("/tidegate-tests-")
            .nth(1)
            .and_then(|rest| rest.split('/').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            run("umount", &["--lazy", path]);
        }
    }
}

fn run(program: &str, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .status()
        .is_ok_and(|status| status.success())
}
