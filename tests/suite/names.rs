//! A name resolves wherever any C library finds its address, and otherwise the message says what was asked.
//!
//! Name servers, search domains and hosts files are as they are found: behind Docker's, a router's or a
//! company's name server, in a pod, in a file that an editor on Windows wrote. The two C libraries differ in
//! what they bear, and the program is to bear all of it with either. Each case has a name server and an
//! `/etc` of its own; all of them are in a network namespace, where nothing else responds.

use crate::held_signals::{is_ignored, is_pending, processes_in, send};
use crate::kit::{self, Outcome, Workspace};
use crate::name_server::{
    A, AAAA, Data, FORMERR, NOTIMP, NXDOMAIN, NameServer, Over, Question, REFUSED, Response, Rule, SERVFAIL,
};
use crate::namespace;
use crate::needs::Need;
use crate::strace::{self, Injection};
use crate::token_server::{Leaf, PATH, Record, Script, Step, Terms, TokenServer};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

const NAME: &str = "token.corp.example";
const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// Where nobody listens.
const DEAD: &str = "127.0.0.254";

const POD: &str = "search default.svc.cluster.local svc.cluster.local cluster.local@\noptions ndots:5\n";

/// One place that a name is looked up in.
struct Place {
    what: String,
    /// `resolv.conf`, or none. `@` stands for the name server's address.
    configuration: Option<String>,
    hosts: String,
    /// As it stands in the endpoint's URL.
    host: &'static str,
    /// Where the token server is.
    address: IpAddr,
    rule: Rule,
}

impl Place {
    /// A sound name server, for a start.
    fn new(what: impl Into<String>) -> Place {
        Place {
            what: what.into(),
            configuration: Some("nameserver @\n".to_owned()),
            hosts: "127.0.0.1 localhost\n".to_owned(),
            host: NAME,
            address: V4,
            rule: Box::new(|question| sound(NAME, V4, question)),
        }
    }

    fn configured(self, configuration: impl Into<String>) -> Place {
        Place { configuration: Some(configuration.into()), ..self }
    }

    fn in_pod(self, more_domains: &str) -> Place {
        let configuration = format!("nameserver @\n{}", POD.replace('@', more_domains));
        self.configured(configuration)
    }

    /// With these lines in the hosts file, and no name server at all.
    fn hosts(self, lines: impl Into<String>) -> Place {
        Place { hosts: format!("127.0.0.1 localhost\n{}", lines.into()), ..self }
            .configured(format!("nameserver {DEAD}\n"))
    }

    fn host(self, host: &'static str) -> Place {
        Place { host, ..self }
    }

    fn only_ipv6(self) -> Place {
        Place { address: V6, ..self }.rule(|question| sound(NAME, V6, question))
    }

    fn rule(self, rule: impl Fn(&Question) -> Response + Send + Sync + 'static) -> Place {
        Place { rule: Box::new(rule), ..self }
    }
}

/// What a name server responds that knows one name, with one address.
fn sound(name: &str, address: IpAddr, question: &Question) -> Response {
    let kind = if address.is_ipv4() { A } else { AAAA };
    if question.name != name {
        Response::Code(NXDOMAIN)
    } else if question.kind == kind {
        Response::Records(vec![(name.to_owned(), Data::Address(address))])
    } else {
        Response::Records(Vec::new())
    }
}

/// A kind of response, and what it is called.
type Fault = (&'static str, fn() -> Response);

fn faults() -> Vec<Fault> {
    vec![
        ("FORMERR", || Response::Code(FORMERR)),
        ("SERVFAIL", || Response::Code(SERVFAIL)),
        ("NXDOMAIN", || Response::Code(NXDOMAIN)),
        ("NOTIMP", || Response::Code(NOTIMP)),
        ("REFUSED", || Response::Code(REFUSED)),
        ("silence", || Response::Silence),
    ]
}

/// Name servers that know one kind of address and make a fault of the other.
fn one_sided() -> Vec<Place> {
    let v4 = |(what, fault): Fault| {
        Place::new(format!("AAAA: {what}")).rule(move |question| match question.kind {
            AAAA => fault(),
            _ => sound(NAME, V4, question),
        })
    };
    let v6 = |(what, fault): Fault| {
        Place::new(format!("A: {what}")).only_ipv6().rule(move |question| match question.kind {
            A => fault(),
            _ => sound(NAME, V6, question),
        })
    };
    let in_domain = |(what, fault): Fault| {
        let place = Place::new(format!("AAAA in a search domain: {what}")).host("token");
        place.configured("nameserver @\nsearch corp.example\n").rule(move |question| match question.kind {
            AAAA => fault(),
            _ => sound(NAME, V4, question),
        })
    };
    faults()
        .into_iter()
        .map(v4)
        .chain(faults().into_iter().map(v6))
        .chain(faults().into_iter().map(in_domain))
        .collect()
}

/// Search domains, as kubelets, DHCP clients and people write them.
fn searching() -> Vec<Place> {
    let many: Vec<String> = (0..20).map(|number| format!("department-{number}.of.the.company.example")).collect();
    let many = many.join(" ");
    let broken = |(what, fault): Fault| {
        Place::new(format!("a search domain: {what}")).in_pod(" corp.broken").rule(move |question| {
            if question.name.ends_with("corp.broken") { fault() } else { sound(NAME, V4, question) }
        })
    };
    let mut places = vec![
        Place::new("a pod").in_pod(""),
        Place::new("a pod of kubelet 1.25").in_pod(" ."),
        Place::new("a pod of kubelet 1.25, IPv6 only").only_ipv6().in_pod(" ."),
        Place::new("search .").configured("search .\nnameserver @\n"),
        Place::new("search . and ndots").configured("search .\nnameserver @\noptions ndots:5\n"),
        Place::new("a short name").host("token").configured("nameserver @\nsearch corp.example\n"),
        Place::new("a short name by domain").host("token").configured("nameserver @\ndomain corp.example\n"),
        Place::new("a short name, search . first").host("token").configured("nameserver @\nsearch . corp.example\n"),
        Place::new("many domains").configured(format!("nameserver @\nsearch {many}\noptions ndots:5\n")),
        Place::new("many domains, a short name")
            .host("token")
            .configured(format!("nameserver @\nsearch {many} corp.example\n")),
        Place::new("the dot at the end").host("token.corp.example.").in_pod(" corp.broken"),
        Place::new("the dot at the end, AAAA: REFUSED")
            .host("token.corp.example.")
            .rule(|question| if question.kind == AAAA { Response::Code(REFUSED) } else { sound(NAME, V4, question) }),
        Place::new("upper case").host("Token.CORP.example"),
    ];
    places.extend(faults().into_iter().map(broken));
    places
}

/// Responses that a datagram can't hold, and aliases.
fn lengthy() -> Vec<Place> {
    let sixty = || Response::Records(vec![(NAME.to_owned(), Data::Address(V4)); 60]);
    let alias = |number: usize| format!("alias-{number}.load-balancers.example");
    let chain = move |question: &Question| {
        let data = |number: usize| match number {
            9 => Data::Address(V4),
            number => Data::Alias(alias(number + 1)),
        };
        let owner = |number: usize| if number == 0 { NAME.to_owned() } else { alias(number) };
        let chain: Vec<_> = (0..10).map(|number| (owner(number), data(number))).collect();
        let is_wanted = question.kind != AAAA && question.name == NAME;
        if is_wanted { chain } else { chain[..9].to_vec() }
    };
    let by_tcp = move |question: &Question, datagram: Vec<(String, Data)>| match (question.kind, question.over) {
        _ if question.name != NAME => Response::Code(NXDOMAIN),
        (A, Over::Udp) => Response::Truncated(datagram),
        (A, Over::Tcp) => sixty(),
        _ => Response::Records(Vec::new()),
    };
    vec![
        Place::new("nothing in the datagram").rule(move |question| by_tcp(question, Vec::new())),
        Place::new("nothing in the datagram, in a pod").in_pod(" .").rule(move |question| by_tcp(question, Vec::new())),
        Place::new("an address in the datagram")
            .rule(move |question| by_tcp(question, vec![(NAME.to_owned(), Data::Address(V4))])),
        Place::new("aliases in the datagram").rule(move |question| match question.over {
            Over::Udp => Response::Truncated(chain(question)[..3].to_vec()),
            Over::Tcp => Response::Records(chain(question)),
        }),
        Place::new("aliases").rule(move |question| Response::Records(chain(question))),
        Place::new("aliases, AAAA: SERVFAIL").rule(move |question| match question.kind {
            AAAA => Response::Code(SERVFAIL),
            _ => Response::Records(chain(question)),
        }),
        Place::new("IPv6 only, nothing in the datagram").only_ipv6().rule(|question| match question.over {
            Over::Udp => Response::Truncated(Vec::new()),
            Over::Tcp => sound(NAME, V6, question),
        }),
    ]
}

/// `resolv.conf` as it is found.
fn configurations() -> Vec<Place> {
    let long_line = format!("options {}\nnameserver @\n", "0".repeat(300));
    let texts = [
        ("a long line", long_line.as_str()),
        ("no newline at the end", "nameserver @"),
        ("Windows' line ends", "search corp.example\r\nnameserver @\r\noptions ndots:2\r\n"),
        ("comments", "# by hand\n; of old\nnameserver @\n#nameserver 127.0.0.254\n"),
        ("tabs", "nameserver\t@\n"),
        ("options", "options edns0 trust-ad rotate timeout:1 attempts:1 no-tld-query\nnameserver @\n"),
        ("a dead server first", "nameserver 127.0.0.254\nnameserver @\n"),
        ("a server that is no address", "nameserver ns.corp.example\nnameserver @\n"),
    ];
    let places = texts.into_iter().map(|(what, text)| Place::new(format!("resolv.conf: {what}")).configured(text));
    places.chain([Place { configuration: None, ..Place::new("resolv.conf: none") }]).collect()
}

/// The hosts file as it is found.
fn hosts_files() -> Vec<Place> {
    let aliases: Vec<String> = (0..100).map(|number| format!("alias-{number}.corp.example")).collect();
    let aliases = aliases.join(" ");
    let lines = [
        ("plain", format!("127.0.0.1 {NAME}\n")),
        ("no newline at the end", format!("127.0.0.1 {NAME}")),
        ("Windows' line ends", format!("127.0.0.1 {NAME}\r\n")),
        ("Windows' line ends, none at the end", format!("10.0.0.1 other\r\n127.0.0.1 {NAME}")),
        ("a comment behind it", format!("127.0.0.1 {NAME}# the token server\n")),
        ("a comment above it", format!("# 10.0.0.1 {NAME}\n127.0.0.1 {NAME}\n")),
        ("tabs", format!("\t127.0.0.1\t\t{NAME}\t\n")),
        ("upper case", "127.0.0.1 Token.Corp.EXAMPLE\n".to_owned()),
        ("many aliases before it", format!("127.0.0.1 {aliases} {NAME}\n")),
        ("many aliases behind it", format!("127.0.0.1 {NAME} {aliases}\n")),
        ("a longer name before it", format!("10.0.0.1 my-{NAME} {NAME}.test\n127.0.0.1 {NAME}")),
        ("not UTF-8 above it", format!("# caf\u{e9}\n127.0.0.1 {NAME}\n")),
    ];
    let mut places: Vec<_> =
        lines.into_iter().map(|(what, lines)| Place::new(format!("hosts: {what}")).hosts(lines)).collect();
    places.push(Place::new("hosts: IPv6 only").only_ipv6().hosts(format!("::1 {NAME}")));
    places.push(Place::new("hosts: upper case asked").hosts(format!("127.0.0.1 {NAME}\n")).host("TOKEN.corp.example"));
    places.push(Place::new("hosts: a dot at the end").hosts(format!("127.0.0.1 {NAME}\n")).host("token.corp.example."));
    places.push(Place::new("hosts: a short name").hosts("127.0.0.1 token").host("token"));
    let empty = |what| Place { hosts: String::new(), ..Place::new(what).host("localhost") };
    places.push(empty("hosts: no line for localhost"));
    places.push(empty("hosts: no line for localhost, and no name server").configured(format!("nameserver {DEAD}\n")));
    places
}

/// Runs the program in a place, with a name server at this address.
fn run(place: Place, address: IpAddr, args: &[&str]) -> (Outcome, NameServer, Record) {
    run_with(place, address, args, |_| kit::rotation().step())
}

/// The same; the token server takes a step that may want to know where the program runs.
fn run_with(
    place: Place,
    address: IpAddr,
    args: &[&str],
    step: impl FnOnce(PathBuf) -> Step,
) -> (Outcome, NameServer, Record) {
    let workspace = Workspace::after_login("names");
    let protection =
        kit::tls_on(Terms::new(Leaf::Localhost).names(&[NAME, "token", "localhost", "alias-9.load-balancers.example"]));
    let server = TokenServer::start_at(place.address, protection, Script::always(step(workspace.directory())));
    let name_server = NameServer::start(address, place.rule);
    let configuration = place.configuration.map(|text| text.replace('@', &address.to_string()));
    let mut files = vec![("hosts", place.hosts.as_str())];
    files.extend(configuration.iter().map(|text| ("resolv.conf", text.as_str())));
    let stand = namespace::etc(&workspace.directory(), &files);
    let wrapper = namespace::where_stand(&[stand]).expect("this process is root, and unshare was found");
    let outcome = workspace
        .program()
        .refreshing_at(&server)
        .environment("DOCUSIGN_TOKEN_ENDPOINT", format!("https://{}:{}{PATH}", place.host, server.port()))
        .args(args.iter().copied())
        .under(wrapper)
        .run();
    (outcome, name_server, server.finish())
}

/// A name server's address for the case of this number. Without a configuration it is this machine's own.
fn address(place: &Place, number: usize) -> IpAddr {
    let number = u8::try_from(number + 10).expect("few cases");
    if place.configuration.is_some() { Ipv4Addr::new(127, 0, 1, number).into() } else { V4 }
}

/// The token server gets one request, and knows nothing of what it took to find it.
fn expect_refreshed(number: usize, place: Place) -> Result<(), String> {
    let (what, host) = (place.what.clone(), place.host);
    let address = address(&place, number);
    let (outcome, name_server, record) = run(place, address, &["--verbose"]);
    let name = host.trim_end_matches('.').to_lowercase();
    let host_field = |request: &crate::token_server::Request| request.field("host").unwrap_or_default().to_owned();
    let hosts: Vec<String> = record.requests.iter().map(host_field).collect();
    let is_named = hosts.iter().all(|field| field.split(':').next() == Some(host));
    let is_right = outcome.status.code() == Some(0)
        && record.requests.len() == 1
        && is_named
        && record.server_names.iter().all(|sent| sent.as_deref().map(str::to_lowercase) == Some(name.clone()));
    if is_right {
        return Ok(());
    }
    let questions: Vec<String> = name_server.questions().iter().map(|question| format!("{question:?}")).collect();
    Err(format!("{what}: {:?} {hosts:?} {:?}\n{}", outcome.status, record.server_names, outcome.report(&questions)))
}

/// As many cases at a time as let each finish in its time.
const AT_ONCE: usize = 8;

fn expect_all_refreshed(test: &str, places: Vec<Place>) {
    if !namespace::has_network_of_its_own(test) {
        return;
    }
    let mut failures = Vec::new();
    let mut places = places.into_iter().enumerate().peekable();
    while places.peek().is_some() {
        let runs: Vec<_> = places
            .by_ref()
            .take(AT_ONCE)
            .map(|(number, place)| thread::spawn(move || expect_refreshed(number, place)))
            .collect();
        failures.extend(runs.into_iter().filter_map(|run| run.join().expect("a case does not panic").err()));
    }
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn one_kind_of_address_may_be_a_fault() {
    expect_all_refreshed("names::one_kind_of_address_may_be_a_fault", one_sided());
}

#[test]
fn search_domains_may_be_anything() {
    expect_all_refreshed("names::search_domains_may_be_anything", searching());
}

#[test]
fn responses_may_be_long() {
    expect_all_refreshed("names::responses_may_be_long", lengthy());
}

#[test]
fn resolv_conf_may_look_odd() {
    expect_all_refreshed("names::resolv_conf_may_look_odd", configurations());
}

#[test]
fn the_hosts_file_may_look_odd() {
    expect_all_refreshed("names::the_hosts_file_may_look_odd", hosts_files());
}

/// What both C libraries ask at once, and no more.
#[test]
fn in_the_usual_case_nothing_is_asked_twice() {
    if !namespace::has_network_of_its_own("names::in_the_usual_case_nothing_is_asked_twice") {
        return;
    }
    let (outcome, name_server, record) = run(Place::new("the usual case"), V4, &["--verbose"]);
    let outcome = outcome.expect_exit(0);
    assert_eq!(record.requests.len(), 1);
    let questions = name_server.questions();
    let mut kinds: Vec<u16> = questions.iter().map(|question| question.kind).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, [A, AAAA], "{questions:?}");
    assert!(questions.iter().all(|question| question.name == NAME && question.over == Over::Udp), "{questions:?}");
    assert_eq!(outcome.stderr().matches("looking up ").count(), 1, "{}", outcome.report(&[]));
    assert!(outcome.stderr().contains(&format!(" ms: {NAME} resolves to [127.0.0.1:")), "{}", outcome.report(&[]));
}

/// What cannot be found, and what is said of it. A name server that fails may be well again soon: the last
/// attempt, which the time-out cuts short, says that it took too long.
#[test]
fn what_is_not_found_is_told() {
    if !namespace::has_network_of_its_own("names::what_is_not_found_is_told") {
        return;
    }
    let no_name = "cannot look up token.corp.example: there is no such name (asked: ";
    let no_address = "cannot look up token.corp.example: the name has no address (asked: ";
    let too_long = "looking up token.corp.example took too long (asked: ";
    let failing = "cannot look up token.corp.example: no name server gave a usable response (asked: ";
    let rules: [(Fault, &[&str]); 4] = [
        (("NXDOMAIN", || Response::Code(NXDOMAIN)), &[no_name]),
        (("no records", || Response::Records(Vec::new())), &[no_address]),
        (("silence", || Response::Silence), &[too_long]),
        // musl asks again until its own time is over, glibc says so at once.
        (("SERVFAIL", || Response::Code(SERVFAIL)), &[too_long, failing]),
    ];
    thread::scope(|scope| {
        for (number, (fault, wanted)) in rules.into_iter().enumerate() {
            scope.spawn(move || expect_told(number, fault, wanted));
        }
    });
}

fn expect_told(number: usize, (what, response): Fault, wanted: &[&str]) {
    const TIMEOUT: Duration = Duration::from_secs(3);
    let place = Place::new(what).rule(move |_| response());
    let address = address(&place, number);
    let (outcome, name_server, record) = run(place, address, &["--verbose", "--timeout", "3s"]);
    let outcome = outcome.expect_exit(75);
    assert_eq!(record.connections, 0, "{what}");
    assert!(!name_server.questions().is_empty(), "{what}");
    let took = outcome.span.end.duration_since(outcome.span.start).expect("time goes on");
    let message = outcome.stderr();
    let asked = ["(asked: any address, /etc/hosts, IPv4 of token.corp.example., IPv4"];
    let lines = [
        "hint: nothing was sent; check the name, then /etc/hosts, and in /etc/resolv.conf the name servers and search domains; --verbose \
         lists each question\n",
        " ms: looking up token.corp.example: any address\n",
        " ms: looking up token.corp.example: IPv4 of token.corp.example.\n",
    ];
    let faults = [
        (wanted.iter().all(|wanted| !message.contains(wanted)), format!("wanted one of {wanted:?}")),
        (!asked.iter().all(|asked| message.contains(asked)), format!("wanted {asked:?}")),
        (!lines.iter().all(|line| message.contains(line)), format!("wanted {lines:?}")),
        (took > TIMEOUT + Duration::from_secs(2), format!("took {took:?} of {TIMEOUT:?}")),
    ];
    let faults: Vec<String> = faults.into_iter().filter(|(failed, _)| *failed).map(|(_, fault)| fault).collect();
    assert!(faults.is_empty(), "{what}: {}", outcome.report(&faults));
}

/// What the proxy is called is looked up in the same way.
#[test]
fn a_proxy_s_name_is_looked_up_alike() {
    if !namespace::has_network_of_its_own("names::a_proxy_s_name_is_looked_up_alike") {
        return;
    }
    let place = Place::new("a proxy").rule(|_| Response::Code(NXDOMAIN));
    let args = ["--timeout", "1s", "--proxy", "http://proxy.corp.example:3128"];
    let (outcome, _, record) = run(place, V4, &args);
    let outcome = outcome.expect_exit(75);
    assert_eq!(record.connections, 0);
    let wanted = "the proxy http://proxy.corp.example:3128: cannot look up proxy.corp.example: there is no such name";
    assert!(outcome.stderr().contains(wanted), "{}", outcome.report(&[]));
}

/// As in a container with few processes left (`pids.max`): a look-up takes a thread, since it may hang. Reading
/// /etc/hosts does not (`small_hosts`).
#[test]
fn a_thread_that_cannot_be_started_is_told() {
    if !Need::Strace.is_met() {
        return;
    }
    let workspace = Workspace::after_login("no-thread");
    let server = kit::serve(Script::always(kit::rotation().step()));
    let calls = ["clone", "clone3"].map(|call| Injection::fail_from(call, 1, "EAGAIN"));
    let outcome = workspace
        .program()
        .refreshing_at(&server)
        .environment("DOCUSIGN_TOKEN_ENDPOINT", "https://login.example/token")
        .args(["--timeout", "1s"])
        .under(strace::words(&workspace.beside("trace"), &calls))
        .run()
        .expect_exit(75);
    let wanted = "cannot look up login.example: cannot start a thread: resource temporarily unavailable";
    assert!(outcome.stderr().contains(wanted), "{}", outcome.report(&[]));
    assert_eq!(server.finish().connections, 0);
}

/// A look-up that hangs is still there when the request is sent. The kernel hands a signal to any thread that
/// lets it through.
#[test]
fn a_look_up_that_hangs_takes_no_signal() {
    const SIGTERM: i32 = 15;
    if is_ignored(SIGTERM) || !namespace::has_network_of_its_own("names::a_look_up_that_hangs_takes_no_signal") {
        return;
    }
    let place = Place::new("AAAA: silence").rule(|question| match question.kind {
        AAAA => Response::Silence,
        _ => sound(NAME, V4, question),
    });
    let rotation = kit::rotation();
    let (outcome, _, record) = run_with(place, V4, &[], |directory| {
        rotation.step().on_request(move |_| {
            let processes = processes_in(&directory);
            assert_eq!(processes.len(), 1);
            send("TERM", processes[0]);
            assert!(is_pending(SIGTERM, processes[0]), "it is blocked");
        })
    });
    assert_eq!(record.requests.len(), 1, "{}", outcome.report(&[]));
    assert_eq!(outcome.status.signal(), Some(SIGTERM), "{}", outcome.report(&[]));
    let stored = String::from_utf8_lossy(&outcome.files[kit::TOKEN_FILE]);
    assert!(stored.contains(&rotation.live_refresh_token()), "{}", outcome.report(&[]));
}
