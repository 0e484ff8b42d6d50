//! Detects containers, cloud providers and firewalls.

use std::fs;
use std::path::Path;

use super::Firewall;

/// The kind of container that this process runs in.
pub(super) fn container() -> Option<&'static str> {
    if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
        return Some("Kubernetes");
    }
    if Path::new("/run/.containerenv").exists() {
        return Some("Podman");
    }
    if Path::new("/.dockerenv").exists() {
        return Some("Docker");
    }
    let groups = fs::read_to_string("/proc/1/cgroup").unwrap_or_default();
    by_groups(&groups)
}

fn by_groups(groups: &str) -> Option<&'static str> {
    const MARKS: &[(&str, &str)] = &[
        ("kubepods", "Kubernetes"),
        ("docker", "Docker"),
        ("libpod", "Podman"),
        ("lxc", "LXC"),
        ("containerd", "containerd"),
    ];
    MARKS.iter().find(|(mark, _)| groups.contains(mark)).map(|(_, name)| *name)
}

/// The cloud provider of this machine, from DMI data.
pub(super) fn cloud() -> Option<&'static str> {
    const MARKS: &[(&str, &str)] = &[
        ("Amazon EC2", "Amazon EC2"),
        ("Google", "Google Cloud"),
        ("DigitalOcean", "DigitalOcean"),
        ("Hetzner", "Hetzner"),
        ("Alibaba Cloud", "Alibaba Cloud"),
        ("Tencent Cloud", "Tencent Cloud"),
        ("Huawei Cloud", "Huawei Cloud"),
        ("OracleCloud", "Oracle Cloud"),
        ("OpenStack", "OpenStack"),
        ("Vultr", "Vultr"),
        ("Scaleway", "Scaleway"),
        ("OVHcloud", "OVHcloud"),
        // Azure's asset tag, since any Hyper-V machine has "Microsoft Corporation".
        ("7783-7084-3265-9085-8269-3286-77", "Azure"),
    ];
    let names = ["sys_vendor", "product_name", "chassis_asset_tag", "bios_vendor"];
    let texts = names.map(|name| fs::read_to_string(format!("/sys/class/dmi/id/{name}")));
    let text: String = texts.into_iter().filter_map(Result::ok).collect();
    MARKS.iter().find(|(mark, _)| text.contains(mark)).map(|(_, name)| *name)
}

/// The active firewall program, if any.
pub(super) fn firewall() -> Option<Firewall> {
    let is_on = |text: String| text.lines().any(|line| line.trim() == "ENABLED=yes");
    if fs::read_to_string("/etc/ufw/ufw.conf").is_ok_and(is_on) {
        return Some(Firewall::Ufw);
    }
    // Its runtime folder, as of version 0.6.
    let has_it = ["/run/firewalld", "/run/firewalld.pid"].iter().any(|it| Path::new(it).exists());
    has_it.then_some(Firewall::Firewalld)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_detected_by_cgroup() {
        let docker = "12:pids:/docker/0123\n0::/system.slice\n";
        assert_eq!(by_groups(docker), Some("Docker"));
        assert_eq!(by_groups("0::/kubepods.slice/kubepods-pod1.slice"), Some("Kubernetes"));
        assert_eq!(by_groups("0::/init.scope\n"), None);
    }
}
