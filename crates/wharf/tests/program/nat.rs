//! A server behind a router with NAT, in network namespaces: what its client observes, what the
//! passive-mode diagnostics report, and which setting fixes it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::{Ran, TestFolder};

/// A server at 192.168.1.2, a client at 198.51.100.10, and a router with an address in each of
/// their networks.
struct Networks {
    server: String,
    router: String,
    client: String,
}

impl Networks {
    /// `None` where the system does not support it.
    fn new() -> Option<Self> {
        let name = |what: &str| format!("wharf-{what}-{}", std::process::id());
        let all = Self { server: name("s"), router: name("r"), client: name("c") };
        for name in [&all.server, &all.router, &all.client] {
            if !run("ip", &["netns", "add", name]) {
                return None;
            }
            assert!(run("ip", &["-n", name, "link", "set", "lo", "up"]));
        }
        all.link(&all.server, "192.168.1.2/24", "inner", "192.168.1.1/24");
        all.link(&all.client, "198.51.100.10/24", "outer", "198.51.100.1/24");
        let forward = ["sysctl", "-qw", "net.ipv4.ip_forward=1"];
        assert!(run("ip", &[&["netns", "exec", &all.router][..], &forward].concat()));
        Some(all)
    }

    /// Joins the router to a namespace, which then sends everything to it.
    fn link(&self, to: &str, address: &str, device: &str, gateway: &str) {
        let ip = |words: &[&str]| assert!(run("ip", words), "ip {words:?}");
        let peer = ["peer", "name", device, "netns", &self.router];
        ip(&[&["link", "add", "own", "netns", to, "type", "veth"][..], &peer].concat());
        for (namespace, device, address) in
            [(to, "own", address), (self.router.as_str(), device, gateway)]
        {
            ip(&["-n", namespace, "addr", "add", address, "dev", device]);
            ip(&["-n", namespace, "link", "set", device, "up"]);
        }
        let (gateway, _) = gateway.split_once('/').unwrap();
        ip(&["-n", to, "route", "add", "default", "via", gateway]);
    }

    /// Has the router forward these ports from outside, and reject everything else.
    fn forwards(&self, ports: &str) {
        let rules = format!(
            "flush ruleset\ntable ip wharf {{\n chain before {{\n  type nat hook prerouting \
             priority dstnat;\n  iifname \"outer\" tcp dport {{ {ports} }} dnat to 192.168.1.2\n \
             }}\n chain after {{\n  type nat hook postrouting priority srcnat;\n  oifname \
             \"outer\" masquerade\n }}\n chain through {{\n  type filter hook forward priority \
             0;\n  ct status dnat accept\n  ct state established,related accept\n  iifname \
             \"inner\" accept\n  reject with tcp reset\n }}\n}}\n"
        );
        let mut nft = Command::new("ip")
            .args(["netns", "exec", &self.router, "nft", "-f", "-"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("ip is there");
        nft.stdin.take().unwrap().write_all(rules.as_bytes()).unwrap();
        assert!(nft.wait().unwrap().success(), "nft is needed: cargo xtask setup installs it");
    }

    fn request(&self, place: &TestFolder) -> Ran {
        let words =
            ["check", "--ask", "198.51.100.1:2121", "--user", "anna", "--insecure", "--json"];
        let output = wharf(place, &self.client, &words).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        for name in [&self.server, &self.router, &self.client] {
            run("ip", &["netns", "del", name]);
        }
    }
}

/// `wharf` in the namespace of the client or the server.
fn wharf(place: &TestFolder, namespace: &str, words: &[&str]) -> Command {
    let own = place.command(words);
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).arg(own.get_program()).args(own.get_args());
    command.current_dir(place.path("")).env("WHARF_PASSWORD", "secret");
    for (name, value) in own.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// A server that ends with the test.
struct NatServer(Child);

impl Drop for NatServer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(program: &str, words: &[&str]) -> bool {
    let done = Command::new(program).args(words).stderr(Stdio::null()).status();
    done.is_ok_and(|done| done.success())
}

/// What was found of an error, joined.
fn errors(ran: &Ran) -> String {
    let whole: Value = serde_json::from_str(&ran.out).unwrap();
    let all = whole["findings"].as_array().unwrap().clone();
    let errors = all.iter().filter(|one| one["level"] == "error");
    let lines = errors.map(|one| format!("{} | {}", one["what"], one["hint"]));
    lines.collect::<Vec<_>>().join("\n")
}

fn causes(place: &TestFolder) -> Vec<String> {
    let status: Value = serde_json::from_str(&place.run(&["status", "--json"]).out).unwrap();
    let failures = status["passive"]["failures"].as_array().unwrap().clone();
    let of_client = failures.iter().filter(|one| one["network"] == "198.51.100.0/24");
    let mut causes: Vec<_> =
        of_client.map(|one| one["cause"].as_str().unwrap().to_owned()).collect();
    causes.sort();
    causes
}

#[test]
fn behind_a_router_the_diagnostics_report_what_is_missing_until_all_works() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not run: only root makes network namespaces");
        return;
    }
    let Some(networks) = Networks::new() else {
        eprintln!("not run: this system gives no network namespaces");
        return;
    };
    let place = TestFolder::new();
    let config = "[[listen]]\naddress = \"0.0.0.0\"\nport = 2121\n[passive]\n\
                  ports = \"30000-30009\"\n";
    place.write("wharf.toml", config);
    let words = ["user", "add", "anna", "--home", "home", "--create-home", "--permissions", "full"];
    place.run_with(&[&words[..], &["--password-file", "-"]].concat(), "secret\n").exits(0);
    let mut serve = wharf(&place, &networks.server, &["serve"]);
    let mut server = NatServer(serve.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    // Held to the end: the output of the server is not read from here on, and is small.
    let mut lines = BufReader::new(server.0.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("event=ready") {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "it does not begin to serve");
    }

    networks.forwards("2121");
    let ran = networks.request(&place).exits(1);
    let reported = errors(&ran);
    assert!(reported.contains("data connection with EPSV failed"), "{reported}");
    assert!(reported.contains("PASV announces 192.168.1.2"), "{reported}");
    assert!(reported.contains("set passive.public_address to 198.51.100.1"), "{reported}");
    assert_eq!(causes(&place), ["no-connection", "private-address-announced"]);

    place.write("wharf.toml", &format!("{config}public_address = \"198.51.100.1\"\n"));
    place.run(&["reload"]).exits(0);
    let reported = errors(&networks.request(&place).exits(1));
    assert!(!reported.contains("announces") && reported.contains("with PASV"), "{reported}");

    networks.forwards("2121, 30000-30009");
    let ran = networks.request(&place).exits(0);
    assert!(ran.out.contains("TLS session resumed"), "{ran:?}");
}
