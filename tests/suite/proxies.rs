//! Between the program and the token endpoint stands a company's proxy.
//!
//! HTTP CONNECT, in the clear and inside TLS, and SOCKS5, each with and without a user and password.
//! The proxy is told where to connect and who asks, and nothing of the request. Which one is used
//! follows `--proxy`, else `HTTPS_PROXY` and `ALL_PROXY` in either case, less what `NO_PROXY` exempts;
//! plain http to the loopback interface never goes through one.
//!
//! Whatever a proxy does instead of connecting, nothing has been sent: if it judges us (403, 407, a
//! SOCKS refusal) that is a setting, exit code 78; if it is down, slow or out of order, 75. The message
//! names it, without its password: every password here is a canary.
//!
//! Scripted proxies show what is sent to them; tinyproxy and microsocks are real.

use crate::kit::{self, CLIENT_ID, NOBODY, Outcome, Program, Workspace};
use crate::token_server::{Leaf, PATH, Protection, Script, Step, TokenServer};
use crate::tools;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::Duration;

/// As it is in a URL, and as it is.
const PASSWORD_IN_URL: &str = "p%40ss%3A%2F%25+Canary7%20%C3%A9";
const PASSWORD: &str = "p@ss:/%+Canary7 é";

fn endpoint() -> TokenServer {
    kit::serve(Script::always(kit::rotation().step()))
}

fn address(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn proxy_to(server: &TokenServer, protection: Protection) -> TokenServer {
    TokenServer::start(protection, Script::always(Step::tunnel_to(address(server.port()))))
}

/// The usual run, with `--verbose` so that whatever it tells is searched for the password.
fn program<'w>(workspace: &'w Workspace, server: &TokenServer) -> Program<'w> {
    workspace.program().refreshing_at(server).args(["--verbose"])
}

#[test]
fn a_proxy_is_told_where_to_connect_and_nothing_else() {
    let credentials = [
        ("", None),
        ("us%2Fer@", Some("us/er:".to_owned())),
        (&format!("us%2Fer:{PASSWORD_IN_URL}@"), Some(format!("us/er:{PASSWORD}"))),
    ];
    for (in_url, credentials) in credentials {
        for (scheme, protection) in [("http", Protection::None), ("https", kit::tls(Leaf::Localhost))] {
            let server = endpoint();
            let proxy = proxy_to(&server, protection);
            let workspace = Workspace::after_login("connect");
            let url = format!("{scheme}://{in_url}localhost:{}", proxy.port());
            let outcome = program(&workspace, &server).args(["--proxy", &url]).run().expect_exit(0);
            let told = format!("through the proxy {scheme}://localhost:{}\n", proxy.port());
            assert!(outcome.stderr().contains(&told), "{}", outcome.report(&[told]));
            assert_eq!(server.finish().requests.len(), 1);

            let record = proxy.finish();
            let [request] = record.requests.as_slice() else {
                panic!("{}", outcome.report(&[kit::report_of(&record)]))
            };
            assert!(request.line.starts_with("CONNECT localhost:") && request.line.ends_with(" HTTP/1.1"));
            assert_eq!(request.field("Authorization"), None);
            assert_eq!(request.body, b"");
            let sent = request.field("Proxy-Authorization").map(|value| value.replace("Basic ", ""));
            assert_eq!(sent.map(|value| decoded(&value)), credentials);
        }
    }
}

fn decoded(base64: &str) -> String {
    String::from_utf8(BASE64_STANDARD.decode(base64).expect("base64")).expect("text")
}

#[test]
fn the_variables_choose() {
    let variables: [&[(&str, &str)]; 7] = [
        &[("HTTPS_PROXY", "$PROXY")],
        &[("https_proxy", "$PROXY"), ("HTTPS_PROXY", "http://unused.invalid:1")],
        &[("https_proxy", "$PROXY")],
        &[("ALL_PROXY", "$PROXY")],
        &[("all_proxy", "$PROXY"), ("NO_PROXY", "example.org,.test 10.0.0.1")],
        &[("HTTPS_PROXY", "$PROXY"), ("ALL_PROXY", "http://unused.invalid:1"), ("NO_PROXY", "localhost:1")],
        &[("HTTPS_PROXY", ""), ("all_proxy", "$BARE")],
    ];
    for variables in variables {
        let server = endpoint();
        let proxy = proxy_to(&server, Protection::None);
        let workspace = Workspace::after_login("variables");
        let bare = format!("user:{PASSWORD_IN_URL}@127.0.0.1:{}", proxy.port());
        let program = variables.iter().fold(program(&workspace, &server), |program, (name, value)| {
            program.environment(name, value.replace("$PROXY", &format!("http://{bare}")).replace("$BARE", &bare))
        });
        let outcome = program.run().expect_exit(0);
        assert_eq!(proxy.finish().requests.len(), 1, "{}", outcome.report(&[]));
        assert_eq!(server.finish().requests.len(), 1);
    }
}

#[test]
fn no_proxy_is_heeded() {
    for exempt in ["*", "localhost", "LOCALHOST", ".localhost", "example.org, localhost", "localhost:$PORT"] {
        for name in ["NO_PROXY", "no_proxy"] {
            let server = endpoint();
            let proxy = proxy_to(&server, Protection::None);
            let workspace = Workspace::after_login("no-proxy");
            let outcome = program(&workspace, &server)
                .environment("HTTPS_PROXY", format!("http://127.0.0.1:{}", proxy.port()))
                .environment(name, exempt.replace("$PORT", &server.port().to_string()))
                .run()
                .expect_exit(0);
            assert_eq!(proxy.finish().connections, 0, "{}", outcome.report(&[]));
            assert_eq!(server.finish().connections, 1);
        }
    }
    for (exempt, host) in [
        ("127.0.0.1", "127.0.0.1"),
        ("10.0.0.1,127.0.0.1:$PORT", "127.0.0.1"),
        ("10.0.0.0/8, 127.0.0.0/8", "127.0.0.1"),
    ] {
        let server = endpoint();
        let proxy = proxy_to(&server, Protection::None);
        let workspace = Workspace::after_login("no-proxy-address");
        let outcome = program(&workspace, &server)
            .environment("DOCUSIGN_TOKEN_ENDPOINT", format!("https://{host}:{}{PATH}", server.port()))
            .environment("HTTPS_PROXY", format!("http://127.0.0.1:{}", proxy.port()))
            .environment("NO_PROXY", exempt.replace("$PORT", &server.port().to_string()))
            .run()
            .expect_exit(0);
        assert_eq!(proxy.finish().connections, 0, "{}", outcome.report(&[]));
        server.finish();
    }
}

#[test]
fn an_option_goes_before_the_variables() {
    let server = endpoint();
    let proxy = proxy_to(&server, Protection::None);
    let workspace = Workspace::after_login("proxy-none");
    let variable = format!("http://127.0.0.1:{}", proxy.port());
    let ways: [(&[&str], usize); 2] = [(&["--proxy", "none"], 0), (&["--proxy", &variable], 1)];
    for (args, through) in ways {
        let program = program(&workspace, &server).environment("HTTPS_PROXY", format!("http://{NOBODY}"));
        let outcome = program.environment("NO_PROXY", "*").args(args.iter().copied()).run().expect_exit(0);
        assert_eq!(proxy.record().requests.len(), through, "{}", outcome.report(&[]));
    }
}

#[test]
fn plain_http_to_the_loopback_interface_goes_through_no_proxy() {
    let server = TokenServer::start(Protection::None, Script::always(kit::rotation().step()));
    let proxy = proxy_to(&server, Protection::None);
    let workspace = Workspace::after_login("loopback");
    let url = format!("http://127.0.0.1:{}", proxy.port());
    program(&workspace, &server).args(["--proxy", &url]).run().expect_exit(0);
    assert_eq!(proxy.finish().connections, 0);
    assert_eq!(server.finish().requests.len(), 1);
}

/// What a proxy may do instead: exit code, message after its name.
#[test]
fn a_proxy_that_does_not_connect_is_named() {
    let page = "<!DOCTYPE html><html><body>Log in, please</body></html>";
    let response = |status: &str| {
        let length = page.len();
        Step::response(format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {length}\r\n\r\n{page}"
        ))
    };
    let conducts: [(&str, Step, i32, &str, &str); 15] = [
        ("403", response("403 Forbidden"), 78, "CONNECT was refused with HTTP status 403\n", "--proxy none"),
        (
            "407",
            response("407 Proxy Authentication Required"),
            78,
            "CONNECT was refused with HTTP status 407\n",
            "refused the user",
        ),
        (
            "407-of-windows",
            Step::response("HTTP/1.1 407 No\r\nProxy-Authenticate: NTLM\r\nProxy-Authenticate: Negotiate\r\n\r\n"),
            78,
            "CONNECT was refused with HTTP status 407\n",
            "only Basic",
        ),
        (
            "407-with-digest",
            Step::response("HTTP/1.1 407 No\r\nProxy-Authenticate: Digest realm=\"x\", nonce=\"y\"\r\n\r\n"),
            78,
            "CONNECT was refused with HTTP status 407\n",
            "the proxy does not offer Basic authentication",
        ),
        (
            "407-of-both",
            Step::response("HTTP/1.1 407 No\r\nProxy-Authenticate: NTLM\r\nProxy-Authenticate: Basic realm=x\r\n\r\n"),
            78,
            "CONNECT was refused with HTTP status 407\n",
            "refused the user",
        ),
        ("302", response("302 Found"), 78, "CONNECT was refused with HTTP status 302\n", "--proxy none"),
        ("502", response("502 Bad Gateway"), 75, "CONNECT was refused with HTTP status 502, after", "--proxy none"),
        ("200-and-html", response("200 OK"), 78, "the server does not speak TLS\n", "intercepts"),
        ("html-alone", Step::response(page), 75, "the response is not HTTP, after", "--proxy none"),
        ("silent", Step::stall(), 75, "no response in time\n", "--proxy none"),
        ("half-a-response", Step::stall_after("HTTP/1.1 200 OK\r\n"), 75, "no response in time\n", "--proxy none"),
        (
            "slow",
            Step::trickle(format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(300))),
            75,
            "no response in time\n",
            "--proxy none",
        ),
        ("closing", Step::close_after_request(), 75, "closed by the other side, after", "--proxy none"),
        ("reset", Step::reset_after(""), 75, "connection reset by peer", "--proxy none"),
        ("no-tls-behind", Step::response("HTTP/1.1 200 OK\r\n\r\n"), 75, "the TLS handshake was cut off", "run again"),
    ];
    thread::scope(|scope| {
        for (name, step, exit, message, hint) in conducts {
            scope.spawn(move || {
                let server = endpoint();
                let proxy = TokenServer::start(Protection::None, Script::always(step));
                let workspace = Workspace::after_login(name);
                let url = format!("http://user:{PASSWORD_IN_URL}@127.0.0.1:{}", proxy.port());
                let outcome = program(&workspace, &server).args(["--timeout", "1500ms", "--proxy", &url]).run();
                judge(name, outcome, exit, &[&format!("proxy http://127.0.0.1:{}: ", proxy.port()), message, hint]);
                assert_eq!(server.finish().connections, 0, "{name}");
            });
        }
    });
}

#[test]
fn a_proxy_s_user_may_be_missing_or_misspelt() {
    let server = endpoint();
    let refusal = "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n";
    let proxy = TokenServer::start(Protection::None, Script::always(Step::response(refusal)));
    let workspace = Workspace::after_login("407-without-a-user");
    let url = format!("http://127.0.0.1:{}", proxy.port());
    let outcome = program(&workspace, &server).args(["--proxy", &url]).run().expect_exit(78);
    assert!(outcome.stderr().contains("give the proxy's user and password in its URL"), "{}", outcome.report(&[]));

    let url = format!("http://DOMAIN\\user:{PASSWORD_IN_URL}@127.0.0.1:{}", proxy.port());
    let outcome = program(&workspace, &server).args(["--proxy", &url]).run().expect_exit(64);
    assert!(outcome.stderr().contains("as %5C"), "{}", outcome.report(&[]));
}

fn judge(name: &str, outcome: Outcome, exit: i32, wanted: &[&str]) {
    let stderr = outcome.stderr();
    let mut faults: Vec<String> =
        wanted.iter().filter(|text| !stderr.contains(**text)).map(|text| format!("wanted `{text}`")).collect();
    let took = outcome.span.end.duration_since(outcome.span.start).unwrap_or_default();
    if took > Duration::from_millis(3500) {
        faults.push(format!("took {took:?} of 1500 ms"));
    }
    if stderr.contains("may be spent") {
        faults.push("nothing was sent".to_owned());
    }
    assert!(faults.is_empty() && outcome.status.code() == Some(exit), "{name}: {}", outcome.report(&faults));
}

#[test]
fn a_proxy_that_is_down_is_named() {
    for scheme in ["http", "https", "socks5", "socks5h"] {
        let server = endpoint();
        let workspace = Workspace::after_login("proxy-down");
        let url = format!("{scheme}://user:{PASSWORD_IN_URL}@{NOBODY}");
        let outcome = program(&workspace, &server).args(["--timeout", "1500ms", "--proxy", &url]).run();
        let named = format!("the proxy {scheme}://{NOBODY}: cannot connect: connection refused");
        judge(scheme, outcome, 75, &[&named, "--proxy none"]);
        assert_eq!(server.finish().connections, 0);
    }
}

#[test]
fn a_proxy_whose_certificate_is_not_trusted_is_named() {
    let server = endpoint();
    let proxy = proxy_to(&server, kit::tls(Leaf::Expired));
    let workspace = Workspace::after_login("proxy-certificate");
    let url = format!("https://user:{PASSWORD_IN_URL}@localhost:{}", proxy.port());
    let outcome = program(&workspace, &server).args(["--proxy", &url]).run();
    judge(
        "expired",
        outcome,
        78,
        &[&format!("the proxy https://localhost:{}: the server's certificate", proxy.port())],
    );
    assert_eq!((server.finish().connections, proxy.finish().requests.len()), (0, 0));
}

/// A proxy of the machine's, for as long as a test lasts. It can't let the kernel choose its port.
struct RealProxy {
    process: Child,
    address: SocketAddr,
}

impl Drop for RealProxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl RealProxy {
    /// Below the ports that the kernel chooses from.
    fn next_address() -> SocketAddr {
        static NEXT: AtomicU16 = AtomicU16::new(3128);
        (kit::loopback_of_this_process(), NEXT.fetch_add(1, Ordering::Relaxed)).into()
    }

    fn tinyproxy(beside: &Path, settings: &str) -> Option<RealProxy> {
        let program = tools::find("tinyproxy")?;
        let address = Self::next_address();
        let file = tools::beside(beside, "tinyproxy.conf");
        let (host, port) = (address.ip(), address.port());
        let text = format!("Port {port}\nListen {host}\nTimeout 30\nMaxClients 10\n{settings}");
        fs::write(&file, text).expect("write tinyproxy's settings");
        let mut command = Command::new(program);
        let mut process =
            command.arg("-d").arg("-c").arg(file).stdout(Stdio::piped()).spawn().expect("start tinyproxy");
        let mut log = BufReader::new(process.stdout.take().expect("it is piped"));
        let mut line = String::new();
        while !line.contains("Accepting connections") {
            line.clear();
            assert!(log.read_line(&mut line).is_ok_and(|length| length > 0), "tinyproxy did not start");
        }
        thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Some(RealProxy { process, address })
    }

    fn microsocks(args: &[&str]) -> Option<RealProxy> {
        let program = tools::find("microsocks")?;
        let address = Self::next_address();
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let mut command = Command::new(program);
        command.args(["-i", &host, "-p", &port]).args(args).stderr(Stdio::null());
        let mut process = command.spawn().expect("start microsocks");
        while TcpStream::connect(address).is_err() {
            assert!(matches!(process.try_wait(), Ok(None)), "microsocks did not start");
            thread::yield_now();
        }
        Some(RealProxy { process, address })
    }
}

#[test]
fn tinyproxy_connects() {
    for (settings, user, exit) in [
        ("", "", 0),
        ("BasicAuth user Canary7pass\n", "user:Canary7pass@", 0),
        ("BasicAuth user Canary7pass\n", "user:Canary7wrong@", 78),
        ("BasicAuth user Canary7pass\n", "", 78),
        ("Allow 10.0.0.1\n", "", 78),
    ] {
        let workspace = Workspace::after_login("tinyproxy");
        let Some(proxy) = RealProxy::tinyproxy(&workspace.directory(), settings) else { return };
        let server = endpoint();
        let url = format!("http://{user}{}", proxy.address);
        let outcome = program(&workspace, &server).environment("HTTPS_PROXY", url).run();
        assert_eq!(outcome.status.code(), Some(exit), "{settings}{user}: {}", outcome.report(&[]));
        assert_eq!(server.finish().requests.len(), usize::from(exit == 0));
    }
}

#[test]
fn tinyproxy_finds_the_endpoint_down() {
    let workspace = Workspace::after_login("tinyproxy-down");
    if let Some(proxy) = RealProxy::tinyproxy(&workspace.directory(), "") {
        find_the_endpoint_down(
            &workspace,
            &format!("http://{}", proxy.address),
            "CONNECT was refused with HTTP status 50",
        );
    }
}

#[test]
fn microsocks_finds_the_endpoint_down() {
    let workspace = Workspace::after_login("microsocks-down");
    if let Some(proxy) = RealProxy::microsocks(&[]) {
        let url = format!("socks5h://{}", proxy.address);
        find_the_endpoint_down(&workspace, &url, "cannot connect: connection refused");
    }
}

fn find_the_endpoint_down(workspace: &Workspace, proxy: &str, why: &str) {
    let endpoint = format!("https://{NOBODY}/oauth/token");
    let program = workspace.program().args(["--client-id", CLIENT_ID, "--token-endpoint", &endpoint]);
    let outcome = program.args(["--timeout", "1500ms", "--proxy", proxy]).run();
    judge("down", outcome, 75, &[&format!("the proxy {proxy}: {why}")]);
}

#[test]
fn microsocks_connects() {
    let lock: &[&str] = &["-u", "user", "-P", "Canary7pass"];
    let refused = "cannot connect: ";
    for (settings, user, exit, message) in [
        (&[] as &[&str], "", 0, "refreshed"),
        (lock, "user:Canary7pass@", 0, "refreshed"),
        (lock, "user:Canary7wrong@", 78, refused),
        (lock, "", 78, refused),
    ] {
        for scheme in ["socks5", "socks5h"] {
            let Some(proxy) = RealProxy::microsocks(settings) else { return };
            let server = endpoint();
            let workspace = Workspace::after_login("microsocks");
            let url = format!("{scheme}://{user}{}", proxy.address);
            let outcome = program(&workspace, &server).environment("ALL_PROXY", url).run();
            judge(scheme, outcome, exit, &[message]);
            assert_eq!(server.finish().requests.len(), usize::from(exit == 0));
        }
    }
}

#[test]
fn a_silent_socks_proxy_ends_in_time() {
    let server = endpoint();
    let proxy = TokenServer::start(Protection::None, Script::always(Step::stall_before_handshake()));
    let workspace = Workspace::after_login("silent-socks");
    let url = format!("socks5h://user:{PASSWORD_IN_URL}@127.0.0.1:{}", proxy.port());
    let outcome = program(&workspace, &server).args(["--timeout", "1500ms", "--proxy", &url]).run();
    judge("silent", outcome, 75, &[&format!("the proxy socks5h://127.0.0.1:{}: ", proxy.port()), "took too long"]);
    assert_eq!(server.finish().connections, 0);
}

#[test]
fn what_is_no_proxy_is_refused_without_being_shown() {
    let urls = [
        "ftp://u:Canary7@h:1",
        "socks4://u:Canary7@h:1",
        "http://",
        "http://:3128",
        "http://u:Canary7@:3128",
        "http://[fe80::1%25eth0]:3128",
        "://Canary7",
        "u:Canary7 @h",
        "http://u:Canary7@127.0.0.1:99999",
        "http://u:Canary7@127.0.0.1:",
    ];
    let not_utf8 = OsStr::from_bytes(b"http://Canary7\xFF:3128");
    for url in urls.iter().map(OsStr::new).chain([not_utf8]) {
        let server = endpoint();
        let workspace = Workspace::after_login("not-a-proxy");
        let outcome = workspace.program().refreshing_at(&server).environment("HTTPS_PROXY", url).run().expect_exit(64);
        assert!(outcome.stderr().contains("HTTPS_PROXY"), "{}", outcome.report(&[]));
        assert_eq!(server.finish().connections, 0);
    }
}
