//! Symbolic links and special files, with every policy and every method of confining paths.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use wharf_core::error::ErrorKind;
use wharf_core::storage::{Change, ListDetail, Replace, Start, Storage};
use wharf_proto::entry::{Entry, Kind};
use wharf_storage::{Disk, DiskOptions, FollowSymlinks};

use super::{CONFINEMENTS, World, content, fails, fast, listed, path, put, write};

/// What a client finds behind a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    File,
    Dir,
    Nothing,
}
use Reach::{Dir, File, Nothing};

/// Each link, and what a client finds if links inside, no links, or all links are followed.
const LINKS: &[(&str, [Reach; 3])] = &[
    ("to_file", [File, Nothing, File]),
    ("to_dir", [Dir, Nothing, Dir]),
    ("to_link", [File, Nothing, File]),
    ("deep/up", [Dir, Nothing, Dir]),
    ("deep/to_root", [Dir, Nothing, Dir]),
    ("absolute_inside", [Nothing, Nothing, File]),
    ("out", [Nothing, Nothing, File]),
    ("out_absolute", [Nothing, Nothing, File]),
    ("out_dir", [Nothing, Nothing, Dir]),
    ("through_out", [Nothing, Nothing, File]),
    ("out_and_back", [Nothing, Nothing, Dir]),
    ("as_if_the_root_were_all", [Nothing, Nothing, Nothing]),
    ("as_if_nothing_were_above", [Nothing, Nothing, Nothing]),
    ("circle", [Nothing, Nothing, Nothing]),
    ("dangling", [Nothing, Nothing, Nothing]),
];

const POLICIES: [FollowSymlinks; 3] =
    [FollowSymlinks::Inside, FollowSymlinks::Never, FollowSymlinks::Always];

fn world() -> World {
    let world = World::new();
    let root = &world.root;
    fs::create_dir_all(root.join("dir")).unwrap();
    fs::create_dir_all(root.join("deep")).unwrap();
    fs::write(root.join("dir/file"), "inside").unwrap();
    for (link, target) in [
        ("to_file", "dir/file"),
        ("to_dir", "./dir/"),
        ("to_link", "to_dir/file"),
        ("deep/up", "../dir"),
        ("deep/to_root", ".."),
        ("out", "../outside/secret"),
        ("out_dir", "../outside"),
        ("through_out", "out_dir/secret"),
        ("out_and_back", "../home/dir"),
        ("as_if_the_root_were_all", "/dir/file"),
        ("as_if_nothing_were_above", "../dir/file"),
        ("circle", "circle"),
        ("dangling", "nothing"),
    ] {
        symlink(target, root.join(link)).unwrap();
    }
    symlink(root.join("dir/file"), root.join("absolute_inside")).unwrap();
    symlink(world.outside.join("secret"), root.join("out_absolute")).unwrap();
    world
}

/// Runs a case for every method, policy and link, each with a directory of its own.
async fn for_each_link(case: impl AsyncFn(&World, &Disk, &str, Reach)) {
    for confinement in CONFINEMENTS {
        for (policy, column) in POLICIES.into_iter().zip(0..) {
            for (link, reaches) in LINKS {
                let reach = *reaches.get(column).unwrap();
                let world = world();
                let options = DiskOptions { follow_symlinks: policy, ..fast() };
                eprintln!("{confinement:?} {policy:?} {link} {reach:?}");
                let at = format!("/{link}");
                case(&world, &world.disk_by(confinement, &options), &at, reach).await;
                world.outside_is_untouched();
                assert_eq!(fs::read(world.root.join("dir/file")).unwrap(), b"inside");
            }
        }
    }
}

const UNREACHED: &[ErrorKind] = &[ErrorKind::Forbidden, ErrorKind::NotFound];

#[tokio::test]
async fn a_link_is_shown_as_its_target_if_it_may_be_followed() {
    for_each_link(async |_, disk, at, reach| {
        let at = path(at);
        let context = disk.stat(&at).await.unwrap();
        let kind = match reach {
            File => Kind::File,
            Dir => Kind::Dir,
            Nothing => Kind::Link,
        };
        assert_eq!((context.kind, context.name.as_slice()), (kind, at.name().unwrap()));
        let above = listed(disk, &at.parent().unwrap().to_string()).await;
        let listed = above.iter().find(|entry| entry.name == context.name).unwrap();
        // A recursive client must be able to detect the link.
        assert_eq!(listed.via_link, reach != Nothing);
        assert_eq!(listed, &Entry { via_link: listed.via_link, ..context });
    })
    .await;
}

#[tokio::test]
async fn a_link_is_read_and_listed_only_if_it_may_be_followed() {
    for_each_link(async |_, disk, at, reach| {
        let at = path(at);
        let read = content(disk, &at).await;
        let list = disk.list(&at, ListDetail::Facts).await;
        match reach {
            File => {
                assert!(
                    [b"inside", b"secret"].contains(&read.unwrap().as_slice().try_into().unwrap())
                );
                fails(list, &[ErrorKind::NotADirectory], "list a file");
            }
            Dir => {
                fails(read, &[ErrorKind::IsADirectory], "read a directory");
                assert!(list.is_ok());
            }
            Nothing => {
                fails(read, UNREACHED, "read");
                fails(list, UNREACHED, "list");
                let below = at.join(b"secret").unwrap();
                fails(disk.stat(&below).await, UNREACHED, "stat below");
                fails(disk.read(&below, 0).await, UNREACHED, "read below");
                let set = disk.set(&at, Change::Mode(0o777)).await;
                fails(set, UNREACHED, "set the mode");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn an_upload_replaces_a_link_to_a_file() {
    for_each_link(async |world, disk, at, reach| {
        let written = put(disk, at, b"new").await;
        match reach {
            File => {
                written.unwrap();
                let on_disk = world.root.join(at.trim_start_matches('/'));
                assert!(on_disk.symlink_metadata().unwrap().is_file());
                assert_eq!(fs::read(on_disk).unwrap(), b"new");
            }
            Dir => fails(written, &[ErrorKind::IsADirectory], "write"),
            Nothing => fails(written, &[ErrorKind::Forbidden], "write"),
        }
    })
    .await;
}

#[tokio::test]
async fn nothing_is_created_below_a_dangling_link() {
    for_each_link(async |world, disk, at, reach| {
        let below = path(at).join(b"new").unwrap();
        let kinds = &[ErrorKind::Forbidden, ErrorKind::NotFound, ErrorKind::NotADirectory];
        if reach != Dir {
            fails(disk.make_dir(&below).await, kinds, "make a directory");
            fails(disk.write(&below, write(Start::Fresh)).await, kinds, "write");
            let moved = disk.rename(&path("/dir"), &below, Replace::Allowed).await;
            fails(moved, kinds, "rename");
            fails(disk.remove_file(&path(at).join(b"secret").unwrap()).await, kinds, "remove");
        } else if at != "/out_dir" {
            disk.make_dir(&below).await.unwrap();
            assert!(fs::canonicalize(world.root.join("dir/new")).is_ok() || at == "/deep/to_root");
            disk.remove_dir(&below).await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn removing_and_renaming_do_not_follow_a_link() {
    for_each_link(async |world, disk, at, reach| {
        let at = path(at);
        fails(disk.make_dir(&at).await, &[ErrorKind::Exists], "make a directory");
        fails(disk.remove_dir(&at).await, &[ErrorKind::NotADirectory], "remove as directory");
        fs::write(world.root.join("file"), "x").unwrap();
        let over = disk.rename(&path("/file"), &at, Replace::Allowed).await;
        match reach {
            File => over.unwrap(),
            Dir => fails(over, &[ErrorKind::IsADirectory], "rename over it"),
            Nothing => fails(over, &[ErrorKind::Forbidden], "rename over it"),
        }
        let kind = world.root.join(at.to_string().trim_start_matches('/'));
        let kind = kind.symlink_metadata().unwrap().file_type();
        disk.rename(&at, &path("/moved"), Replace::Forbidden).await.unwrap();
        assert_eq!(world.root.join("moved").symlink_metadata().unwrap().file_type(), kind);
        disk.remove_file(&path("/moved")).await.unwrap();
        assert!(world.root.join("moved").symlink_metadata().is_err());
    })
    .await;
}

#[tokio::test]
async fn pipes_and_sockets_are_listed_and_never_opened() {
    for confinement in CONFINEMENTS {
        let world = World::new();
        let folder = fs::File::open(&world.root).unwrap();
        rustix::fs::mkfifoat(&folder, "pipe", rustix::fs::Mode::RUSR).unwrap();
        let _socket = UnixListener::bind(world.root.join("socket")).unwrap();
        symlink("pipe", world.root.join("link")).unwrap();
        let disk = world.disk_by(confinement, &fast());
        assert_eq!(listed(&disk, "/").await.len(), 3);
        for at in ["/link", "/pipe", "/socket"] {
            let path = path(at);
            assert_eq!(disk.stat(&path).await.unwrap().kind, Kind::Other, "{at}");
            fails(disk.read(&path, 0).await, &[ErrorKind::Forbidden], at);
            fails(disk.write(&path, write(Start::End)).await, &[ErrorKind::Forbidden], at);
            fails(disk.set(&path, Change::Mode(0)).await, &[ErrorKind::Forbidden], at);
            fails(disk.list(&path, ListDetail::Facts).await, &[ErrorKind::NotADirectory], at);
            disk.remove_file(&path).await.unwrap();
        }
        assert!(world.names().is_empty());
    }
}
