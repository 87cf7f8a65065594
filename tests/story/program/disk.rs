//! A disk that takes nothing: full for a while, or read-only until somebody mends it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use sqlx::{Connection, SqliteConnection};

use super::Running;
use super::store::answers;

/// A file system of our own, so small that it is soon full; `None` where this machine lets nobody mount.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<Self> {
        std::fs::create_dir(at).ok()?;
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(at).output().ok()?;
        if !mounted.status.success() {
            println!("SKIPPED: a full disk needs the right to mount one");
            return None;
        }
        Some(Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _gone = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// The bot ends as it should, and nothing is corrupted.
async fn ends_sound(running: &mut Running, url: &str) -> anyhow::Result<()> {
    let (status, _) = running.signal("TERM").await?;
    ensure!(status.success(), "{}", running.output());
    let mut connection = SqliteConnection::connect(url).await?;
    let sound: String = sqlx::query_scalar("pragma integrity_check").fetch_one(&mut connection).await?;
    ensure!(sound == "ok", "{sound}");
    Ok(connection.close().await?)
}

#[tokio::test]
async fn a_full_disk_is_said_and_waited_for() -> anyhow::Result<()> {
    let place = tempfile::tempdir()?;
    let Some(disk) = SmallDisk::mount(&place.path().join("disk")) else { return Ok(()) };
    let url = format!("sqlite://{}", disk.0.join("bot.db").display());
    let mut running = Running::start(&[("DATABASE_URL", &url)]).await?;
    let rest = disk.0.join("something-else");
    let (mut block, mut file) = (vec![0_u8; 1 << 20], std::fs::File::create(&rest)?);
    // To the last byte.
    while !block.is_empty() {
        if std::io::Write::write_all(&mut file, &block).is_err() {
            block.truncate(block.len() / 2);
        }
    }
    drop(file);
    running.refuses_and_recovers(async || Ok(std::fs::remove_file(&rest)?)).await?;
    ends_sound(&mut running, &url).await
}

/// A file system in a file, which turns read-only at its first error, as Debian's installer sets it up; `None` where this
/// machine lets nobody mount, or has no ext4.
struct FailingDisk {
    image: PathBuf,
    at: PathBuf,
}

impl FailingDisk {
    fn new(place: &Path) -> Option<Self> {
        let disk = Self { image: place.join("image"), at: place.join("disk") };
        std::fs::File::create(&disk.image).and_then(|image| image.set_len(32 << 20)).ok()?;
        std::fs::create_dir(&disk.at).ok()?;
        let made = Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&disk.image).output();
        if made.is_ok_and(|made| made.status.success()) && disk.mount() && disk.trigger().is_some() {
            return Some(disk);
        }
        println!("SKIPPED: a disk that turns read-only needs ext4 and the right to mount it");
        None
    }

    fn mount(&self) -> bool {
        let mount =
            Command::new("mount").args(["-o", "loop,errors=remount-ro"]).arg(&self.image).arg(&self.at).output();
        mount.is_ok_and(|mount| mount.status.success())
    }

    /// Where the kernel is told that something is wrong with it. Source: Linux, `Documentation/ABI/testing/sysfs-fs-ext4`.
    fn trigger(&self) -> Option<PathBuf> {
        let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
        let line = mounts.lines().find(|line| line.split(' ').nth(1) == self.at.to_str())?;
        let device = line.split(' ').next()?.rsplit('/').next()?;
        let trigger = Path::new("/sys/fs/ext4").join(device).join("trigger_fs_error");
        trigger.exists().then_some(trigger)
    }

    /// Read-only from here on: nothing but unmounting it helps.
    fn fail(&self) -> anyhow::Result<()> {
        Ok(std::fs::write(self.trigger().context("it is not mounted")?, "1")?)
    }

    /// What an operator does: unmounts it, lets it be checked, and mounts it again.
    fn mend(&self) -> anyhow::Result<()> {
        ensure!(Command::new("umount").arg(&self.at).status()?.success(), "it is still in use");
        // 1: errors were corrected.
        let checked = Command::new("e2fsck").arg("-fy").arg(&self.image).output()?;
        ensure!(matches!(checked.status.code(), Some(0 | 1)), "{}", String::from_utf8_lossy(&checked.stdout));
        ensure!(self.mount(), "it cannot be mounted again");
        Ok(())
    }
}

impl Drop for FailingDisk {
    fn drop(&mut self) {
        let _gone = Command::new("umount").arg("-l").arg(&self.at).output();
    }
}

#[tokio::test]
async fn a_disk_that_turns_read_only_is_said_and_spoils_nothing() -> anyhow::Result<()> {
    let place = tempfile::tempdir()?;
    let Some(disk) = FailingDisk::new(place.path()) else { return Ok(()) };
    let url = format!("sqlite://{}", disk.at.join("bot.db").display());
    let mut running = Running::start(&[("DATABASE_URL", &url)]).await?;
    let before = running.tenant.push(&running.tenant.person("王芳").text_event("/whoami")).await;
    ensure!(before.status == 200, "{}", before.status);
    running.until("the first command is answered", |tenant| answers(tenant) == 1).await?;

    disk.fail()?;
    running.until_readyz(503).await?;
    let event = running.tenant.person("王芳").text_event("/whoami");
    let pushed = running.tenant.push(&event).await;
    ensure!(pushed.status == 503, "the event was answered {}", pushed.status);
    ensure!(running.get("/healthz").await?.status() == 200, "it is alive all the same");
    let output = running.output();
    ensure!(output.contains("takes no writes") && output.contains("readonly database"), "{output}");
    let (status, _) = running.signal("TERM").await?;
    ensure!(status.success(), "{}", running.output());

    disk.mend()?;
    running.start_again().await?;
    for _ in 0..2 {
        let pushed = running.tenant.push(&event).await;
        ensure!(pushed.status == 200, "after all the event was answered {}", pushed.status);
    }
    running.until("the second command is answered", |tenant| answers(tenant) == 2).await?;
    ends_sound(&mut running, &url).await
}
